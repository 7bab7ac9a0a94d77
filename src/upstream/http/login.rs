//! The login of one remote server: what it is shown now.
//!
//! It is read with every request, on whichever thread that is sent: another token is in force at once, for connections
//! that are open, too, and what is in flight goes on. Of a server that wants OAuth, the keeper
//! (`upstream/core/keeper.rs`) publishes the tokens here; of any other it never changes.
//!
//! A token whose time is over is not shown. Whoever would send it waits for the next one, and so does whoever was
//! refused with it; but not for long, and not at all when the keeper has said that none will come.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::endpoint::Credential;
use super::error::HttpError;
use super::masks::Masks;
use crate::backoff::Backoff;
use crate::clock;
use crate::egress::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use crate::upstream::spec::Transport;
use crate::vault::SecretText;

/// Tokens that are hidden in what the server says: the present one, and those before it that answers may still hold.
const HIDDEN_MAX: usize = 4;
/// The next token is waited for this long, or for three quarters of the server's own time if that is less: a request
/// that was not sent must not be told as one that may have run.
const PATIENCE_MAX: Duration = Duration::from_secs(10);
/// When nobody knows better.
const RETRY_AFTER_SECONDS: u64 = 1;
/// A server that refuses what was renewed for it: first and longest time without another try.
const IN_VAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

/// See the module.
pub(in crate::upstream) struct Login {
    shown: ArcSwap<Shown>,
    /// Somebody publishes tokens.
    is_kept: bool,
    /// Changes when something has become of a token.
    news: watch::Sender<()>,
    /// Wakes the keeper.
    wish: Notify,
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    outlook: Outlook,
    /// The newest last.
    hidden: VecDeque<String>,
    /// Until then a refusal is no reason to renew, in ms since 1970.
    in_vain_until: i64,
    in_vain: Backoff,
}

/// What can be expected for a token that does not do any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Outlook {
    /// There will be another one soon.
    Renewable,
    /// The next try is made then, in ms since 1970.
    NotBefore(i64),
    /// A person has to do something.
    Over,
}

/// What goes with a request, whatever it is. It holds secrets, and can't be printed.
pub(in crate::upstream) struct Shown {
    pub(super) headers: HeaderMap,
    pub(super) masks: Masks,
    token: Option<Token>,
}

/// When a token does, and whether it is used.
struct Token {
    text: SecretText,
    times: Times,
    is_used: AtomicBool,
    is_refused: AtomicBool,
    is_in_vain: AtomicBool,
}

/// In ms since 1970; what never comes is the last moment there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Times {
    /// From then on another one is wanted.
    pub(in crate::upstream) due: i64,
    /// From then on it is not shown any more.
    pub(in crate::upstream) end: i64,
}

impl Times {
    /// Of a token that is used until it is refused.
    pub(in crate::upstream) const ENDLESS: Self = Self { due: i64::MAX, end: i64::MAX };
}

impl Login {
    /// Of that server, and why it can't be sent as it is stored.
    pub(in crate::upstream) fn of(transport: &Transport) -> (Self, Option<String>) {
        let made = match transport {
            Transport::Stdio(_) => Self::constant(&Credential::None),
            Transport::Http(endpoint) => match &endpoint.credential {
                Credential::OAuth(_) => return (Self::kept(endpoint.timeout), None),
                credential => Self::constant(credential),
            },
        };
        made.map_or_else(|fault| (Self::kept(Duration::ZERO), Some(fault)), |login| (login, None))
    }

    /// Of a server without OAuth.
    fn constant(credential: &Credential) -> Result<Self, String> {
        let shown = Shown { headers: headers_of(credential)?, masks: Masks::of(&credential.secrets()), token: None };
        Ok(Self::new(shown, false, Duration::ZERO))
    }

    /// Of a server whose tokens are published by a keeper; there is none yet.
    fn kept(timeout: Duration) -> Self {
        let patience = PATIENCE_MAX.min(timeout * 3 / 4);
        Self::new(Shown { headers: common_headers(), masks: Masks::of(&[]), token: None }, true, patience)
    }

    fn new(shown: Shown, is_kept: bool, patience: Duration) -> Self {
        let state = State {
            outlook: Outlook::Renewable,
            hidden: VecDeque::new(),
            in_vain_until: 0,
            in_vain: Backoff::new(IN_VAIN.0, IN_VAIN.1),
        };
        Self {
            shown: ArcSwap::from_pointee(shown),
            is_kept,
            news: watch::Sender::new(()),
            wish: Notify::new(),
            patience,
            state: Mutex::new(state),
        }
    }

