//! Who gives out a server's tokens: as it is found, and as an operator typed it.

use crate::egress::Reach;
use crate::oauth::{
    Address, AuthorizationServer, Challenge, Discovery, OAuthError, ResourceMetadata, Subject, resource_metadata,
    server_of,
};
use crate::upstream::OAuthSettings;

/// Finds it. Addresses that were typed take the place of those that are published; when both were, nothing needs to be.
pub(super) async fn find(
    subject: &Subject,
    challenge: Option<&Challenge>,
    before: Option<&str>,
    settings: &OAuthSettings,
) -> Result<Discovery, OAuthError> {
    let authorize = settings.authorize_url.as_deref().map(typed).transpose()?;
    let token = settings.token_url.as_deref().map(typed).transpose()?;
    let are_both_typed = authorize.is_some() && token.is_some();
    let resource = match resource_metadata(subject, challenge).await {
        Ok(resource) => resource,
        // Then there is no name to give to the authorization server, as with servers of before there were names.
        Err(error) if are_both_typed && !is_final(&error) => {
            tracing::warn!(%error, "a server's metadata can't be used; the addresses that were typed are");
            None
        }
        Err(error) => return Err(error),
    };
    let server = match (authorize, token) {
        (Some(authorize), Some(token)) => both_typed(subject, resource.as_ref(), before, authorize, token).await,
        (authorize, token) => {
            let mut server = server_of(subject, resource.as_ref(), before).await?;
            server.authorization_endpoint = authorize.unwrap_or(server.authorization_endpoint);
            server.token_endpoint = token.unwrap_or(server.token_endpoint);
            server
        }
    };
    Ok(Discovery { resource, server })
}

/// What is published beside the addresses is used where there is something.
async fn both_typed(
    subject: &Subject,
    resource: Option<&ResourceMetadata>,
    before: Option<&str>,
    authorize: Address,
    token: Address,
) -> AuthorizationServer {
    match server_of(subject, resource, before).await {
        Ok(found) if found.is_issuer_known => AuthorizationServer {
            // One that does not say takes the challenge or passes over it; whoever types its addresses vouches for it.
            code_challenge_methods_supported: found.code_challenge_methods_supported.or(Some(vec!["S256".into()])),
            authorization_endpoint: authorize,
            token_endpoint: token,
            ..found
        },
        _ => AuthorizationServer::typed(authorize, token),
    }
}

/// Whether it is no failure to find something, but a refusal of what was found, or one that may pass.
fn is_final(error: &OAuthError) -> bool {
    matches!(error, OAuthError::ResourceMismatch { .. }) || error.may_pass()
}

fn typed(url: &str) -> Result<Address, OAuthError> {
    Address::new(url, Reach::Typed)
        .map_err(|cause| OAuthError::Egress { what: "the address that was typed for OAuth", cause })
}
