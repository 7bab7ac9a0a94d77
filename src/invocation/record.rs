//! The row of a call, from what is known of it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock;
use crate::gate::{Call, Decision, Terms};
use crate::journal::{Part, Redaction, State};
use crate::mcp::definition::Definition;
use crate::store;

/// A call with all that its row tells.
#[derive(Debug)]
pub struct Request {
    /// The question for the rules.
    pub call: Call,
    /// The agent's id: an agent of the same name made later is another.
    pub agent_id: Arc<str>,
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
    /// The text of what else a tool is called with, when there is something: it may decide what happens as the arguments do.
    pub other_params: Option<String>,
    /// The id of its row, where that was chosen before.
    pub row_id: Option<String>,
    /// The question whose answer it is about and no other's, for a call that goes on after an earlier process asked.
    pub approval_id: Option<String>,
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
            // the journal knows, when it writes the row
            seat: 0,
        }
    }

    /// What a person is asked about this call.
    pub(super) fn question(&self, definition: Option<Definition>, redaction: &Redaction) -> Question<'_> {
        let (server, tool) = (&self.call.server, self.call.tool.as_deref());
        let is_redacted = |text: &&String| redaction.apply(server, tool, Part::Arguments, text).is_some();
        let is_beside = |text: &&String| redaction.apply_beside_arguments(server, tool, text).is_some();
        // Whoever reads the digest could else try out what is not written down.
        let keyed = self.arguments.as_ref().filter(is_redacted).and_then(|text| redaction.digest_of(text));
        let arguments = keyed.or_else(|| self.arguments.clone());
        let keyed = self.other_params.as_ref().filter(is_beside).and_then(|text| redaction.digest_of(text));
        let other_params = keyed.or_else(|| self.other_params.clone());
        Question { request: self, definition, arguments, other_params }
    }
}

/// All that a person's yes is for.
pub(super) struct Question<'r> {
    request: &'r Request,
    pub(super) definition: Option<Definition>,
    /// What stands for the arguments in the digest.
    arguments: Option<String>,
    /// What stands there for the rest.
    other_params: Option<String>,
}

impl Question<'_> {
    /// Whoever asks the same asks by the same digest.
    pub(super) fn digest(&self) -> String {
        let Request { call, agent_id, server_id, server_revision, .. } = self.request;
        // Absent is not the same as empty.
        let part = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| format!("+{text}"));
        digest(&[
            agent_id,
            server_id,
            &server_revision.to_string(),
            &call.method,
            &part(call.tool.as_deref()),
            &part(self.definition_digest()),
            &part(self.arguments.as_deref()),
            &part(self.other_params.as_deref()),
        ])
    }

    pub(super) fn definition_digest(&self) -> Option<&str> {
        self.definition.as_ref().map(|definition| &*definition.digest)
    }

    /// The question's row, for the call that asks it first.
    pub(super) fn row(&self, invocation_id: &str, terms: &Terms) -> store::approval::Row {
        let Request { call, agent_id, server_id, server_revision, arguments, other_params, .. } = self.request;
        let now = clock::now_ms();
        let open_ms = i64::try_from(terms.open.as_millis()).unwrap_or(i64::MAX);
        store::approval::Row {
            id: store::new_id(),
            invocation_id: invocation_id.to_owned(),
            agent: call.agent.to_string(),
            agent_id: agent_id.to_string(),
            server: call.server.to_string(),
            server_id: server_id.to_string(),
            server_revision: *server_revision,
            method: call.method.clone(),
            tool: call.tool.clone(),
            definition_digest: self.definition_digest().map(Into::into),
            arguments: arguments.clone(),
            other_params: other_params.clone(),
            edited_arguments: None,
            digest: self.digest(),
            status: store::approval::PENDING.into(),
            reason: None,
            created_at: now,
            expires_at: now.saturating_add(open_ms),
            decided_at: None,
            decided_by: None,
            left_at: None,
            holds_until: None,
            used_at: None,
            used_by: None,
        }
    }
}

pub(super) fn digest_of_text(text: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(text)))
}
