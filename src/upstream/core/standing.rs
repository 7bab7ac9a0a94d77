//! What is told of a login: whether the gateway has what it needs, and if not, why not and what to do.
//!
//! It is worked out anew each time from what is held, from the clock, from the last refresh and from what the server
//! last refused. Nothing else writes `credentials`, so that it can't be left behind by events.

use std::sync::Arc;

use super::Core;
use super::keeper::{Keeper, State};
use crate::clock;
use crate::credential::Held;
use crate::upstream::http::{Credential, Demand, HttpError};
use crate::upstream::spec::{ServerSpec, Transport};
use crate::upstream::status::{Credentials, CredentialsWord, Status, Word};

/// The server refused a request for its login.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// Only a success of this one takes it back; `None`: any success. Some servers greet everybody, and want a login
    /// for their tools alone.
    pub(super) method: Option<String>,
    credentials: Credentials,
}

/// How a login stands.
struct Standing {
    credentials: Credentials,
    /// Nothing is sent for it: what is told of the connection then.
    blocked: Option<Word>,
}

impl Refusal {
    pub(super) fn reason(&self) -> &str {
        self.credentials.reason.as_deref().unwrap_or_default()
    }

    /// Whether a success of `method` says that it is over.
    pub(super) fn is_over_with(&self, method: &str) -> bool {
        self.method.as_deref().is_none_or(|refused| refused == method)
    }
}

/// Only a request that comes after the handshake is taken for itself: whoever can ask it, has had the handshake.
fn own_method(method: &str) -> Option<String> {
    (!matches!(method, "" | "initialize" | "server/discover")).then(|| method.to_owned())
}

impl Core {
    /// What a 401 or 403 to a request of `method` means for the login; `None`: it is no matter of the login.
    pub(super) fn refusal(&self, method: &str, error: &HttpError) -> Option<Refusal> {
        let Transport::Http(endpoint) = &self.spec.transport else { return None };
        let is_forbidden = matches!(error, HttpError::Forbidden(_));
        let demand = error.demand()?;
        let credentials = match &endpoint.credential {
            Credential::Bearer(_) | Credential::Headers(_) => Credentials::not_taken(error.to_string()),
            _ if is_forbidden && !demand.wants_scopes() => return None,
            Credential::None => self.login_wanted(demand),
            Credential::OAuth(_) => match &self.keeper {
                Some(keeper) => self.login_refused(keeper, demand),
                None => self.spec.credentials.clone(),
            },
        };
        Some(Refusal { method: own_method(method), credentials })
    }

    /// Of a server that no login is known for.
    fn login_wanted(&self, demand: &Demand) -> Credentials {
        let name = &self.spec.name;
        if *demand == Demand::Other {
            return Credentials::missing(format!(
                "{name} wants a login of another kind than OAuth (401); give it as a header, or ask its operator for a \
                 token"
            ));
        }
        Credentials::unconnected(format!(
            "{name} wants a login (401), and none is known; connect, and log in there, or give a token"
        ))
    }

    /// Of a server that wants OAuth.
    fn login_refused(&self, keeper: &Keeper, demand: &Demand) -> Credentials {
        if let Some(challenge) = demand.challenge().filter(|_| demand.wants_scopes()) {
            keeper.want_scopes(&challenge.scopes().collect::<Vec<_>>());
        }
        let name = &self.spec.name;
        let state = keeper.state();
        let Some(held) = &state.held else { return self.unconnected(&state) };
        if let Some(wanted) = self.scopes_wanted(&state).filter(|_| demand.wants_scopes()) {
            return wanted;
        }
        let why = match (&state.failure, held.problem()) {
            (Some(failure), _) => format!("it could not be renewed: {}{}", failure.reason, next_try(failure.next_try)),
            (None, Some(problem)) if held.is_over() => format!("it can't be renewed: {problem}"),
            (None, _) if held.tokens.refresh.is_none() => {
                "the authorization server gave nothing to renew it with".to_owned()
            }
            _ => "renewing it did not help".to_owned(),
        };
        reconnect(format!("{name} does not take the login any more (401), and {why}; reconnect, and log in anew"))
    }

    /// How the login stands now.
    fn standing(&self, refusal: Option<&Refusal>) -> Standing {
        let refused = refusal.map(|refusal| &refusal.credentials);
        let Some(keeper) = &self.keeper else {
            // That there is none, and why, says more than that none was refused.
            let is_missing = self.spec.credentials.status == CredentialsWord::Missing;
            let credentials = refused.filter(|_| !is_missing).unwrap_or(&self.spec.credentials).clone();
            return Standing { credentials, blocked: None };
        };
        let state = keeper.state();
        match &state.held {
            None => Standing { credentials: self.unconnected(&state), blocked: None },
            Some(held) => self.held_standing((keeper, &state), held, refused),
        }
    }

