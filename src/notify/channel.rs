//! A channel as operators define it, and whether that makes sense.
//!
//! Its address is a secret: whoever knows that of a Slack webhook or of a topic can write there. It is sealed together with
//! its origin, which is shown, so that it can't be moved elsewhere beside what is shown. A token is sealed to that origin,
//! too.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::egress;
use crate::gate::Patterns;
use crate::store::channel::{Row, Sealed};
use crate::vault::{SecretText, Slot, Vault, VaultError};

/// Longest delay: a day, which is the furthest that an approval's end can be moved.
const DELAY_SECONDS_MAX: i64 = 86_400;
/// How many bytes the key in a signing secret has, as Standard Webhooks has it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Longest token and longest command, all of it.
const TOKEN_BYTES_MAX: usize = 1_024;
const COMMAND_BYTES_MAX: usize = 16 * 1_024;

/// How a channel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChannelKind)]
pub enum Kind {
    /// A POST of JSON, signed as Standard Webhooks has it.
    Webhook,
    /// A POST as incoming webhooks of Slack take it, and those who took that over.
    Slack,
    /// A message to a topic of ntfy.
    Ntfy,
    /// A program on the gateway's machine.
    Command,
}

impl Kind {
    /// Returns the word that is stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Ntfy => "ntfy",
            Self::Command => "command",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Webhook, Self::Slack, Self::Ntfy, Self::Command].into_iter().find(|kind| kind.word() == word)
    }
}

/// A secret as an edit has it.
#[derive(Debug, Default)]
pub enum Given {
    /// There is none.
    #[default]
    None,
    /// The one that is stored stays.
    Stored,
    /// This one, from now on.
    New(SecretText),
}

impl Given {
    fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// A field that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer.
    pub pointer: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// How a channel is to tell, and what of.
#[derive(Debug)]
pub struct Definition {
    /// How it tells.
    pub kind: Kind,
    /// Globs over agents' names.
    pub agents: Vec<String>,
    /// Globs over servers' names.
    pub servers: Vec<String>,
    /// How long nobody has to have answered.
    pub delay_seconds: i64,
    /// command: the program and its arguments.
    pub command: Vec<String>,
    /// All others: where to.
    pub url: Given,
    /// webhook: what messages are signed with.
    pub secret: Given,
    /// ntfy: what lets the gateway in.
    pub token: Given,
}

impl Definition {
    /// Lists all that can't be used; `own` and `public_url` are where this gateway is reached.
    #[must_use]
    pub fn faults(&self, own: SocketAddr, public_url: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut add = |pointer, detail: String| faults.push(Fault { pointer, detail });
        for (pointer, globs) in [("/agents", &self.agents), ("/servers", &self.servers)] {
            if let Err(error) = Patterns::parse(globs) {
                add(pointer, error.to_string());
            }
        }
        if !(0..=DELAY_SECONDS_MAX).contains(&self.delay_seconds) {
            add("/delay_seconds", format!("0 to {DELAY_SECONDS_MAX} is expected"));
        }
        if let Some(detail) = self.fault_of_command() {
            add("/command", detail);
        }
        if let Some(detail) = self.fault_of_url(own, public_url) {
            add("/url", detail);
        }
        if let Some(detail) = self.fault_of_secret() {
            add("/secret", detail);
        }
        if let Some(detail) = self.fault_of_token() {
            add("/token", detail);
        }
        faults
    }

    fn fault_of_command(&self) -> Option<String> {
        let is_command = self.kind == Kind::Command;
        match self.command.first() {
            Some(_) if !is_command => Some(foreign(self.kind)),
            None if is_command => {
                Some("the program and its arguments are expected, as a list; no shell reads it".into())
            }
            Some(program) if program.is_empty() => Some("the program has no name".into()),
            _ if self.command.iter().any(|word| word.contains('\0')) => Some("it holds a NUL byte".into()),
            _ if self.command.iter().map(String::len).sum::<usize>() > COMMAND_BYTES_MAX => {
                Some(format!("it is longer than {COMMAND_BYTES_MAX} bytes"))
            }
            _ => None,
        }
    }

