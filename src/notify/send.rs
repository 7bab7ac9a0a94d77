//! One message on its way, by each kind of channel.

mod command;
mod ntfy;
mod slack;

use std::time::Duration;

use url::Url;

use super::channel::{ChannelError, Kind, secret_slot, topic_of, url_slot};
use super::notice::Notice;
use super::text::shown;
use crate::clock;
use crate::egress::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use crate::egress::{Post, post, signed};
use crate::store::channel::Row;
use crate::vault::{SecretText, Vault};

/// How long a receiver may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest pause that a receiver may ask for.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// How long a reason may be, in characters.
const REASON_CHARS_MAX: usize = 500;

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// for operators; nothing secret is in it
    pub(super) problem: String,
    /// how long the receiver wants to be left alone
    pub(super) pause: Option<Duration>,
    /// the receiver wants nothing any more
    pub(super) is_gone: bool,
}

impl Failure {
    /// What is to be told could not be read.
    pub(super) fn unread(why: &str) -> Self {
        Self::new(&format!("what is to be told can't be read: {why}"))
    }

    fn new(problem: &str) -> Self {
        Self { problem: shown(problem, REASON_CHARS_MAX), pause: None, is_gone: false }
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        Self::new(&crate::chain(&error))
    }
}

/// How long sending takes at most, by the kind of the channel.
pub(super) fn within(row: &Row) -> Duration {
    if row.kind == Kind::Command.word() { command::WITHIN } else { ANSWER_WITHIN }
}

/// Sends a notice as a message of that id, and returns when it was taken.
pub(super) async fn send(vault: &Vault, row: &Row, id: &str, notice: &Notice) -> Result<(), Failure> {
    let kind = Kind::parse(&row.kind).ok_or(ChannelError::NotWhole)?;
    let now = clock::now_ms();
    match kind {
        Kind::Webhook => {
            let body = notice.to_json().to_string();
            // The id stays the same when it is sent again; the time is that of the try, as receivers refuse what is old.
            // Unsigned it would look like anybody's.
            let secret = secret(vault, row, kind)?.ok_or(ChannelError::NotWhole)?;
            let headers = signed(Some(secret.expose()), id, now / 1_000, &body);
            tell(url(vault, row)?.expose(), headers, body).await
        }
        Kind::Slack => tell(url(vault, row)?.expose(), Vec::new(), slack::message(notice, now).to_string()).await,
        Kind::Ntfy => {
            let address = Url::parse(url(vault, row)?.expose()).map_err(|_| ChannelError::NotWhole)?;
            let topic = topic_of(&address).ok_or(ChannelError::NotWhole)?;
            let root = format!("{}/", address.origin().ascii_serialization());
            let bearer = |token: SecretText| HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let bearer = secret(vault, row, kind)?.map(bearer).transpose().map_err(|_| ChannelError::NotWhole)?;
            let headers = bearer.map(|bearer| (AUTHORIZATION, bearer)).into_iter().collect();
            tell(&root, headers, ntfy::message(&topic, notice, now).to_string()).await
        }
        Kind::Command => {
            let words = row.command.as_deref().ok_or(ChannelError::NotWhole)?;
            let argv: Vec<String> = serde_json::from_str(words).map_err(ChannelError::from)?;
            command::run(&argv, id, notice).await
        }
    }
}

fn url(vault: &Vault, row: &Row) -> Result<SecretText, ChannelError> {
    let sealed = row.url.as_deref().ok_or(ChannelError::NotWhole)?;
    Ok(vault.open(&url_slot(&row.id, row.origin.as_deref()), sealed)?)
}

fn secret(vault: &Vault, row: &Row, kind: Kind) -> Result<Option<SecretText>, ChannelError> {
    let open = |sealed| vault.open(&secret_slot(kind, &row.id, row.origin.as_deref()), sealed);
    Ok(row.secret.as_deref().map(open).transpose()?)
}

/// Posts a message. What egress says when it can't names hosts and no paths.
async fn tell(url: &str, mut headers: Vec<(HeaderName, HeaderValue)>, body: String) -> Result<(), Failure> {
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    let taken = post(Post { url, headers, body, within: ANSWER_WITHIN }).await;
    let taken = taken.map_err(|error| Failure::new(&crate::chain(&error)))?;
    let pause = taken.retry_after.as_deref().and_then(|text| pause(text, clock::now_ms()));
    let status = taken.status;
    let problem = match status {
        200..=299 => return Ok(()),
        300..=399 => format!("it redirects ({status}); redirects are not followed: give the address it leads to"),
        401 | 403 => format!("it answered with {status}: give a token or an address that lets the gateway in"),
        404 => "it answered with 404: there is nothing at this address".to_owned(),
        410 => {
            "it answered with 410: whoever is there wants nothing any more; enable it when that has changed".to_owned()
        }
        429 => "it answered with 429: it is told too much at once".to_owned(),
        status => format!("it answered with {status}"),
    };
    Err(Failure { pause, is_gone: status == 410, ..Failure::new(&problem) })
}

/// `Retry-After`: seconds, or a date.
fn pause(text: &str, now: i64) -> Option<Duration> {
    let seconds = text.trim().parse::<u64>().ok().map(Duration::from_secs);
    let until = || {
        let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
        u64::try_from(date.timestamp_millis() - now).ok().map(Duration::from_millis)
    };
    seconds.or_else(until).map(|pause| pause.min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_a_pause_and_for_no_more_than_an_hour() {
        assert_eq!(pause("7", 0), Some(Duration::from_secs(7)));
        assert_eq!(pause("999999", 0), Some(PAUSE_MAX));
        assert_eq!(pause("Thu, 01 Jan 1970 00:00:09 GMT", 2_000), Some(Duration::from_secs(7)));
        assert_eq!(pause("Thu, 01 Jan 1970 00:00:01 GMT", 2_000), None);
        assert_eq!(pause("-1", 0), None);
        assert_eq!(pause("soon", 0), None);
    }
}
