//! The HTTP transport: Streamable HTTP as a client (2025-03-26 and later), and the older HTTP+SSE pair (2024-11-05).

pub(in crate::upstream) mod address;
mod endpoint;

pub use endpoint::{Credential, Endpoint};
