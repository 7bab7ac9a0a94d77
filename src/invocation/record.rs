//! The row of a call, from what is known of it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock;
use crate::gate::{Call, Decision};
use crate::journal::{Entry, State};
use crate::store;

/// A call with all that its row tells.
#[derive(Debug)]
pub struct Request {
    /// The question for the rules.
    pub call: Call,
    /// The id in the log and in the answer's header.
    pub request_id: String,
    /// What the client says of itself: name and version.
    pub client: Option<(String, String)>,
    /// The MCP session.
    pub session: Option<Arc<str>>,
    /// The server's id: a server of the same name made later is another.
    pub server_id: Arc<str>,
    /// The server's revision.
    pub server_revision: i64,
    /// The text of what the call is made with, as it was received.
    pub arguments: Option<String>,
}

/// `sha256:` and hex.
pub(super) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps neighbours apart: ("ab", "c") is not ("a", "bc").
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Request {
    /// The row in `state`.
    pub(super) fn row(&self, id: &str, decision: &Decision, state: State, received_at: i64) -> store::invocation::Row {
        let now = clock::now_ms();
        let (client_name, client_version) = self.client.clone().unzip();
        store::invocation::Row {
            id: id.to_owned(),
            request_id: self.request_id.clone(),
            agent: self.call.agent.to_string(),
            client_name,
            client_version,
            session: self.session.as_deref().map(Into::into),
            server_id: self.server_id.to_string(),
            server: self.call.server.to_string(),
            method: self.call.method.clone(),
            tool: self.call.tool.clone(),
            arguments: self.arguments.clone(),
            arguments_digest: digest_of_text(self.arguments.as_deref().unwrap_or_default()),
            action: decision.action.as_str().into(),
            rule_id: decision.rule_id.as_deref().map(Into::into),
            rule_set_revision: decision.revision,
            decided_by: (state != State::Pending).then(|| decision.by.as_str().into()),
            approval_id: None,
            state: state.as_str().into(),
            is_error: None,
            error: None,
            result: None,
            result_bytes: None,
            received_at,
            decided_at: (state != State::Pending).then_some(now),
            dispatched_at: (state == State::Dispatched).then_some(now),
            finished_at: state.is_terminal().then_some(now),
            upstream_us: None,
            overhead_us: None,
            shadow_rule_id: decision.shadow.as_ref().map(|shadow| shadow.rule_id.to_string()),
            shadow_action: decision.shadow.as_ref().map(|shadow| shadow.action.as_str().into()),
        }
    }

    /// The pending row, and the question to a person beside it.
    pub(super) fn question(&self, id: &str, decision: &Decision, received_at: i64, timeout_ms: i64) -> Entry {
        let mut invocation = self.row(id, decision, State::Pending, received_at);
        let approval_id = store::new_id();
        invocation.approval_id = Some(approval_id.clone());
        let now = clock::now_ms();
        let approval = store::approval::Row {
            id: approval_id,
            invocation_id: id.to_owned(),
            agent: self.call.agent.to_string(),
            server: self.call.server.to_string(),
            method: self.call.method.clone(),
            tool: self.call.tool.clone(),
            digest: self.approval_digest(),
            status: "pending".into(),
            reason: None,
            created_at: now,
            expires_at: now + timeout_ms,
            decided_at: None,
            decided_by: None,
        };
        Entry { invocation, approval: Some(approval) }
    }

    /// Over all that a person's yes is for.
    fn approval_digest(&self) -> String {
        digest(&[
            &self.call.agent,
            &self.server_id,
            &self.server_revision.to_string(),
            &self.call.method,
            self.call.tool.as_deref().unwrap_or_default(),
            self.arguments.as_deref().unwrap_or_default(),
        ])
    }
}

fn digest_of_text(text: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(text)))
}
