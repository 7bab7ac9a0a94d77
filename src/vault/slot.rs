//! Where a secret belongs, and where it may go.
//!
//! A *place* is where an envelope stands: table, row and field, which anybody who finds the envelope can tell. A *slot* is
//! a place and the origins that the secret may be sent to, which only the rooms that use it know.

use crate::store::channel::Sealed as ChannelField;
use crate::store::credential::Sealed as CredentialField;
use crate::store::envelope::Place;
use crate::store::oauth_flow::Sealed as FlowField;
use crate::store::secret;

/// Where a secret belongs. A secret that is sealed for one slot opens in no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    pub(super) place: Place<'a>,
    /// The origins that it may be sent to; of a secret that is sent nowhere, none.
    pub(super) destinations: Vec<String>,
}

impl<'a> Slot<'a> {
    /// Names a secret of a server, such as `env:API_KEY` of the server with that id.
    #[must_use]
    pub fn of_server(server_id: &'a str, field: &'a str) -> Self {
        Self::at(secret::TABLE, server_id, field)
    }

    /// Names a secret of what an OAuth login brought, such as the refresh token.
    #[must_use]
    pub fn of_credential(server_id: &'a str, field: CredentialField) -> Self {
        Self::at(CredentialField::TABLE, server_id, field.column())
    }

    /// Names a secret of a login that was begun.
    #[must_use]
    pub fn of_flow(flow_id: &'a str, field: FlowField) -> Self {
        Self::at(FlowField::TABLE, flow_id, field.column())
    }

    /// Names a secret of a channel.
    #[must_use]
    pub fn of_channel(channel_id: &'a str, field: ChannelField) -> Self {
        Self::at(ChannelField::TABLE, channel_id, field.column())
    }

    /// The same place, for a secret that may be sent to this origin (too).
    #[must_use]
    pub fn sent_to(mut self, origin: impl Into<String>) -> Self {
        self.destinations.push(origin.into());
        self
    }

    pub(super) fn at(table: &'static str, row: &'a str, field: &'a str) -> Self {
        Self { place: Place { table, row, field }, destinations: Vec::new() }
    }
}
