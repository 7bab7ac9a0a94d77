//! A registered server, alive.
//!
//! An [`Upstream`] is one registered server in this process: an actor that owns its connections, and what that actor
//! publishes for others to read. The [`Registry`] makes the running upstreams match the stored servers and publishes them
//! as the [`Directory`].
//!
//! A legacy server keeps things per connection (capabilities, log level, subscriptions, roots), so each agent session
//! has a connection, and for stdio a process, of its own. Requests of the modern era stand alone; an agent's share one.
//!
//! A call goes out over a [`Connection`] that its session or its agent already holds, from the worker that took the
//! request: the actor's mailbox is only for opening, closing and looking. What goes out needs a
//! [`Permit`](crate::gate::Permit).
//!
//! Never done here: deciding, recording, and sending anything a second time that may have been carried out.

mod actor;
mod catalog;
mod connection;
mod core;
mod definition;
mod directory;
mod error;
mod fanout;
mod handshake;
mod http;
mod known;
mod link;
mod log_levels;
mod promised;
mod registry;
mod round;
mod sealed;
mod sink;
mod spec;
mod status;
mod stdio;
mod subscriptions;
mod tail;
mod test;
mod wire;

pub use actor::Upstream;
pub use catalog::Items;
pub use connection::{Claim, Connection, Mirrored, Setting};
pub use core::{Opening, Owner};
pub use definition::{
    AuthType, Because, Definition, Fault, HttpDefinition, Mode, OAuthSettings, Removed, StdioDefinition,
    TIMEOUT_SECONDS_DEFAULT, is_name,
};
pub use directory::Directory;
pub use error::{Unspent, UpstreamError};
pub use handshake::Handshake;
pub use http::{Credential, Demand, Endpoint, HttpError, OAuthLogin};
pub use log_levels::LogWanted;
pub use promised::PromisedCall;
pub use registry::{Arbiters, Registry};
pub use round::Round;
pub use sealed::{
    BEARER_TOKEN_FIELD, ENV_FIELD, HEADER_FIELD, OAUTH_CLIENT_SECRET_FIELD, is_same_origin, slot, stored_credentials,
};
pub use sink::{Audience, NoSink, Sink, next_question_id};
pub use spec::{Limits, ServerSpec, Transport};
pub use status::{Credentials, CredentialsWord, Status, Word};
pub use subscriptions::Subscription;
pub use test::{TestReport, TestStep};
pub use wire::{Reply, Ticket};
