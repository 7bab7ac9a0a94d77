//! The keeper of a login: a task of the server's actor that has the tokens renewed, before their time is over and when
//! the server refused one.
//!
//! Tokens come in one way only: what is held is read and published ([`Core::reload`]), after a refresh, after somebody
//! logged in, at the start, and every half minute, because another gateway may have renewed them. So they are published
//! in the order in which they were committed.
//!
//! A refresh runs on a task of its own, one at a time, that no caller, edit, panic or gentle stop cuts in half: the
//! authorization server may have used the refresh token up by then. A token that nobody used is not renewed: it is when
//! it is wanted. And whatever a server says of its tokens' lives, two refreshes have a pause between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Core;
use crate::backoff::Backoff;
use crate::clock;
use crate::credential::{CredentialError, Credentials, Held, Refresh};
use crate::egress;
use crate::oauth::{OAuthError, step_up};
use crate::upstream::http::{Credential, Login, Outlook, Times};
use crate::upstream::spec::{ServerSpec, Transport};
use crate::upstream::status::Word;
use crate::vault::SecretText;

/// What is held is read again so often.
const READ_EVERY: Duration = Duration::from_secs(30);
/// While another gateway renews it, it is read so often.
const READ_EVERY_WHILE_LEASED: Duration = Duration::from_millis(250);
/// Between the beginnings of two refreshes.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// A token is renewed when a fifth of its life is left, and
const LEAD_PART: i64 = 5;
/// never earlier than this.
const LEAD_MAX_MS: i64 = 5 * 60 * 1000;
/// A shorter life is not believed: such a token is used until it is refused.
const LIFE_MIN_MS: i64 = 500;
/// After a failure that passes by itself: first and longest delay.
const SOON: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// After one that hardly does.
const LATER: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// What belongs to the login of one server that wants OAuth.
pub(super) struct Keeper {
    credentials: Credentials,
    /// Of a client that the operator registered.
    typed_secret: Option<SecretText>,
    /// Where the tokens may be sent.
    origin: String,
    state: Mutex<State>,
    /// One reading at a time, so that none publishes what is older.
    reading: tokio::sync::Mutex<()>,
    /// One refresh at a time.
    turn: Arc<Semaphore>,
    /// The server has another login, and is to be looked at for that.
    wants_look: AtomicBool,
}

pub(super) struct State {
    pub(super) held: Option<Arc<Held>>,
    /// Why what is held can't be used.
    pub(super) fault: Option<String>,
    /// Why it could not be renewed.
    pub(super) failure: Option<Failure>,
    /// The scopes that the server wants, and whether asking for them would bring something new.
    pub(super) wanted_scopes: Option<WantedScopes>,
    soon: Backoff,
    later: Backoff,
    begun_at: Option<Instant>,
    read_at: Option<Instant>,
}

/// See there.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// The next try, in ms since 1970; `None`: an operator has to change something first.
    pub(super) next_try: Option<i64>,
}

/// See there.
#[derive(Debug, Clone)]
pub(super) struct WantedScopes {
    pub(super) scopes: Vec<String>,
    pub(super) is_new: bool,
}

/// What the keeper does next.
enum Next {
    Renew(Arc<Held>, OwnedSemaphorePermit),
    ReadIn(Duration),
    LookIn(Duration),
}

