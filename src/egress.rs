//! The one place from which the service asks anybody over HTTP.
//!
//! There are two kinds of addresses. What an operator *typed* may be a machine next door or this one. What a server
//! *supplied* (the documents and endpoints that its metadata name) is somebody else's choice, who might like to have the
//! gateway ask what only the gateway can reach; how far such an address may lead is said by its [`Reach`]. Link-local
//! addresses and those of cloud metadata services are reached by neither.
//!
//! An address is judged after the lookup, and the connection goes to the very address that was judged. Redirects are
//! never followed, nothing is unpacked, and nothing is read from the environment: there is no proxy. [`send`] gives an
//! answer to read bit by bit and bounds no more than connecting; [`exchange()`] gives a short one as a whole, and
//! bounds all; [`post()`] tells somebody something, signed where that is wanted, and reads no more than the head.
//!
//! Never done here: knowing what is asked for, or adding a credential.

mod address;
mod client;
mod error;
mod exchange;
mod post;
mod reach;
mod resolve;

pub use address::{has_same_host, is_own, origin, parse};
/// The words of HTTP, so that nobody else has to name the client that brings them.
pub use awc::http;
pub use client::{Answer, Outbound, connect, origin_of, send};
pub use error::EgressError;
pub use exchange::{Exchange, Reply, exchange};
pub use post::{Post, Taken, key_of, post, signed};
pub use reach::Reach;
