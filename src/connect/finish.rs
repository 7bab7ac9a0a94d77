//! The way back.

use super::Connect;
use super::binding::{Tie, cookie_name, cookie_value};
use super::error::{CallbackError, Step};
use super::flow::{Flow, digest};
use super::probe::{Heard, probe};
use crate::clock;
use crate::credential::Login;
use crate::egress;
use crate::oauth::authorization::{self, Callback};
use crate::oauth::token::{Grant, TokenSet};
use crate::store::{self, oauth_flow};
use crate::vault::SecretText;

/// What a callback brings. It holds secrets.
#[derive(Debug, Default)]
pub struct Returned {
    /// Which flow it is for.
    pub state: Option<SecretText>,
    /// What the authorization server says.
    pub callback: Callback,
}

/// What became of a callback.
#[derive(Debug)]
pub struct Outcome {
    /// The server that it was for, when that is known and the caller may know.
    pub server: Option<String>,
    /// Whether it can be used now.
    pub result: Result<(), CallbackError>,
}

impl Connect {
    /// Takes a callback. `cookie` gives what the browser brought under a name.
    ///
    /// Not to be dropped half-way: a code is good for one. Run it on a task of its own.
    pub async fn finish(&self, returned: Returned, cookie: impl Fn(&str) -> Option<String>) -> Outcome {
        let row = match self.admit(&returned, cookie).await {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(reason = %error, "a callback of a login was refused");
                log_inside(&error);
                return Outcome { server: None, result: Err(error) };
            }
        };
        // Nobody else is logged in here: what follows is done by whoever began it.
        let operator = format!("operator:{}", row.operator);
        store::audit::acting_as(operator, Box::pin(self.go_on(&row, returned.callback))).await
    }

    /// Goes the rest of the way, and writes down what came of it.
    async fn go_on(&self, row: &oauth_flow::Row, callback: Callback) -> Outcome {
        let server = match store::server::find_by_id(&self.store, &row.server_id).await {
            Ok(server) => server,
            Err(error) => return Outcome { server: None, result: Err(error.into()) },
        };
        let name = server.as_ref().map(|server| server.name.clone());
        let result = match server {
            Some(server) => self.log_in(row, &server, callback).await,
            None => Err(CallbackError::Unknown),
        };
        let problem = result.as_ref().err().map(ToString::to_string);
        match &problem {
            None => tracing::info!(server.name = name, operator = %row.operator, "a login was finished"),
            Some(reason) => tracing::warn!(server.name = name, operator = %row.operator, reason, "a login failed"),
        }
        if let Err(error) = &result {
            log_inside(error);
        }
        if let Err(error) = oauth_flow::finish(&self.store, &row.id, problem, clock::now_ms()).await {
            tracing::error!(error = %crate::chain(&error), "what became of a login can't be written down");
        }
        Outcome { server: name, result }
    }

    /// Judges whose callback it is, and uses its flow up.
    async fn admit(
        &self,
        returned: &Returned,
        cookie: impl Fn(&str) -> Option<String>,
    ) -> Result<oauth_flow::Row, CallbackError> {
        let state = returned.state.as_ref().filter(|state| !state.is_empty()).ok_or(CallbackError::Malformed)?;
        let state_digest = digest(state);
        let row = oauth_flow::find_by_state(&self.store, &state_digest).await?.ok_or(CallbackError::Unknown)?;
        let now = clock::now_ms();
        if row.used_at.is_some() {
            return Err(CallbackError::Used);
        }
        if row.expires_at <= now {
            return Err(CallbackError::Expired);
        }
        let foreign = || CallbackError::Foreign { public_url: self.place.public_url.clone() };
        let tie = Tie::parse(&row.login).ok_or_else(foreign)?;
        if let Tie::Browser(login) = &tie {
            let brought = cookie(&cookie_name(&row.id)).map(SecretText::new).ok_or_else(foreign)?;
            if !brought.is(&cookie_value(&self.cookies, &row.id, login)) {
                return Err(foreign());
            }
        }
        if let Some(login) = tie.login()
            && !self.operators.is_logged_in(login, now).await?
        {
            return Err(CallbackError::LoggedOut);
        }
        let consumed = oauth_flow::consume(&self.store, &state_digest, &row.login, now).await?;
        consumed.ok_or(CallbackError::Used)
    }

    async fn log_in(
        &self,
        row: &oauth_flow::Row,
        server: &store::server::Row,
        callback: Callback,
    ) -> Result<(), CallbackError> {
        if server.revision != row.server_revision {
            return Err(if server.enabled { CallbackError::Edited } else { CallbackError::Disabled });
        }
        let flow = Flow::open(&self.vault, row)?;
        let failed = |step| move |cause| CallbackError::Failed { step, cause };
        let code = authorization::accept(&flow.provider, callback).map_err(failed(Step::Callback))?;
        let grant = Grant {
            server: &flow.provider,
            client: &flow.client,
            resource: row.resource.as_deref(),
            now_ms: clock::now_ms(),
        };
        let tokens = grant.exchange(&code, &flow.verifier, &row.redirect_uri).await;
        let tokens = tokens.map_err(failed(Step::Exchange))?;
        self.demand_no_loss(server, &tokens).await?;
        self.keep(row, server, flow, tokens).await?;
        self.shake_hands(&server.name).await
    }

    /// A token that the server refuses is no reason to let go of one that it takes.
    async fn demand_no_loss(&self, server: &store::server::Row, tokens: &TokenSet) -> Result<(), CallbackError> {
        let held = self.credentials.find(&server.id, None).await.unwrap_or_default();
        if held.is_none_or(|held| held.is_over()) {
            return Ok(());
        }
        match probe(server.base_url.as_deref().unwrap_or_default(), Some(&tokens.access)).await {
            Ok(Heard::Asked(_)) => Err(CallbackError::NotTaken),
            // Whoever can't be reached refuses nothing.
            Ok(Heard::Unasked { .. }) | Err(_) => Ok(()),
        }
    }

    /// From here on the server has the new tokens; calls that are in flight end with the old ones.
    async fn keep(
        &self,
        row: &oauth_flow::Row,
        server: &store::server::Row,
        flow: Flow,
        tokens: TokenSet,
    ) -> Result<(), CallbackError> {
        let login = Login {
            server_id: server.id.clone(),
            base_origin: server.base_url.as_deref().and_then(egress::origin).unwrap_or_default(),
            resource: row.resource.clone(),
            provider: flow.provider,
            client: flow.client,
            tokens,
            asked_scopes: flow.scopes,
            redirect_uri: row.redirect_uri.clone(),
            connected_by: row.operator.clone(),
        };
        self.credentials.put(login, row.server_revision).await?.map(drop).ok_or(CallbackError::Edited)
    }

    async fn shake_hands(&self, name: &str) -> Result<(), CallbackError> {
        self.registry.nudge().await;
        let not_there = || CallbackError::Handshake { reason: "it is not running; look at the log".into() };
        let upstream = self.registry.directory().find(name).ok_or_else(not_there)?;
        upstream.reload_credential().await;
        let report = upstream.test().await;
        if report.ok {
            return Ok(());
        }
        let failed = report.steps.into_iter().find(|step| !step.ok);
        Err(CallbackError::Handshake { reason: failed.map_or_else(|| "no step failed".into(), |step| step.detail) })
    }
}

/// What the gateway's own failure is, for the log alone.
fn log_inside(error: &CallbackError) {
    if let CallbackError::Inside(error) = error {
        tracing::error!(error = %crate::chain(error), "a login could not be finished");
    }
}