impl Keeper {
    /// For a server that wants OAuth; `None` for others, and for a trial.
    pub(super) fn of(spec: &ServerSpec, credentials: Option<&Credentials>) -> Option<Self> {
        let Transport::Http(endpoint) = &spec.transport else { return None };
        let Credential::OAuth(login) = &endpoint.credential else { return None };
        Some(Self {
            credentials: credentials?.clone(),
            typed_secret: login.client_secret.clone(),
            origin: egress::origin(&endpoint.url)?,
            state: Mutex::new(State {
                held: None,
                fault: None,
                failure: None,
                wanted_scopes: None,
                soon: Backoff::new(SOON.0, SOON.1),
                later: Backoff::new(LATER.0, LATER.1),
                begun_at: None,
                read_at: None,
            }),
            reading: tokio::sync::Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            wants_look: AtomicBool::new(false),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is being renewed, here or elsewhere.
    pub(super) fn is_renewing(&self, state: &State) -> bool {
        let is_leased = |held: &Arc<Held>| held.leased_until().is_some_and(|until| until > clock::now_ms());
        self.turn.available_permits() == 0 || state.held.as_ref().is_some_and(is_leased)
    }

    /// Returns when no refresh is under way.
    pub(super) async fn idle(&self) {
        let _ = self.turn.acquire().await;
    }

    /// The server says that the login lacks scopes.
    pub(super) fn want_scopes(&self, challenged: &[&str]) {
        let mut state = self.state();
        let Some(held) = &state.held else { return };
        let is_new = step_up(&held.asked_scopes, challenged).is_some();
        let scopes = challenged.iter().map(|scope| (*scope).to_owned()).collect();
        state.wanted_scopes = Some(WantedScopes { scopes, is_new });
    }

    fn next(&self, login: &Login) -> Next {
        let state = self.state();
        let now = clock::now_ms();
        let times = login.times();
        if state.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
            return Next::ReadIn(Duration::ZERO);
        }
        let Some(held) = state.held.as_ref().filter(|held| held.is_renewable()) else {
            // When its time is over, that is told.
            return Next::LookIn(until(times.end, now));
        };
        if !login.wants_another(now) {
            return Next::LookIn(until(times.due, now).min(until(times.end, now)));
        }
        if held.leased_until().is_some_and(|at| at > now) {
            return Next::ReadIn(READ_EVERY_WHILE_LEASED);
        }
        if let Some(failure) = &state.failure {
            let wait = failure.next_try.map_or(READ_EVERY, |at| until(at, now));
            if failure.next_try.is_none_or(|at| at > now) {
                return Next::LookIn(wait.min(until(times.end, now)));
            }
        }
        if let Some(pause) = state.begun_at.and_then(|at| PAUSE_MIN.checked_sub(at.elapsed())) {
            return Next::LookIn(pause);
        }
        match self.turn.clone().try_acquire_owned() {
            Ok(turn) => Next::Renew(held.clone(), turn),
            // Its end wakes the keeper.
            Err(_) => Next::LookIn(READ_EVERY),
        }
    }

    /// What is held now is the truth; the token is published if it is another one. `true` when it is.
    fn adopt(&self, found: Option<Held>, login: &Login) -> bool {
        let moved = found.as_ref().filter(|held| held.base_origin() != self.origin).map(|held| {
            format!("the login was made for {}, and the base URL is at {} now", held.base_origin(), self.origin)
        });
        let found = found.filter(|_| moved.is_none()).map(Arc::new);
        let mut state = self.state();
        let before = state.held.take();
        let is_same = match (&before, &found) {
            (Some(before), Some(found)) => {
                login.is_shown(&found.tokens.access) && before.tokens.expires_at_ms == found.tokens.expires_at_ms
            }
            (None, None) => state.fault == moved,
            _ => false,
        };
        if before.as_ref().map(|held| held.connected_at()) != found.as_ref().map(|held| held.connected_at()) {
            state.wanted_scopes = None;
            login.forgive();
        }
        state.fault = moved;
        state.held = found;
        state.read_at = Some(Instant::now());
        if is_same {
            return false;
        }
        state.failure = None;
        state.soon.reset();
        state.later.reset();
        let token = state.held.as_ref().map(|held| (&held.tokens.access, times(held)));
        if let Err(error) = login.show(token) {
            state.fault = Some(format!("the token that was given out can't be sent: {error}"));
            state.held = None;
        }
        true
    }

    fn outlook(&self) -> Outlook {
        let state = self.state();
        match (&state.held, &state.failure) {
            (Some(held), None) if held.is_renewable() => Outlook::Renewable,
            (Some(held), Some(Failure { next_try: Some(at), .. })) if held.is_renewable() => Outlook::NotBefore(*at),
            _ => Outlook::Over,
        }
    }

    fn failed(&self, reason: String, is_passing: bool) {
        let mut state = self.state();
        let delay = if is_passing { state.soon.fail() } else { state.later.fail() };
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        state.failure = Some(Failure { reason, next_try: Some(clock::now_ms().saturating_add(delay_ms)) });
    }

    /// The authorization server did not renew it.
    fn refused(&self, error: &OAuthError, reason: String) {
        let is_manual = |held: &Arc<Held>| !held.is_registered_by_us();
        if error.is_client_unknown() && self.state().held.as_ref().is_some_and(is_manual) {
            self.state().failure = Some(Failure { reason, next_try: None });
        } else {
            self.failed(reason, error.may_pass());
        }
    }
}

impl Core {
    /// Keeps the login until the server is retired.
    pub(in crate::upstream) async fn keep(self: Arc<Self>) {
        let Some(keeper) = &self.keeper else { return };
        while !self.is_retired() {
            let pause = match keeper.next(&self.login) {
                Next::ReadIn(pause) => {
                    tokio::time::sleep(pause).await;
                    self.reload().await;
                    continue;
                }
                Next::LookIn(pause) => pause,
                Next::Renew(held, turn) => {
                    self.begin_renewal(held, turn);
                    READ_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause.min(READ_EVERY)) => {}
                () = self.login.wished() => {}
                () = self.retired() => {}
            }
            self.tell_login();
            if self.takes_look() {
                // Beside: it may wait for this very task.
                actix_rt::spawn(self.clone().look());
            }
        }
    }

    /// The server is being looked at.
    pub(super) fn took_look(&self) {
        let _now_it_is = self.takes_look();
    }

    /// Whether the server is to be looked at because it has another login. Says so once.
    fn takes_look(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.wants_look.swap(false, Ordering::AcqRel))
    }

    /// Reads what is held, and publishes it.
    pub(in crate::upstream) async fn reload(&self) {
        let Some(keeper) = &self.keeper else { return };
        let reading = keeper.reading.lock().await;
        let found = keeper.credentials.find(&self.spec.id, keeper.typed_secret.as_ref()).await;
        let is_other = match found {
            Ok(found) => {
                let is_other = keeper.adopt(found, &self.login);
                self.hide_secrets(keeper);
                is_other
            }
            Err(error) => {
                let reason = crate::chain(&error);
                tracing::warn!(server.name = %self.spec.name, reason, "what is held for a server can't be read");
                let mut state = keeper.state();
                state.read_at = Some(Instant::now());
                // A database that fails for a moment takes nothing away.
                if !matches!(error, CredentialError::Store(_)) {
                    state.fault = Some(reason);
                }
                false
            }
        };
        if is_other {
            // A server that was not well for want of a login may be now.
            let wants_look = self.spec.enabled && !matches!(self.status.load().status, Word::Ready | Word::Unknown);
            keeper.wants_look.store(wants_look, Ordering::Release);
            self.forget_refusal();
        }
        drop(reading);
        self.login.tell(keeper.outlook());
        self.tell_login();
    }

    /// An operator wants to know: what failed before is tried again.
    pub(super) fn forgive_login(&self) {
        let Some(keeper) = &self.keeper else { return };
        keeper.state().failure = None;
        self.login.forgive();
        self.login.tell(keeper.outlook());
        self.login.wake();
    }

    fn begin_renewal(self: &Arc<Self>, held: Arc<Held>, turn: OwnedSemaphorePermit) {
        let under_way = UnderWay { core: self.clone(), turn: Some(turn) };
        if let Some(keeper) = &self.keeper {
            keeper.state().begun_at = Some(Instant::now());
        }
        self.tell_login();
        actix_rt::spawn(async move { under_way.core.renew(&held).await });
    }

    async fn renew(&self, held: &Held) {
        let Some(keeper) = &self.keeper else { return };
        let name = &self.spec.name;
        match keeper.credentials.refresh(held).await {
            Ok(Refresh::Present(_)) => tracing::info!(server.name = %name, "the login of a server was renewed"),
            Ok(Refresh::Gone | Refresh::Leased { .. }) => {}
            Ok(Refresh::Refused(error)) => {
                let reason = self.tail.scrub(&error.to_string());
                let kind = error.kind();
                tracing::warn!(server.name = %name, kind, reason, "the login of a server was not renewed");
                keeper.refused(&error, reason);
            }
            Err(error) => {
                let reason = crate::chain(&error);
                tracing::warn!(server.name = %name, reason, "the login of a server was not renewed");
                keeper.failed(reason, true);
            }
        }
        self.reload().await;
    }

    /// What the server or the authorization server repeats of the secrets is hidden, those of before included.
    fn hide_secrets(&self, keeper: &Keeper) {
        let mut secrets = self.login.hidden();
        let held = keeper.state().held.clone();
        secrets.extend(held.iter().flat_map(|held| held.secrets().map(|secret| secret.expose().to_owned())));
        secrets.extend(keeper.typed_secret.iter().map(|secret| secret.expose().to_owned()));
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        self.tail.hide(secrets);
    }
}

/// A refresh that is under way. However it ends, the turn is given back, and the keeper hears of it.
struct UnderWay {
    core: Arc<Core>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        drop(self.turn.take());
        self.core.tell_login();
        self.core.login.wake();
    }
}

/// When a token is due, and when it is over.
fn times(held: &Held) -> Times {
    let Some(end) = held.tokens.expires_at_ms else { return Times::ENDLESS };
    let life = end.saturating_sub(held.given_at());
    if life < LIFE_MIN_MS {
        return Times::ENDLESS;
    }
    let lead = Duration::from_millis(u64::try_from((life / LEAD_PART).min(LEAD_MAX_MS)).unwrap_or_default());
    // Shortened by chance, so that many servers' tokens that were given at once are not renewed at once.
    let lead_ms = i64::try_from(Backoff::new(lead, lead).fail().as_millis()).unwrap_or_default();
    Times { due: end.saturating_sub(lead_ms), end }
}

/// How long until then; much, when it is over.
fn until(at: i64, now: i64) -> Duration {
    match u64::try_from(at.saturating_sub(now)) {
        Ok(wait_ms @ 1..) => Duration::from_millis(wait_ms),
        _ => READ_EVERY,
    }
}

#[cfg(test)]
mod tests;