    fn fault_of_url(&self, own: SocketAddr, public_url: &str) -> Option<String> {
        let is_command = self.kind == Kind::Command;
        let new = match &self.url {
            Given::None if is_command => return None,
            _ if is_command => return Some(foreign(self.kind)),
            Given::None => return Some("an address is expected, http or https".into()),
            Given::Stored => return None,
            Given::New(text) => text.expose(),
        };
        let url = match egress::parse(new) {
            Ok(url) => url,
            Err(reason) => return Some(reason),
        };
        if egress::is_own(new, own, public_url) {
            return Some("this is the gateway's own address; give that of whoever is to be told".into());
        }
        if self.kind == Kind::Ntfy && topic_of(&url).is_none() {
            return Some("an address with a topic and nothing else is expected, such as https://ntfy.sh/TOPIC".into());
        }
        None
    }

    fn fault_of_secret(&self) -> Option<String> {
        match (&self.secret, self.kind) {
            (Given::None, Kind::Webhook) => Some(format!("a signing secret is expected: {SECRET_FORM}")),
            (Given::New(text), Kind::Webhook) => {
                let is_key = egress::key_of(text.expose()).is_some_and(|key| KEY_BYTES.contains(&key.len()));
                (!is_key).then(|| SECRET_FORM.to_owned())
            }
            (given, kind) => (given.is_some() && kind != Kind::Webhook).then(|| foreign(kind)),
        }
    }

    fn fault_of_token(&self) -> Option<String> {
        match (&self.token, self.kind) {
            (Given::New(text), Kind::Ntfy) => {
                let text = text.expose();
                let is_token = text.bytes().all(|byte| byte.is_ascii_graphic());
                (!is_token || text.is_empty() || text.len() > TOKEN_BYTES_MAX)
                    .then(|| format!("1 to {TOKEN_BYTES_MAX} visible ASCII characters are expected"))
            }
            (given, kind) => (given.is_some() && kind != Kind::Ntfy).then(|| foreign(kind)),
        }
    }

    /// Puts what was judged into the row, its secrets sealed.
    ///
    /// # Errors
    /// The vault can't seal, or what the list of a row can't be written as.
    pub fn put(self, vault: &Vault, row: &mut Row) -> Result<(), ChannelError> {
        self.kind.word().clone_into(&mut row.kind);
        row.agents = serde_json::to_string(&self.agents)?;
        row.servers = serde_json::to_string(&self.servers)?;
        row.delay_seconds = self.delay_seconds;
        let is_command = self.kind == Kind::Command;
        row.command = if is_command { Some(serde_json::to_string(&self.command)?) } else { None };
        let id = row.id.clone();
        match &self.url {
            Given::Stored => {}
            Given::None => (row.url, row.origin) = (None, None),
            Given::New(text) => {
                row.origin = egress::origin(text.expose());
                row.url = Some(vault.seal(&url_slot(&id, row.origin.as_deref()), text)?);
            }
        }
        let secret = if self.kind == Kind::Ntfy { &self.token } else { &self.secret };
        match secret {
            Given::Stored => {}
            Given::None => row.secret = None,
            Given::New(text) => {
                row.secret = Some(vault.seal(&secret_slot(self.kind, &id, row.origin.as_deref()), text)?);
            }
        }
        Ok(())
    }
}

/// What a signing secret looks like.
const SECRET_FORM: &str =
    "whsec_ and 24 to 64 bytes in base64, such as printf 'whsec_%s' \"$(openssl rand -base64 32)\" makes";

fn foreign(kind: Kind) -> String {
    format!("a channel of the kind {} has no such field; leave it out", kind.word())
}

/// The topic in an address of ntfy, which has nothing else in its path.
pub(super) fn topic_of(url: &Url) -> Option<String> {
    let topic = url.path().strip_prefix('/')?;
    let is_topic = !topic.is_empty() && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_topic && topic.len() <= 64 && url.query().is_none()).then(|| topic.to_owned())
}

pub(super) fn url_slot<'a>(id: &'a str, origin: Option<&str>) -> Slot<'a> {
    let slot = Slot::of_channel(id, Sealed::Url);
    match origin {
        Some(origin) => slot.sent_to(origin),
        None => slot,
    }
}

/// A signing secret goes nowhere; a token goes with each message.
pub(super) fn secret_slot<'a>(kind: Kind, id: &'a str, origin: Option<&str>) -> Slot<'a> {
    let slot = Slot::of_channel(id, Sealed::Secret);
    match origin {
        Some(origin) if kind == Kind::Ntfy => slot.sent_to(origin),
        _ => slot,
    }
}

