//! Tasks: what a call is answered with when its result will come later. 2025-11-25 has them in its core, 2026-07-28 as
//! the extension `io.modelcontextprotocol/tasks`. A task is called a promise here, because nearly everything is a task
//! somewhere.

use super::splice;
use super::version::Era;

/// Key in `_meta` of the task that a message is about (2025-11-25).
pub const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Name of the extension (2026-07-28).
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What is said of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The server's name for it.
    pub id: String,
    /// How it is: `working`, `input_required`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// For how long the server keeps it, in ms; `None` when it doesn't say, or for ever.
    pub ttl_ms: Option<u64>,
    /// How often it wants to be asked for it, in ms.
    pub poll_interval_ms: Option<u64>,
}

impl Promise {
    /// Reads the members of a task from the object that holds them.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let number = |name: [&str; 2]| name.iter().find_map(|name| splice::find(text, &[name])?.parse().ok());
        Some(Self {
            id: splice::find_string(text, &["taskId"])?,
            status: splice::find_string(text, &["status"])?,
            ttl_ms: number(["ttlMs", "ttl"]),
            poll_interval_ms: number(["pollIntervalMs", "pollInterval"]),
        })
    }

    /// The task that a result gives instead of itself.
    #[must_use]
    pub fn made_by(result: &str, era: Era) -> Option<Self> {
        // Nearly no result does, and looking for the word is far cheaper than reading the members.
        if !result.contains("taskId") {
            return None;
        }
        match era {
            Era::Legacy => Self::read(splice::find(result, &["task"])?),
            Era::Modern => {
                (splice::find_string(result, &["resultType"])? == "task").then(|| Self::read(result)).flatten()
            }
        }
    }

    /// Whether nothing more will come of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// The parameters with which a client asks after a task.
#[must_use]
pub fn asking_for(id: &str) -> String {
    serde_json::json!({ "taskId": id }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_in_the_words_of_either_era_and_of_no_other_result() {
        let legacy = r#"{"task":{"taskId":"a","status":"working","ttl":5,"pollInterval":7}}"#;
        let modern = r#"{"resultType":"task","taskId":"a","status":"working","ttlMs":5,"pollIntervalMs":7}"#;
        let expected = Promise { id: "a".into(), status: "working".into(), ttl_ms: Some(5), poll_interval_ms: Some(7) };
        assert_eq!(Promise::made_by(legacy, Era::Legacy), Some(expected.clone()));
        assert_eq!(Promise::made_by(modern, Era::Modern), Some(expected));
        for other in [
            r#"{"content":[],"structuredContent":{"taskId":"a","status":"working"}}"#,
            r#"{"resultType":"complete","taskId":"a","status":"working"}"#,
        ] {
            assert_eq!((Promise::made_by(other, Era::Legacy), Promise::made_by(other, Era::Modern)), (None, None));
        }
        let unlimited = Promise::read(r#"{"taskId":"a","status":"failed","ttl":null}"#).unwrap();
        assert!(unlimited.ttl_ms.is_none() && unlimited.is_over());
    }
}
