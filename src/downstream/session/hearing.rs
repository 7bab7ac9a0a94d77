//! A legacy session in front of a modern server. What a legacy server would tell unasked, and what the agent subscribed
//! to, is listened for in the session's name, by one `subscriptions/listen`. A change of what is wanted opens the next
//! one, waits for its acknowledgement, and only then ends the one before: so nothing is missed between the two.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{May, Session};
use crate::backoff::Backoff;
use crate::downstream::bridge::{Client, Crossing};
use crate::downstream::listen::{ACKNOWLEDGED, KINDS, RESOURCES, RESOURCES_MAX, UPDATED, is_offered};
use crate::downstream::stream::EventStream;
use crate::mcp::version::Era;
use crate::mcp::{envelope, error, meta, splice};
use crate::upstream::{Connection, Reply, Setting, Sink, Ticket, UpstreamError};

/// First and longest pause before a listening that ended by itself is begun again.
const DELAYS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_mins(1));
/// One that lasted this long was well: the next pause is the first again.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// Resolves when the listening ends; dropping it ends the listening.
type Ending = Pin<Box<dyn Future<Output = Result<Reply, UpstreamError>>>>;

/// A listening that goes on until it is dropped or its connection ends.
pub(super) struct Hearing(actix_rt::task::JoinHandle<()>);

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is listened for, and for whom.
struct Ear {
    connection: Weak<Connection>,
    /// What a listener calls it, and the notification that tells of it.
    kinds: Vec<(&'static str, &'static str)>,
    resources: BTreeSet<String>,
    client: Client,
    standing: Arc<EventStream>,
    may: May,
}

impl Session {
    /// Begins to listen on a connection that was just opened; the answer is not waited for.
    pub(super) fn hear_anew(&self, connection: &Arc<Connection>, may: May) {
        let resources = self.state().subscriptions.clone();
        let ear = self.ear(connection, resources, may);
        let hearing = ear.wants_something().then(|| Hearing(actix_rt::spawn(ear.keep(None))));
        self.set_hearing(hearing);
    }

    /// Subscribes to a resource at a modern server, or no longer does.
    pub(in crate::downstream) async fn hear(
        &self,
        connection: &Arc<Connection>,
        uri: &str,
        is_wanted: bool,
        may: May,
    ) -> Result<Reply, UpstreamError> {
        let refuse = |what: &str| Ok(Reply::Error(error::object(error::INVALID_PARAMS, what)));
        let _turn = self.hearing_turn.lock().await;
        let mut resources = self.state().subscriptions.clone();
        let is_change = if is_wanted { resources.insert(uri.to_owned()) } else { resources.remove(uri) };
        if !is_change {
            return Ok(Reply::Result("{}".into()));
        }
        if resources.len() > RESOURCES_MAX {
            return refuse(&format!("a session has at most {RESOURCES_MAX} subscriptions; unsubscribe from one first"));
        }
        let ear = self.ear(connection, resources.clone(), may);
        let mut hearing = None;
        if ear.wants_something() {
            let (granted, ending) = match ear.listen().await? {
                Ok(begun) => begun,
                Err(object) => return Ok(Reply::Error(object)),
            };
            if is_wanted && !granted.contains(uri) {
                return refuse("the server does not tell of changes of this resource");
            }
            hearing = Some(Hearing(actix_rt::spawn(ear.keep(Some(ending)))));
        }
        self.state().subscriptions = resources;
        self.set_hearing(hearing);
        Ok(Reply::Result("{}".into()))
    }

    pub(super) fn set_hearing(&self, hearing: Option<Hearing>) {
        let _ended = std::mem::replace(&mut *self.hearing.lock().unwrap_or_else(PoisonError::into_inner), hearing);
    }

    fn ear(&self, connection: &Arc<Connection>, resources: BTreeSet<String>, may: May) -> Ear {
        let offered = KINDS.into_iter().filter(|(_, area, _)| is_offered(connection, area, "listChanged"));
        Ear {
            connection: Arc::downgrade(connection),
            kinds: offered.map(|(kind, _, method)| (kind, method)).collect(),
            resources,
            client: self.bridged(),
            standing: self.standing.clone(),
            may,
        }
    }
}

impl Ear {
    fn wants_something(&self) -> bool {
        !self.kinds.is_empty() || !self.resources.is_empty()
    }