    fn held_standing(
        &self,
        (keeper, state): (&Keeper, &State),
        held: &Arc<Held>,
        refused: Option<&Credentials>,
    ) -> Standing {
        let name = &self.spec.name;
        let is_over = self.login.times().end <= clock::now_ms();
        let then = if is_over { "" } else { "; the present token is used for as long as it is taken" };
        let problem = || held.problem().unwrap_or("the authorization server does not renew it");
        let standing = |credentials, blocked| Standing { credentials, blocked };
        let blocked = |word| Some(word).filter(|_| is_over);
        if held.is_client_unknown() {
            let reason = format!(
                "the authorization server of {name} does not know the gateway any more ({}); reconnect: the gateway makes \
                 itself known anew{then}",
                problem()
            );
            return standing(reconnect(reason), blocked(Word::ActionRequired));
        }
        if held.is_over() {
            let reason = format!("the login for {name} is over ({}); reconnect, and log in anew{then}", problem());
            return standing(reconnect(reason), blocked(Word::ActionRequired));
        }
        if let Some(failure) = state.failure.as_ref().filter(|failure| failure.next_try.is_none()) {
            let reason = format!(
                "the authorization server of {name} does not take the client that is set ({}); correct client id and \
                 client secret, and reconnect{then}",
                failure.reason
            );
            return standing(action_required(reason, "edit"), blocked(Word::ActionRequired));
        }
        if let Some(refused) = refused {
            return standing(refused.clone(), None);
        }
        if keeper.is_renewing(state) {
            let reason = format!("the login for {name} is being renewed");
            return standing(told(CredentialsWord::Refreshing, reason, None), None);
        }
        if let Some(failure) = &state.failure {
            let reason = format!(
                "the login for {name} could not be renewed: {}{}{then}",
                failure.reason,
                next_try(failure.next_try)
            );
            let word = if is_over { CredentialsWord::Expired } else { CredentialsWord::Ready };
            return standing(told(word, reason, is_over.then_some("reconnect")), blocked(Word::Failing));
        }
        if is_over && !held.is_renewable() {
            let reason = format!(
                "the time of the login for {name} is over, and the authorization server gave nothing to renew it with; \
                 reconnect, and log in anew"
            );
            let expired = told(CredentialsWord::Expired, reason, Some("reconnect"));
            return standing(expired, Some(Word::ActionRequired));
        }
        standing(self.scopes_wanted(state).unwrap_or_else(Credentials::ready), None)
    }

    /// Nobody has logged in, or what that brought can't be used.
    fn unconnected(&self, state: &State) -> Credentials {
        match &state.fault {
            Some(fault) => reconnect(format!("{fault}; reconnect, and log in anew")),
            None => self.spec.credentials.clone(),
        }
    }

    /// The server lets the login do less than an agent asked for.
    fn scopes_wanted(&self, state: &State) -> Option<Credentials> {
        let wanted = state.wanted_scopes.as_ref()?;
        let (name, scopes) = (&self.spec.name, wanted.scopes.join(" "));
        Some(if wanted.is_new {
            reconnect(format!(
                "{name} wants scopes for a call that the login was not asked for ({scopes}); reconnect to ask for them"
            ))
        } else {
            let reason = format!(
                "{name} refuses a call for want of scopes ({scopes}), although the login was asked for them; whoever \
                 logged in may not have them, or other scopes have to be set"
            );
            action_required(reason, "edit")
        })
    }

    /// What is told: what was seen of the connection, and over it the login, if that is in the way.
    pub(super) fn told(&self, facts: &Status, refusal: Option<&Refusal>) -> Status {
        let Standing { credentials, blocked } = self.standing(refusal);
        let cover = |word, credentials: &Credentials| Status {
            status: word,
            reason: credentials.reason.clone(),
            action: credentials.action,
            ..facts.clone()
        };
        let is_well = matches!(facts.status, Word::Unknown | Word::Connecting | Word::Ready);
        let status = match (blocked, refusal) {
            _ if facts.status == Word::Disabled => facts.clone(),
            (Some(word), _) => cover(word, &credentials),
            (None, Some(refusal)) if is_well => cover(Word::ActionRequired, &refusal.credentials),
            (None, _) => facts.clone(),
        };
        Status { credentials, ..status }
    }
}

/// Before anything was tried.
pub(super) fn first(spec: &ServerSpec) -> Status {
    let untried = Status::untried(spec.enabled, spec.credentials.clone());
    match &spec.fault {
        Some(fault) if spec.enabled => {
            Status { status: Word::ActionRequired, reason: Some(fault.clone()), action: Some("edit"), ..untried }
        }
        _ => untried,
    }
}

fn told(status: CredentialsWord, reason: String, action: Option<&'static str>) -> Credentials {
    Credentials { status, reason: Some(reason), action }
}

fn action_required(reason: String, action: &'static str) -> Credentials {
    told(CredentialsWord::ActionRequired, reason, Some(action))
}

fn reconnect(reason: String) -> Credentials {
    action_required(reason, "reconnect")
}

/// In the rough, so that the sentence holds for a while.
fn next_try(at: Option<i64>) -> String {
    let Some(at) = at else { return String::new() };
    match chrono::DateTime::from_timestamp_millis(at) {
        Some(at) => format!("; the next try is at {}", at.format("%H:%M:%S UTC")),
        None => String::new(),
    }
}
