//! Whom to ask for a token: from the server's 401 over its own metadata to that of its authorization server.
//!
//! Nothing of what was found before is trusted to be still so: a server may move to another authorization server, and
//! says so in its metadata.

use serde_json::{Map, Value};
use url::Url;

use super::challenge::Challenge;
use super::document::{Found, fetch};
use super::error::{OAuthError, clean};
use super::metadata::{AuthorizationServer, ResourceMetadata};
use crate::egress::{EgressError, Reach};

/// The server that wants a token.
#[derive(Debug)]
pub struct Subject {
    base_url: Url,
    reach: Reach,
}

impl Subject {
    /// By the base URL that an operator typed. How far what the server supplies may lead follows from it.
    ///
    /// # Errors
    /// The URL can't be asked.
    pub fn new(base_url: &str) -> Result<Self, OAuthError> {
        let what = "the server";
        let base_url = Reach::Typed.parse(base_url).map_err(|cause| OAuthError::Egress { what, cause })?;
        Ok(Self { reach: Reach::of_supplied_by(&base_url), base_url })
    }

    /// How far an address that this server supplies may lead.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    fn origin(&self) -> String {
        self.base_url.origin().ascii_serialization()
    }

    /// Whether a resource's name is this server's: its base URL, or something above it on the same origin.
    fn is_called(&self, resource: &str) -> bool {
        let Ok(named) = Url::parse(resource) else { return false };
        if named.origin() != self.base_url.origin() || resource.contains('#') {
            return false;
        }
        if named.query().is_some() && named.query() != self.base_url.query() {
            return false;
        }
        let (above, own) = (named.path().trim_end_matches('/'), self.base_url.path().trim_end_matches('/'));
        own.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What was found.
#[derive(Debug)]
pub struct Discovery {
    /// What the server says of itself; none when it is of the revision 2025-03-26. Then there is no `resource` to name.
    pub resource: Option<ResourceMetadata>,
    /// Who gives out its tokens.
    pub server: AuthorizationServer,
}

/// Finds out who gives out a server's tokens. `before` is the issuer that was used last; it is taken again as long as
/// the server names it.
///
/// # Errors
/// What was found can't be used.
pub async fn discover(
    subject: &Subject,
    challenge: Option<&Challenge>,
    before: Option<&str>,
) -> Result<Discovery, OAuthError> {
    let resource = resource_metadata(subject, challenge).await?;
    let server = server_of(subject, resource.as_ref(), before).await?;
    Ok(Discovery { resource, server })
}

/// Who gives out the tokens of a server that publishes this of itself, or nothing; see [`discover`].
///
/// # Errors
/// What was found can't be used.
pub async fn server_of(
    subject: &Subject,
    resource: Option<&ResourceMetadata>,
    before: Option<&str>,
) -> Result<AuthorizationServer, OAuthError> {
    match resource {
        Some(resource) => {
            let issuer = resource.issuer(before).ok_or(OAuthError::NoAuthorizationServer)?;
            authorization_server(issuer, subject.reach).await
        }
        None => at_origin(subject).await,
    }
}

/// What the server publishes of itself: where its challenge says; else at the well-known places.
///
/// # Errors
/// What was found can't be used.
pub async fn resource_metadata(
    subject: &Subject,
    challenge: Option<&Challenge>,
) -> Result<Option<ResourceMetadata>, OAuthError> {
    if let Some(url) = challenge.and_then(|challenge| challenge.resource_metadata.as_deref()) {
        match fetch(url, subject.reach).await {
            Ok(Found::Object(document)) => return checked(subject, url, &document).map(Some),
            // The pointer leads nowhere; the well-known places are still worth a look.
            Ok(Found::Status(404 | 410)) => {}
            Ok(Found::Status(status)) => return Err(bad(url, &format!("is HTTP status {status}"))),
            Ok(Found::Other) => return Err(bad(url, "is no JSON object")),
            Err(cause) => return Err(OAuthError::Egress { what: "the server's metadata", cause }),
        }
    }
    // These are at the very origin that was typed.
    for url in resource_places(&subject.base_url) {
        match guess(&url, Reach::Typed).await {
            Ok(Found::Object(document)) if document.contains_key("resource") => {
                return checked(subject, &url, &document).map(Some);
            }
            Ok(Found::Status(status @ 500..)) => return Err(bad(&url, &format!("is HTTP status {status}"))),
            Ok(_) => {}
            Err(cause) => return Err(OAuthError::Egress { what: "the server's metadata", cause }),
        }
    }
    Ok(None)
}

fn bad(url: &str, problem: &str) -> OAuthError {
    OAuthError::ResourceMetadata { url: clean(url, 300), problem: problem.to_owned() }
}

fn checked(subject: &Subject, url: &str, document: &Map<String, Value>) -> Result<ResourceMetadata, OAuthError> {
    let metadata = ResourceMetadata::parse(document).ok_or_else(|| bad(url, "is no name of a resource"))?;
    if subject.is_called(&metadata.resource) {
        return Ok(metadata);
    }
    let (resource, base_url) = (clean(&metadata.resource, 300), subject.base_url.to_string());
    Err(OAuthError::ResourceMismatch { resource, base_url })
}

/// A place where there may be a document. Who redirects from there, as sites do with pages that they don't have, has none.
async fn guess(url: &str, reach: Reach) -> Result<Found, EgressError> {
    match fetch(url, reach).await {
        Err(EgressError::Redirected { status, .. }) => Ok(Found::Status(status)),
        found => found,
    }
}

/// RFC 9728, section 3.1: the well-known part stands between host and path; then the origin's own.
fn resource_places(base_url: &Url) -> Vec<String> {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let origin = base_url.origin().ascii_serialization();
    let path = base_url.path().trim_end_matches('/');
    let root = format!("{origin}{WELL_KNOWN}");
    if path.is_empty() { vec![root] } else { vec![format!("{root}{path}"), root] }
}

/// RFC 8414, section 3.1, and the discovery of `OpenID` Connect. An issuer with a path is never looked for at the root.
fn server_places(issuer: &Url) -> Vec<String> {
    let origin = issuer.origin().ascii_serialization();
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    places
}

/// Reads what the authorization server of that name publishes.
///
/// # Errors
/// Nothing that could be used is published.
pub async fn authorization_server(issuer: &str, reach: Reach) -> Result<AuthorizationServer, OAuthError> {
    let egress = |cause| OAuthError::Egress { what: "the authorization server", cause };
    let url = reach.parse(issuer).map_err(egress)?;
    let mut tried = Vec::new();
    for place in server_places(&url) {
        match guess(&place, reach).await {
            Ok(Found::Object(document)) => return read(&document, issuer, reach),
            Ok(Found::Status(status)) => tried.push(format!("{place}: {status}")),
            Ok(Found::Other) => tried.push(format!("{place}: no JSON")),
            Err(cause) => return Err(egress(cause)),
        }
    }
    Err(OAuthError::NoMetadata { issuer: clean(issuer, 300), tried: tried.join(", ") })
}

fn read(document: &Map<String, Value>, issuer: &str, reach: Reach) -> Result<AuthorizationServer, OAuthError> {
    let found = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if found != issuer {
        return Err(OAuthError::IssuerMismatch { expected: clean(issuer, 300), found: clean(found, 300) });
    }
    AuthorizationServer::parse(document, reach).map_err(|(member, problem)| OAuthError::Member {
        issuer: clean(issuer, 300),
        member,
        problem,
    })
}

/// 2025-03-26: the authorization server is the MCP server's own origin.
async fn at_origin(subject: &Subject) -> Result<AuthorizationServer, OAuthError> {
    let origin = subject.origin();
    match authorization_server(&origin, subject.reach).await {
        // Many wrote their origin with a slash.
        Err(OAuthError::IssuerMismatch { found, .. }) if found == format!("{origin}/") => {
            authorization_server(&found, subject.reach).await
        }
        Err(OAuthError::NoMetadata { .. }) => AuthorizationServer::at_origin(&origin, subject.reach)
            .map_err(|cause| OAuthError::Egress { what: "the authorization server", cause }),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_a_server_is_looked_for_under_its_path_first() {
        let places = |url: &str| resource_places(&Url::parse(url).unwrap());
        let root = "https://a.example/.well-known/oauth-protected-resource";
        assert_eq!(places("https://a.example/x/mcp?y=1"), [format!("{root}/x/mcp"), root.to_owned()]);
        assert_eq!(places("https://a.example/"), [root]);
        assert_eq!(places("https://a.example:8443"), ["https://a.example:8443/.well-known/oauth-protected-resource"]);
    }

    #[test]
    fn an_issuer_with_a_path_is_never_looked_for_at_the_root() {
        let places = |url: &str| server_places(&Url::parse(url).unwrap());
        assert_eq!(
            places("https://a.example/t"),
            [
                "https://a.example/.well-known/oauth-authorization-server/t",
                "https://a.example/.well-known/openid-configuration/t",
                "https://a.example/t/.well-known/openid-configuration",
            ]
        );
        for issuer in ["https://a.example", "https://a.example/"] {
            assert_eq!(
                places(issuer),
                [
                    "https://a.example/.well-known/oauth-authorization-server",
                    "https://a.example/.well-known/openid-configuration",
                ]
            );
        }
    }

    #[test]
    fn a_resource_is_the_server_itself_or_above_it() {
        let subject = Subject::new("https://a.example/x/mcp").unwrap();
        for resource in [
            "https://a.example/x/mcp",
            "https://a.example/x/mcp/",
            "https://a.example/x",
            "https://a.example",
            "https://A.example:443/",
        ] {
            assert!(subject.is_called(resource), "{resource}");
        }
        for resource in [
            "",
            "a.example",
            "http://a.example/x/mcp",
            "https://a.example:8443/x/mcp",
            "https://b.example/x/mcp",
            "https://a.example.evil/x/mcp",
            "https://a.example/x/mc",
            "https://a.example/x/mcp/deeper",
            "https://a.example/x/mcp#part",
            "https://a.example/x/mcp?tenant=2",
        ] {
            assert!(!subject.is_called(resource), "{resource}");
        }
    }

    #[test]
    fn the_issuer_of_before_is_kept_as_long_as_it_is_named() {
        let metadata = ResourceMetadata {
            resource: "https://a.example".into(),
            authorization_servers: vec!["https://one".into(), "https://two".into()],
            scopes_supported: None,
        };
        assert_eq!(metadata.issuer(None), Some("https://one"));
        assert_eq!(metadata.issuer(Some("https://two")), Some("https://two"));
        assert_eq!(metadata.issuer(Some("https://three")), Some("https://one"));
    }
}
