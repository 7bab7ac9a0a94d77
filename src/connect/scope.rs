//! Which scopes a flow asks for, and when asking again would lead nowhere.

use super::error::ConnectError;
use crate::credential::Held;
use crate::oauth::{Challenge, Discovery, Offered, choose_scopes, step_up};
use crate::upstream::OAuthSettings;

/// The operator's list; else what a challenge names, and what was asked for before; else what is published. After a refusal
/// for want of scopes, what was asked for before and what the refusal named.
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
    // What another one gave says nothing of what this one gives.
    let held = held.filter(|held| held.provider.issuer == found.server.issuer);
    let is_insufficient = challenge.and_then(|challenge| challenge.error.as_deref()) == Some("insufficient_scope");
    let Some(held) = held else { return Ok(chosen) };
    if !is_insufficient && (settings.scopes.is_some() || challenged.is_empty()) {
        return Ok(chosen);
    }
    if !is_insufficient {
        // A challenge may name what one request needs, and not what others did.
        let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
        return Ok(step_up(&held.asked_scopes, &chosen).unwrap_or_else(|| held.asked_scopes.clone()));
    }
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
