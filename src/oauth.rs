//! An OAuth 2.1 client as MCP wants one: functions without memory, and plain types.
//!
//! The way is: a server's 401 is read ([`Challenge`]); the server says what it is called and who gives out its tokens,
//! and the authorization server says where it is asked ([`discover`]); the gateway makes itself known there, or is known
//! ([`registration`]); a person is sent to [`authorization::begin`]'s address and comes back with a code
//! ([`authorization::accept`]); the code is exchanged for tokens, and those for the next ones ([`token`]).
//!
//! Most of what is read here was written by a server that may lie. It is asked only through
//! [`egress`](crate::egress), as far as the [`Reach`](crate::egress::Reach) goes that comes with each address; every
//! document is bounded; and each way to fail is a variant of [`OAuthError`] that says what to do next.
//!
//! Never done here: keeping anything, knowing a row or an operator, or opening a browser.

pub mod authorization;
mod challenge;
mod discovery;
mod document;
mod error;
mod metadata;
mod metadata_document;
pub mod registration;
mod scope;
pub mod token;

pub use challenge::Challenge;
pub use discovery::{Discovery, Subject, authorization_server, discover, resource_metadata, server_of};
pub use error::{OAuthError, Refusal};
pub use metadata::{Address, AuthorizationServer, ResourceMetadata};
pub use metadata_document::metadata_document;
pub use scope::{Offered, choose as choose_scopes, step_up};