/// A channel's row can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Its secrets can't be sealed or opened.
    #[error("its secrets can't be used; give them anew: {0}")]
    Vault(#[from] VaultError),
    /// It is of a kind that this release does not know, or what belongs to its kind is not there.
    #[error("it is not whole; delete it and add it anew")]
    NotWhole,
    /// A list in it is none.
    #[error("a list in it can't be read; give it anew")]
    List(#[from] serde_json::Error),
}

/// For which agents and servers a stored channel is.
pub(super) struct Scope {
    agents: Patterns,
    servers: Patterns,
}

impl Scope {
    /// Reads the row. What can't be read is for nobody, and is said.
    pub(super) fn of(row: &Row) -> Result<Self, ChannelError> {
        let patterns = |text: &str| -> Result<Patterns, ChannelError> {
            let globs: Vec<String> = serde_json::from_str(text)?;
            Patterns::parse(&globs).map_err(|_| ChannelError::NotWhole)
        };
        Ok(Self { agents: patterns(&row.agents)?, servers: patterns(&row.servers)? })
    }

    pub(super) fn covers(&self, agent: &str, server: &str) -> bool {
        self.agents.matches(agent) && self.servers.matches(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn new(text: &str) -> Given {
        Given::New(SecretText::new(text))
    }

    fn definition(kind: Kind) -> Definition {
        let any = || vec!["*".to_owned()];
        let (url, secret, token) = (Given::None, Given::None, Given::None);
        Definition { kind, agents: any(), servers: any(), delay_seconds: 0, command: Vec::new(), url, secret, token }
    }

    fn faults(definition: &Definition) -> String {
        let own = "127.0.0.1:8080".parse().unwrap();
        let faults = definition.faults(own, "https://gate.example");
        faults.iter().map(|fault| fault.pointer).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_kind_needs_what_it_tells_by_and_takes_nothing_else() {
        let url = || new("https://hooks.example/x/y");
        assert_eq!(faults(&Definition { url: url(), secret: new(KEY), ..definition(Kind::Webhook) }), "");
        assert_eq!(faults(&Definition { url: url(), ..definition(Kind::Slack) }), "");
        let topic = || new("https://ntfy.example/topic-1");
        assert_eq!(faults(&Definition { url: topic(), token: new("tk_1"), ..definition(Kind::Ntfy) }), "");
        assert_eq!(faults(&Definition { command: vec!["true".into()], ..definition(Kind::Command) }), "");
        assert_eq!(faults(&definition(Kind::Webhook)), "/url /secret");
        assert_eq!(faults(&definition(Kind::Slack)), "/url");
        assert_eq!(faults(&definition(Kind::Command)), "/command");
        let all = |kind| {
            let command = vec!["true".into()];
            Definition { command, url: topic(), secret: new(KEY), token: new("t"), ..definition(kind) }
        };
        assert_eq!(faults(&all(Kind::Webhook)), "/command /token");
        assert_eq!(faults(&all(Kind::Slack)), "/command /secret /token");
        assert_eq!(faults(&all(Kind::Ntfy)), "/command /secret");
        assert_eq!(faults(&all(Kind::Command)), "/url /secret /token");
    }

    #[test]
    fn what_is_given_is_judged() {
        let slack = |url: &str| faults(&Definition { url: new(url), ..definition(Kind::Slack) });
        for url in
            ["ftp://x", "http://169.254.169.254/x", "http://127.0.0.1:8080/x", "https://gate.example/x", "http://u@x/"]
        {
            assert_eq!(slack(url), "/url", "{url}");
        }
        for url in ["https://ntfy.sh/", "https://ntfy.sh/a/b", "https://ntfy.sh/a?b", "https://ntfy.sh/%61"] {
            assert_eq!(faults(&Definition { url: new(url), ..definition(Kind::Ntfy) }), "/url", "{url}");
        }
        let webhook = |secret: &str| {
            faults(&Definition { url: new("http://10.0.0.1/"), secret: new(secret), ..definition(Kind::Webhook) })
        };
        for secret in ["", "plain words that are long enough for it", "whsec_c2hvcnQ=", "whsec_…"] {
            assert_eq!(webhook(secret), "/secret", "{secret}");
        }
        assert_eq!(webhook(KEY), "");
        let odd =
            Definition { agents: vec![], servers: vec!["{a".into()], delay_seconds: 86_401, ..definition(Kind::Slack) };
        assert_eq!(faults(&odd), "/agents /servers /delay_seconds /url");
        let token = Definition { url: new("http://10.0.0.1/t"), token: new("a\nb"), ..definition(Kind::Ntfy) };
        assert_eq!(faults(&token), "/token");
    }
}
