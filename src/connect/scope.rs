//! Which scopes a flow asks for, and when asking again would lead nowhere.

use super::error::ConnectError;
use crate::credential::Held;
use crate::oauth::{Challenge, Discovery, Offered, choose_scopes, step_up};
use crate::upstream::OAuthSettings;

/// The operator's list, or what server and authorization server say; after a refusal for want of scopes, what was asked
/// for before and what the refusal named.
pub(super) fn wanted(
    settings: &OAuthSettings,
    held: Option<&Held>,
    challenge: Option<&Challenge>,
    found: &Discovery,
) -> Result<Vec<String>, ConnectError> {
    let challenged: Vec<&str> = challenge.iter().flat_map(|challenge| challenge.scopes()).collect();
    let chosen = choose_scopes(Offered {
        custom: settings.scopes.as_deref(),
        challenge: &challenged,
        resource: found.resource.as_ref().and_then(|resource| resource.scopes_supported.as_deref()),
        server: found.server.scopes_supported.as_deref(),
    });
    let is_insufficient = challenge.and_then(|challenge| challenge.error.as_deref()) == Some("insufficient_scope");
    let Some(held) = held.filter(|_| is_insufficient) else { return Ok(chosen) };
    let typed: Vec<&str> = settings.scopes.iter().flatten().map(String::as_str).collect();
    let more: Vec<&str> = challenged.iter().chain(&typed).copied().collect();
    match step_up(&held.asked_scopes, &more) {
        Some(all) => Ok(all),
        // A person may agree this time to what they left out.
        None if !is_given(held, &challenged) => Ok(held.asked_scopes.clone()),
        None => Err(ConnectError::NothingNew { scopes: challenged.join(" ") }),
    }
}

fn is_given(held: &Held, challenged: &[&str]) -> bool {
    let given = held.tokens.scopes.as_ref();
    given.is_none_or(|given| challenged.iter().all(|scope| given.iter().any(|known| known == scope)))
}