    /// What goes with a request that is sent now. Waits when the time of the present token is over.
    pub(super) async fn shown(&self) -> Result<Arc<Shown>, HttpError> {
        let shown = self.shown.load_full();
        let Some(token) = &shown.token else { return Ok(shown) };
        let now = clock::now_ms();
        token.use_now();
        if now < token.times.due {
            return Ok(shown);
        }
        self.wish.notify_one();
        if now < token.times.end { Ok(shown) } else { self.next_after(&shown).await }
    }

    /// What is shown now, for whoever looks at what the server said.
    pub(super) fn present(&self) -> Arc<Shown> {
        self.shown.load_full()
    }

    /// The server refused this. What to try instead; `None`: there is nothing else.
    pub(super) async fn instead_of(&self, refused: &Arc<Shown>) -> Option<Arc<Shown>> {
        if !self.is_kept {
            return None;
        }
        let present = self.shown.load_full();
        if !Arc::ptr_eq(&present, refused) {
            return Some(present);
        }
        let token = refused.token.as_ref()?;
        if clock::now_ms() < self.state().in_vain_until {
            return None;
        }
        token.is_refused.store(true, Ordering::Release);
        self.next_after(refused).await.ok()
    }

    /// What came of trying that instead. A server that refuses even what was just renewed is not renewed for again and
    /// again.
    pub(super) fn tried_instead(&self, shown: &Shown, is_taken: bool) {
        let Some(token) = &shown.token else { return };
        let mut state = self.state();
        if is_taken {
            state.in_vain.reset();
            state.in_vain_until = 0;
        } else if !token.is_in_vain.swap(true, Ordering::AcqRel) {
            let pause = i64::try_from(state.in_vain.fail().as_millis()).unwrap_or(i64::MAX);
            state.in_vain_until = clock::now_ms().saturating_add(pause);
        }
    }

    async fn next_after(&self, old: &Arc<Shown>) -> Result<Arc<Shown>, HttpError> {
        let mut news = self.news.subscribe();
        let next = async {
            loop {
                let present = self.shown.load_full();
                if !Arc::ptr_eq(&present, old) {
                    return Ok(present);
                }
                self.hope()?;
                self.wish.notify_one();
                if news.changed().await.is_err() {
                    return Err(late(RETRY_AFTER_SECONDS));
                }
            }
        };
        tokio::time::timeout(self.patience, next).await.unwrap_or_else(|_| Err(late(RETRY_AFTER_SECONDS)))
    }

    /// Whether there is something to wait for.
    fn hope(&self) -> Result<(), HttpError> {
        match self.state().outlook {
            Outlook::Renewable => Ok(()),
            Outlook::Over => Err(HttpError::LoginOver),
            Outlook::NotBefore(at) => match u64::try_from(at.saturating_sub(clock::now_ms())) {
                Ok(wait_ms @ 1..) => Err(late(wait_ms.div_ceil(1000))),
                _ => Ok(()),
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the keeper does with it.
impl Login {
    /// From now on this token is shown, or none. The one before stays hidden in what the server says.
    ///
    /// # Errors
    /// It can't be sent; what was shown before still is.
    pub(in crate::upstream) fn show(&self, token: Option<(&SecretText, Times)>) -> Result<(), String> {
        let mut headers = common_headers();
        if let Some((text, _)) = token {
            headers.insert(header::AUTHORIZATION, bearer(text)?);
            let mut state = self.state();
            state.hidden.retain(|known| known != text.expose());
            state.hidden.push_back(text.expose().to_owned());
            while state.hidden.len() > HIDDEN_MAX {
                state.hidden.pop_front();
            }
        }
        let token = token.map(|(text, times)| Token {
            text: text.clone(),
            times,
            is_used: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            is_in_vain: AtomicBool::new(false),
        });
        self.shown.store(Arc::new(Shown { headers, masks: Masks::of(&self.hidden()), token }));
        Ok(())
    }

    /// Whether it is this token that is shown.
    pub(in crate::upstream) fn is_shown(&self, text: &SecretText) -> bool {
        self.shown.load().token.as_ref().is_some_and(|token| token.text.is(text.expose()))
    }

    /// The tokens that are hidden in what the server says.
    pub(in crate::upstream) fn hidden(&self) -> Vec<String> {
        self.state().hidden.iter().cloned().collect()
    }

    /// When the present token does.
    pub(in crate::upstream) fn times(&self) -> Times {
        self.shown.load().token.as_ref().map_or(Times::ENDLESS, |token| token.times)
    }

    /// Whether somebody wants another token: the present one was refused, or is in use and is due.
    pub(in crate::upstream) fn wants_another(&self, now: i64) -> bool {
        self.shown.load().token.as_ref().is_some_and(|token| {
            let is_used = token.is_used.load(Ordering::Acquire);
            token.is_refused.load(Ordering::Acquire) || (is_used && now >= token.times.due)
        })
    }

    /// Says what can be expected, and wakes all who wait.
    pub(in crate::upstream) fn tell(&self, outlook: Outlook) {
        self.state().outlook = outlook;
        self.news.send_replace(());
    }

    /// An operator wants to know: what was in vain before may be tried again.
    pub(in crate::upstream) fn forgive(&self) {
        let mut state = self.state();
        state.in_vain.reset();
        state.in_vain_until = 0;
    }

    /// Has the keeper look.
    pub(in crate::upstream) fn wake(&self) {
        self.wish.notify_one();
    }

    /// Resolves when the keeper should look.
    pub(in crate::upstream) async fn wished(&self) {
        self.wish.notified().await;
    }
}

impl Token {
    /// Written once: many threads read it.
    fn use_now(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Release);
        }
    }
}

fn late(retry_after_seconds: u64) -> HttpError {
    HttpError::LoginLate { retry_after_seconds }
}

fn common_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("atryum/", env!("CARGO_PKG_VERSION"))));
    headers
}

