//! The older pair of endpoints (HTTP+SSE, 2024-11-05): one stream on which everything comes, and a place to which
//! everything is sent. Its first event names that place by a word that nobody can guess.
//!
//! Behind it is a session like any other. A message that is sent there goes the very way of one that is sent to the
//! server's one endpoint; only what would be the answer to the POST comes on the stream. The end of the stream ends the
//! session.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::watch;

use super::legacy::new_session_id;
use super::response::{Incoming, Response};
use super::session::Session;
use super::stream::{EventStream, Reader};
use super::{Downstream, Phase};
use crate::mcp::envelope::{self, Message};
use crate::mcp::{error, splice, version};

/// A stream on which no session was begun within this time ends.
const UNUSED_MAX: Duration = Duration::from_mins(1);

/// All pairs, by their words.
#[derive(Clone, Default)]
pub(super) struct Pairs(Arc<DashMap<String, Arc<Pair>>>);

/// One stream and what belongs to it.
struct Pair {
    word: String,
    /// Whose it is. The word proves nothing: the key is asked each time.
    agent_id: String,
    server_id: Arc<str>,
    stream: Arc<EventStream>,
    session: OnceLock<Arc<Session>>,
    /// How many answers are on their way.
    busy: watch::Sender<usize>,
}

impl Downstream {
    /// Answers a GET: the stream of a new pair.
    pub fn open_pair(&self, incoming: &Incoming) -> Response {
        let upstream = match self.find(&incoming.server) {
            Ok(upstream) => upstream,
            Err(response) => return response,
        };
        if incoming.headers.protocol_version.as_deref() == Some(version::MODERN) {
            return Response::MethodNotAllowed;
        }
        if let Some(refused) = self.refuse_if_stopping("null") {
            return refused;
        }
        let count_max = self.sessions.count_max();
        if self.sessions.is_full() || self.pairs.0.len() >= count_max {
            let what = format!("all {count_max} sessions are in use; end one, or raise http.sessions_max");
            return Response::error(503, None, error::UPSTREAM, &what);
        }
        let pair = Arc::new(Pair {
            word: new_session_id().to_string(),
            agent_id: incoming.agent.id.clone(),
            server_id: upstream.spec.id.clone(),
            stream: EventStream::standing(),
            session: OnceLock::new(),
            busy: watch::Sender::new(0),
        });
        let reader = pair.stream.read_after(0);
        let endpoint = format!("/mcp/{}/message?session_id={}", incoming.server, pair.word);
        self.pairs.0.insert(pair.word.clone(), pair.clone());
        let this = self.clone();
        actix_rt::spawn(async move { this.keep(&pair).await });
        Response::Pair { reader, endpoint }
    }

    /// Answers a POST to a pair's other half.
    pub async fn post_to_pair(&self, word: &str, mut incoming: Incoming) -> Response {
        let upstream = match self.find(&incoming.server) {
            Ok(upstream) => upstream,
            Err(response) => return response,
        };
        let is_of = |pair: &Pair| pair.agent_id == incoming.agent.id && *pair.server_id == *upstream.spec.id;
        let Some(pair) = self.pairs.0.get(word).map(|pair| pair.clone()).filter(|pair| is_of(pair)) else {
            return Response::NoSession;
        };
        if let Err(refused) = crate::mcp::strict::check(&incoming.body) {
            return Response::parse_error(&incoming.body, &refused.to_string());
        }
        if let Some(what) = pair.mismatch(&incoming) {
            let id = envelope::salvage_id(&incoming.body).map(serde_json::value::RawValue::get);
            return pair.tell(Response::error(400, id, error::INVALID_REQUEST, what));
        }
        incoming.headers.session = pair.session.get().map(|session| session.id.to_string());
        // Answers come on the stream, whatever the client says that it takes here.
        (incoming.headers.accepts_stream, incoming.headers.accepts_json) = (true, false);
        match self.legacy(upstream, incoming).await {
            Response::Stream { reader, session, .. } => {
                let (this, busy) = (self.clone(), Busy::new(&pair));
                actix_rt::spawn(async move { this.carry(busy, reader, session).await });
                Response::Accepted
            }
            other => pair.tell(other),
        }
    }