    /// Listens. Gives the resources that the server tells of, or the error with which it refuses.
    async fn listen(&self) -> Result<Result<(BTreeSet<String>, Ending), String>, UpstreamError> {
        let connection = self.connection.upgrade().ok_or(UpstreamError::Stopped { was_sent: false })?;
        let (told, acknowledged) = oneshot::channel();
        let sink = Arc::new(Heard { standing: self.standing.clone(), told: Mutex::new(Some(told)) });
        let ticket = Ticket { sink, progress_token: None, id: "0".into() };
        let mut ending: Ending = Box::pin(connection.listen(&self.params(), ticket)?);
        let limit = connection.request_timeout();
        tokio::select! {
            biased;
            Ok(granted) = acknowledged => Ok(Ok((granted, ending))),
            ended = &mut ending => Ok(Err(match ended? {
                Reply::Error(object) => object,
                Reply::Result(_) => error::object(error::INTERNAL, "the server ended the listening before it began"),
            })),
            () = tokio::time::sleep(limit) => Err(UpstreamError::TimedOut { seconds: limit.as_secs() }),
        }
    }

    fn params(&self) -> String {
        let mut wanted: serde_json::Map<_, _> =
            self.kinds.iter().map(|(kind, _)| ((*kind).into(), json!(true))).collect();
        let resources: Vec<_> =
            self.resources.iter().filter(|uri| (self.may)(Setting::Subscription, Some(uri))).collect();
        if !resources.is_empty() {
            wanted.insert(RESOURCES[1].into(), json!(resources));
        }
        let params = json!({ RESOURCES[0]: wanted }).to_string();
        let crossing = Crossing { agent: Era::Legacy, server: Era::Modern };
        crossing.params(Some(params), &self.client).unwrap_or_default()
    }

    /// Listens on and on, until the server refuses or the connection is no more.
    async fn keep(self, mut listening: Option<Ending>) {
        let mut backoff = Backoff::new(DELAYS.0, DELAYS.1);
        let mut has_heard = listening.is_some();
        loop {
            if listening.is_none() {
                match self.listen().await {
                    Ok(Ok((_, begun))) => listening = Some(begun),
                    Ok(Err(refusal)) => return tracing::debug!(refusal, "a server does not let itself be listened to"),
                    Err(failed) => tracing::debug!(error = %failed, "a server could not be listened to"),
                }
                if listening.is_some() && std::mem::replace(&mut has_heard, true) {
                    self.catch_up();
                }
            }
            if let Some(listening) = listening.take() {
                let began = Instant::now();
                let _in_whatever_way = listening.await;
                if began.elapsed() > WELL_AFTER {
                    backoff.reset();
                }
            }
            tokio::time::sleep(backoff.fail()).await;
            if !self.connection.upgrade().is_some_and(|connection| connection.is_open()) {
                return;
            }
        }
    }

    /// While nobody listened, anything may have changed.
    fn catch_up(&self) {
        for (_, method) in &self.kinds {
            self.standing.notify(envelope::notification(method, None));
        }
        for uri in &self.resources {
            let params = json!({ "uri": uri }).to_string();
            self.standing.notify(envelope::notification(UPDATED, Some(&params)));
        }
    }
}

/// Passes what is heard on to the session's standing stream, as a legacy server would tell it.
struct Heard {
    standing: Arc<EventStream>,
    told: Mutex<Option<oneshot::Sender<BTreeSet<String>>>>,
}

impl Sink for Heard {
    fn notify(&self, message: String) {
        let Some(method) = splice::find_string(&message, &["method"]) else { return };
        let params = splice::find(&message, &["params"]).unwrap_or("{}");
        if method == ACKNOWLEDGED {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
            let granted = splice::find(params, &RESOURCES).and_then(|list| serde_json::from_str(list).ok());
            // Whoever waited may have given up.
            let _ = told.map(|told| told.send(granted.unwrap_or_default()));
            return;
        }
        let params = meta::without(params, |key| key == meta::SUBSCRIPTION_ID);
        let params = (params != "{}").then_some(params);
        self.standing.notify(envelope::notification(&method, params.as_deref()));
    }

    fn ask(&self, _: String) -> bool {
        false
    }
}
