//! What the audit tells of a call: how it began, and where it went.
//!
//! Arguments and results are told by their digests: they stand in the call's row, which can be compared with them. What
//! callers name is cut, so that an event stays small.

use serde::Serialize;

use crate::store::batch::Change;
use crate::store::{approval, invocation};
use crate::trail::{Event, digest};

/// How much of a text that others chose is told.
const TEXT_BYTES_MAX: usize = 512;

/// Members sorted by name, as the audit's form has it.
#[derive(Serialize)]
struct Began<'a> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<&'a str>,
    arguments_digest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    method: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<&'a str>,
    rule_set_revision: i64,
    server: &'a str,
    server_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
}

/// Members sorted by name, as the audit's form has it.
#[derive(Serialize)]
struct Moved<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_error: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set_revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spent_approval_id: Option<&'a str>,
}

/// Tells of a new call.
pub(super) fn of_new(row: &invocation::Row, approval: Option<&approval::Row>) -> Event {
    let data = Began {
        action: &row.action,
        approval_digest: approval.map(|approval| approval.digest.as_str()),
        approval_id: row.approval_id.as_deref(),
        arguments_digest: &row.arguments_digest,
        decided_by: row.decided_by.as_deref(),
        error: row.error.as_deref().map(cut),
        method: cut(&row.method),
        request_id: cut(&row.request_id),
        rule_id: row.rule_id.as_deref(),
        rule_set_revision: row.rule_set_revision,
        server: &row.server,
        server_id: &row.server_id,
        tool: row.tool.as_deref().map(cut),
    };
    event(&row.state, &row.id, &data).by(format!("agent:{}", row.agent))
}

/// Tells of a call that moves on.
pub(super) fn of_change(change: &Change) -> Event {
    let released = change.released.as_ref();
    let data = Moved {
        action: change.action.as_deref().or(released.map(|released| released.action)),
        approval_id: change.approval_id.as_deref(),
        arguments_digest: change.arguments_digest.as_deref(),
        decided_by: change.decided_by.as_deref(),
        error: change.error.as_deref().map(cut),
        from: change.from_state,
        is_error: change.is_error,
        result_bytes: change.result_bytes,
        result_digest: change.result.as_deref().map(digest),
        rule_id: change.rule_id.as_deref().or(released.and_then(|released| released.rule_id.as_deref())),
        rule_set_revision: change.rule_set_revision.or(released.map(|released| released.rule_set_revision)),
        spent_approval_id: change.spends.as_deref(),
    };
    event(change.state, &change.id, &data)
}

fn event(state: &str, id: &str, data: &impl Serialize) -> Event {
    Event {
        kind: format!("call.{state}"),
        actor: None,
        subject: format!("invocation:{id}"),
        // a struct of texts and numbers is always JSON
        data: serde_json::to_string(data).unwrap_or_default(),
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_the_one_form_of_the_audit() {
        let change = Change {
            id: "1".to_owned(),
            state: "completed",
            from_state: "dispatched",
            action: Some("allow".to_owned()),
            approval_id: Some("2".to_owned()),
            arguments_digest: Some("sha256:3".to_owned()),
            decided_by: Some("rule".to_owned()),
            error: Some("é\u{1b}".repeat(TEXT_BYTES_MAX)),
            is_error: Some(true),
            result: Some("{}".to_owned()),
            result_bytes: Some(2),
            rule_id: Some("4".to_owned()),
            rule_set_revision: Some(5),
            spends: Some("6".to_owned()),
            ..Change::default()
        };
        let told = of_change(&change);
        let value: serde_json::Value = serde_json::from_str(&told.data).unwrap();
        assert_eq!(value.to_string(), told.data);
        assert_eq!(value["result_digest"], digest("{}"));
        // A control character takes six bytes in JSON.
        assert!(told.data.len() < 6 * TEXT_BYTES_MAX + 4 * 128);
    }
}
