//! What a command can come to, short of being done, and the exit code that says so to a script.

use std::{fmt::Write as _, process::ExitCode};

use serde::Deserialize;

use super::output::escape;

/// Why a command did not simply succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// Nobody answers, or not in HTTP.
    #[error("cannot reach the gateway at {url}: {why}; start it with atryum serve, or name another with ATRYUM_URL")]
    Unreachable { url: String, why: String },
    /// The gateway refused or failed.
    #[error("{}", .0.text())]
    Refused(Problem),
    /// There is no token, or not a good one.
    #[error("{}\nset ATRYUM_TOKEN to an operator's token, or log in with the link that atryum serve printed: atryum login LINK", .0.text())]
    Unauthenticated(Problem),
    /// The answer makes no sense.
    #[error("{url} did not answer as a gateway does: {why}; is ATRYUM_URL right?")]
    Strange { url: String, why: String },
    /// The arguments fit the grammar but not each other.
    #[error("{0}")]
    Usage(String),
    /// It did not work out.
    #[error("{0}")]
    Failed(String),
    /// A person has to do something first.
    #[error("{0}")]
    Pending(String),
}

/// A problem document (RFC 9457), as far as it is for people.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) title: String,
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) errors: Vec<FieldError>,
}

/// What is wrong with one field.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FieldError {
    pub(super) pointer: String,
    pub(super) detail: String,
}

impl Problem {
    /// The title, the detail, and each field that is wrong on a line of its own.
    fn text(&self) -> String {
        let mut text = match (self.title.as_str(), self.detail.as_str()) {
            ("", "") => format!("the gateway answered with status {}", self.status),
            (title, "") => title.to_owned(),
            ("", detail) => detail.to_owned(),
            (title, detail) => format!("{title}: {detail}"),
        };
        for error in &self.errors {
            let _ = write!(text, "\n  {}: {}", error.pointer, error.detail);
        }
        escape(&text)
    }
}

impl CliError {
    /// 1 failed, 2 not understood, 3 a person is needed.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unreachable { .. }
            | Self::Refused(_)
            | Self::Unauthenticated(_)
            | Self::Strange { .. }
            | Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Pending(_) => 3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_title_detail_and_fields() {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "title": "A field can't be used", "status": 422, "detail": "one of the fields is wrong",
            "errors": [{ "pointer": "/name", "detail": "too \u{1b}[31mlong" }],
        }))
        .unwrap();
        let expected = "A field can't be used: one of the fields is wrong\n  /name: too \\u{1b}[31mlong";
        assert_eq!(CliError::Refused(problem).to_string(), expected);
    }

    #[test]
    fn a_problem_without_words_names_its_status() {
        let problem = Problem { status: 502, ..Problem::default() };
        assert_eq!(CliError::Refused(problem).to_string(), "the gateway answered with status 502");
    }
}