fn headers_of(credential: &Credential) -> Result<HeaderMap, String> {
    let mut headers = common_headers();
    match credential {
        Credential::None | Credential::Bearer(None) | Credential::OAuth(_) => {}
        Credential::Bearer(Some(token)) => {
            headers.insert(header::AUTHORIZATION, bearer(token)?);
        }
        Credential::Headers(named) => {
            for (name, value) in named {
                let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable(name))?;
                let value = HeaderValue::from_str(value.expose()).map_err(|_| unsendable(name))?;
                headers.insert(header, sensitive(value));
            }
        }
    }
    Ok(headers)
}

fn bearer(token: &SecretText) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    value.map(sensitive).map_err(|_| unsendable("Authorization"))
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn unsendable(name: &str) -> String {
    format!("the header {name} can't be sent as it is stored")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> SecretText {
        SecretText::new(format!("s3cret-token-{number}"))
    }

    fn kept() -> Login {
        Login::kept(Duration::from_secs(1))
    }

    #[tokio::test]
    async fn the_present_token_and_the_few_before_it_are_hidden() {
        let login = kept();
        for number in 0..10 {
            login.show(Some((&token(number), Times::ENDLESS))).unwrap();
        }
        assert_eq!(login.hidden().len(), HIDDEN_MAX);
        let text = login.present().masks.apply("s3cret-token-5 s3cret-token-6 s3cret-token-9".into());
        assert_eq!(text, "s3cret-token-5 ••• •••");
    }

    #[tokio::test]
    async fn a_token_that_can_not_be_sent_leaves_what_was_there() {
        let login = kept();
        login.show(Some((&token(1), Times::ENDLESS))).unwrap();
        assert!(login.show(Some((&SecretText::new("a\nb"), Times::ENDLESS))).is_err());
        assert!(login.is_shown(&token(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_for_the_keepers_word_or_the_bound() {
        let login = kept();
        login.show(Some((&token(1), Times { due: 0, end: 0 }))).unwrap();
        assert!(matches!(login.shown().await, Err(HttpError::LoginLate { .. })), "nobody came");
        assert!(login.wants_another(clock::now_ms()), "it was asked for");
        login.tell(Outlook::NotBefore(clock::now_ms() + 60_000));
        assert!(matches!(login.shown().await, Err(HttpError::LoginLate { retry_after_seconds: 59..=60 })));
        login.tell(Outlook::Over);
        assert!(matches!(login.shown().await, Err(HttpError::LoginOver)));
        login.show(Some((&token(2), Times::ENDLESS))).unwrap();
        assert!(login.shown().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_renewed_in_vain_is_no_reason_to_renew_again() {
        let login = kept();
        login.show(Some((&token(1), Times::ENDLESS))).unwrap();
        let first = login.shown().await.unwrap();
        login.show(Some((&token(2), Times::ENDLESS))).unwrap();
        let second = login.instead_of(&first).await.expect("another one is there");
        login.tried_instead(&second, false);
        assert!(login.instead_of(&second).await.is_none());
        assert!(!login.wants_another(0), "nobody was asked for another one");
        login.forgive();
        login.tell(Outlook::Renewable);
        assert!(login.instead_of(&second).await.is_none(), "nobody came");
        assert!(login.wants_another(0), "but it was asked for");
    }
}