    /// Brings an answer, and what comes before it, to the pair's stream. One that opens a session gives it to the pair.
    async fn carry(&self, busy: Busy, mut reader: Reader, opens: Option<String>) {
        let pair = &busy.0;
        while let Some(event) = reader.next().await {
            if let Some(id) = &opens {
                self.begin(pair, id);
            }
            pair.stream.has_room().await;
            pair.stream.push(event.text);
        }
        let Some(opened) = opens.and_then(|id| self.sessions.find(&id, &pair.agent_id, &pair.server_id)) else {
            return;
        };
        // Two were asked for at once, or the stream ended meanwhile.
        let is_its = pair.session.get().is_some_and(|session| Arc::ptr_eq(session, &opened));
        if !is_its || !self.pairs.0.contains_key(&pair.word) {
            self.sessions.end(&opened);
        }
    }

    fn begin(&self, pair: &Arc<Pair>, id: &str) {
        let Some(session) = self.sessions.find(id, &pair.agent_id, &pair.server_id) else { return };
        if pair.session.set(session.clone()).is_err() {
            return;
        }
        let (this, pair, mut news) = (self.clone(), pair.clone(), session.standing().read_after(0));
        actix_rt::spawn(async move {
            while let Some(event) = news.next().await {
                pair.stream.has_room().await;
                pair.stream.push(event.text);
            }
            // While the gateway stops, answers are still on their way.
            if !this.sessions.has(&session.id) {
                pair.stream.finish(None);
            }
        });
    }

    /// Ends what belongs to the pair when its stream has ended, or has to.
    async fn keep(&self, pair: &Arc<Pair>) {
        let unused = async {
            tokio::time::sleep(UNUSED_MAX).await;
            if pair.session.get().is_some() || *pair.busy.borrow() > 0 {
                std::future::pending::<()>().await;
            }
        };
        let stopped = async {
            self.phase_is(Phase::Stopping).await;
            // It can't be closed: the pair is held here.
            let _ = pair.busy.subscribe().wait_for(|count| *count == 0).await.is_ok();
        };
        tokio::select! {
            () = pair.stream.left() => {}
            () = stopped => {}
            () = unused => {}
        }
        self.pairs.0.remove(&pair.word);
        pair.stream.finish(None);
        if let Some(session) = pair.session.get() {
            self.sessions.end(session);
        }
    }
}

impl Pair {
    /// Why a message does not belong here now.
    fn mismatch(&self, incoming: &Incoming) -> Option<&'static str> {
        if incoming.headers.protocol_version.as_deref() == Some(version::MODERN) {
            return Some("this pair of endpoints is of revisions before 2026-07-28; POST to /mcp/{name} instead");
        }
        let is_opening = matches!(
            envelope::parse(&incoming.body),
            Ok(Message::Request { method, .. }) if method == "initialize"
        );
        match (is_opening, self.session.get().is_some()) {
            (true, true) => Some("the session of this stream has begun; open another stream for another session"),
            (false, false) => Some("there is no session on this stream yet; begin with initialize"),
            _ => None,
        }
    }

    /// Puts what answers a request on the stream; the rest is the answer to the POST.
    fn tell(&self, response: Response) -> Response {
        match response {
            Response::Message { body, .. }
                if body.starts_with('[') || splice::find(&body, &["id"]).is_some_and(|id| id != "null") =>
            {
                self.stream.push(body);
                Response::Accepted
            }
            other => other,
        }
    }
}

/// Counts an answer for as long as it is on its way.
struct Busy(Arc<Pair>);

impl Busy {
    fn new(pair: &Arc<Pair>) -> Self {
        pair.busy.send_modify(|count| *count += 1);
        Self(pair.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|count| *count -= 1);
    }
}
