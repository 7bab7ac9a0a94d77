//! The HTTP transport: Streamable HTTP as a client (2025-03-26 to 2026-07-28), and the older pair of a stream and an
//! address to post to (2024-11-05).
//!
//! Requests go out from the thread that has them: each thread has its own HTTP client, so that no call passes through
//! another thread's mailbox. What is agreed once for a connection ([`Remote`]) is shared by all threads. The upstream's
//! actor opens and closes connections, and holds what is known of the server as a whole: its status, and the circuit
//! that opens when it fails.
//!
//! What a server may not do here: redirect anybody, pack its answers, answer without an end mark, or name another
//! server's address. Its credential goes to the base URL's origin alone.

mod admission;
mod breaker;
mod demand;
mod endpoint;
mod error;
mod events;
mod listen;
mod login;
mod masks;
mod mirror;
mod pair;
mod remote;
mod sending;
mod start;

pub(super) use breaker::Breaker;
pub use demand::Demand;
pub use endpoint::{Credential, Endpoint, OAuthLogin};
pub use error::HttpError;
pub(super) use login::{Login, Outlook, Times};
pub(super) use mirror::headers as mirror;
pub(super) use pair::Pair;
pub(super) use remote::Remote;
pub(super) use start::start;
