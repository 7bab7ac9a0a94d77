//! The gateway as an OAuth client: what it finds out, whom it believes, and what it sends to whom.

mod callback;
mod conformance;
mod discovery;
mod flow;
mod kills;
mod lies;
mod provider;
mod refresh;
mod registration;
mod token;

use atryum::oauth::{AuthorizationServer, Discovery, OAuthError, Subject, discover};

use crate::support::provider::Provider;

/// Finds out about a server without a challenge.
async fn found(provider: &Provider) -> Result<Discovery, OAuthError> {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    discover(&Subject::new(&provider.mcp()).expect("a base URL"), None, None).await
}

async fn server(provider: &Provider) -> AuthorizationServer {
    found(provider).await.expect("it is well-behaved").server
}
