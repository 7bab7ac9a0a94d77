//! What is told: that an approval waits, for whom, about what, until when, and where to look at it.
//!
//! Every text in a notice is already fit to be shown; see `text`.

use serde_json::{Value, json};

use super::text::shown;
use crate::journal::masked;
use crate::store::approval::Row;
use crate::store::{self, Store, StoreError};

/// How much of a name, and of the arguments, is shown, in characters.
const NAME_CHARS_MAX: usize = 200;
const ARGUMENTS_CHARS_MAX: usize = 600;
/// Parts of the names of members that hold secrets, in lower case and without `_` and `-`.
const SECRET_NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "credential",
    "authorization",
    "cookie",
    "signature",
];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// such as `approval.pending`
    pub(super) kind: &'static str,
    /// ms
    pub(super) at: i64,
    /// the channel that tells it
    pub(super) channel: String,
    /// where to look; nothing is decided by opening it
    pub(super) url: String,
    /// what waits; none of a notice that only tries the channel
    pub(super) asked: Option<Asked>,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) approval_id: String,
    pub(super) agent: String,
    pub(super) server: String,
    pub(super) method: String,
    pub(super) tool: Option<String>,
    /// JSON text, without secrets, cut; none when the channel is not to tell
    pub(super) arguments: Option<String>,
    /// the rule that asks; none of the default
    pub(super) rule_id: Option<String>,
    /// an operator's words
    pub(super) rule: Option<String>,
    /// ms
    pub(super) created_at: i64,
    /// ms
    pub(super) expires_at: i64,
}

impl Notice {
    /// A notice about nothing.
    pub(super) fn test(channel: &str, public_url: &str, at: i64) -> Self {
        let url = format!("{public_url}/ui/");
        Self { kind: "channel.test", at, channel: channel.to_owned(), url, asked: None }
    }

    /// The notice that an approval waits.
    pub(super) async fn of(
        store: &Store,
        channel: &store::channel::Row,
        approval: &Row,
        public_url: &str,
        at: i64,
    ) -> Result<Self, StoreError> {
        let invocation = store::invocation::find(store, &approval.invocation_id).await?;
        let rule_id = invocation.and_then(|row| row.rule_id);
        let rule = match &rule_id {
            Some(id) => store::rule::find(store, id).await?,
            None => None,
        };
        let description = rule.map(|rule| rule.description).filter(|description| !description.is_empty());
        let name = |text: &str| shown(text, NAME_CHARS_MAX);
        let arguments = approval.arguments.as_deref().filter(|_| channel.wants_arguments);
        let asked = Asked {
            approval_id: approval.id.clone(),
            agent: name(&approval.agent),
            server: name(&approval.server),
            method: name(&approval.method),
            tool: approval.tool.as_deref().map(name),
            arguments: arguments.map(|text| shown(&masked(text, is_secret), ARGUMENTS_CHARS_MAX)),
            rule_id,
            rule: description.as_deref().map(name),
            created_at: approval.created_at,
            expires_at: approval.expires_at,
        };
        let url = format!("{public_url}/ui/#approval={}", approval.id);
        Ok(Self { kind: "approval.pending", at, channel: channel.name.clone(), url, asked: Some(asked) })
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let data = match &self.asked {
            None => json!({ "channel": self.channel, "url": self.url }),
            Some(asked) => json!({
                "agent": asked.agent,
                "approval_id": asked.approval_id,
                "arguments_text": asked.arguments,
                "channel": self.channel,
                "created_at": moment(asked.created_at),
                "expires_at": moment(asked.expires_at),
                "method": asked.method,
                "rule_description": asked.rule,
                "rule_id": asked.rule_id,
                "server": asked.server,
                "tool": asked.tool,
                "url": self.url,
            }),
        };
        json!({ "type": self.kind, "timestamp": moment(self.at), "data": data })
    }
}

impl Asked {
    /// What is to be called, in a word.
    pub(super) fn what(&self) -> &str {
        self.tool.as_deref().unwrap_or(&self.method)
    }

    /// How long there is left, in words.
    pub(super) fn left(&self, now: i64) -> String {
        let minutes = (self.expires_at - now).max(0) / 60_000;
        let hours = minutes / 60;
        match (hours, minutes) {
            (0, 0) => "in less than a minute".to_owned(),
            (0, minutes) => format!("in {minutes} min"),
            (hours, minutes) => format!("in {hours} h {} min", minutes % 60),
        }
    }
}

/// Whether a member of that name is likely to hold a secret.
fn is_secret(name: &str) -> bool {
    let letters = name.chars().filter(|char| !matches!(char, '_' | '-' | ' ' | '.'));
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    matches!(plain.as_str(), "pin" | "auth" | "pwd" | "jwt") || SECRET_NAMES.iter().any(|part| plain.contains(part))
}

/// RFC 3339, in UTC.
pub(super) fn moment(ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        for name in
            ["password", "DB_PASSWORD", "apiKey", "api-key", "x.Access_Token", "clientSecret", "Authorization", "pin"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["path", "key", "author", "spin", "text", "to"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn what_is_left_is_told_in_words() {
        let asked = |ms| Asked {
            approval_id: String::new(),
            agent: String::new(),
            server: String::new(),
            method: "prompts/get".into(),
            tool: None,
            arguments: None,
            rule_id: None,
            rule: None,
            created_at: 0,
            expires_at: ms,
        };
        for (ms, words) in [
            (-5, "in less than a minute"),
            (59_999, "in less than a minute"),
            (600_000, "in 10 min"),
            (7_260_000, "in 2 h 1 min"),
        ] {
            assert_eq!(asked(ms).left(0), words);
        }
        assert_eq!(asked(0).what(), "prompts/get");
    }
}
