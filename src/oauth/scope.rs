//! Which scopes are asked for.

/// Without it there may be no refresh token.
pub(super) const OFFLINE: &str = "offline_access";

/// Where scopes may come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offered<'a> {
    /// The operator's own list.
    pub custom: Option<&'a [String]>,
    /// What the server's challenge names.
    pub challenge: &'a [&'a str],
    /// What the server publishes.
    pub resource: Option<&'a [String]>,
    /// What the authorization server publishes.
    pub server: Option<&'a [String]>,
}

/// The operator's list; else what the challenge names; else what the server publishes; else none, and the parameter is
/// left out. Offline access, without which there may be no refresh token, is added where it is offered.
#[must_use]
pub fn choose(offered: Offered<'_>) -> Vec<String> {
    if let Some(custom) = offered.custom {
        return once(custom.iter().map(String::as_str));
    }
    let mut scopes = match offered.resource {
        _ if !offered.challenge.is_empty() => once(offered.challenge.iter().copied()),
        Some(published) => once(published.iter().map(String::as_str)),
        None => Vec::new(),
    };
    let is_offered = offered.server.is_some_and(|published| published.iter().any(|scope| scope == OFFLINE));
    if is_offered && !scopes.iter().any(|scope| scope == OFFLINE) {
        scopes.push(OFFLINE.to_owned());
    }
    scopes
}

/// What was asked for before, and what a 403 says is missing; none when nothing would be new, as then asking again would
/// never end.
#[must_use]
pub fn step_up(before: &[String], challenged: &[&str]) -> Option<Vec<String>> {
    let all = once(before.iter().map(String::as_str).chain(challenged.iter().copied()));
    (all.len() > once(before.iter().map(String::as_str)).len()).then_some(all)
}

/// Each once, in order; what can't be a scope is left out.
fn once<'a>(scopes: impl Iterator<Item = &'a str>) -> Vec<String> {
    let is_scope =
        |scope: &str| !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    let mut all: Vec<String> = Vec::new();
    for scope in scopes.filter(|scope| is_scope(scope)) {
        if !all.iter().any(|known| known == scope) {
            all.push(scope.to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn the_challenge_says_more_than_the_metadata_and_the_operator_most() {
        let (published, offline) = (list(&["a", "b", "a"]), list(&["a", "offline_access", "admin"]));
        let (resource, server) = (Some(&published[..]), Some(&offline[..]));
        let none = Offered::default();
        assert_eq!(choose(none), list(&[]));
        assert_eq!(choose(Offered { resource, ..none }), list(&["a", "b"]));
        assert_eq!(choose(Offered { resource, challenge: &["c", "c"], ..none }), list(&["c"]));
        assert_eq!(choose(Offered { challenge: &["c"], server, ..none }), list(&["c", "offline_access"]));
        assert_eq!(choose(Offered { challenge: &["c"], server: resource, ..none }), list(&["c"]));
        assert_eq!(choose(Offered { server, ..none }), list(&["offline_access"]));
        let custom = list(&["x", "y"]);
        assert_eq!(choose(Offered { custom: Some(&custom), resource, challenge: &["c"], server }), custom);
        assert_eq!(choose(Offered { custom: Some(&[]), resource, challenge: &["c"], server }), list(&[]));
        assert_eq!(choose(Offered { challenge: &["a b", "\"", "é", "ok"], ..none }), list(&["ok"]));
    }

    #[test]
    fn a_step_up_asks_for_what_was_and_what_is_missing_and_ends_when_nothing_is_new() {
        assert_eq!(step_up(&list(&["a"]), &["b", "a"]), Some(list(&["a", "b"])));
        assert_eq!(step_up(&list(&["a", "b"]), &["b"]), None);
        assert_eq!(step_up(&list(&["a"]), &[]), None);
    }
}
