//! The gateway's own metadata document: its address is the gateway's client id at authorization servers that read it
//! (client id metadata documents).

use serde_json::{Value, json};
use url::Url;

use crate::egress::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::registration::application_type;

/// How a gateway is called where people are asked whether they agree.
pub(super) const CLIENT_NAME: &str = "Atryum";

/// The document. `url` is its own address, byte for byte, as a reader compares it.
#[must_use]
pub fn metadata_document(url: &str, redirect_uri: &str) -> Value {
    json!({
        "client_id": url,
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": application_type(redirect_uri),
    })
}

/// Whether an address can be a client id: https, with a path, and nothing that could be read in two ways.
pub(super) fn is_client_id(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else { return false };
    parsed.scheme() == "https"
        && parsed.path().len() > 1
        && !url.contains('#')
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.as_str() == url
}

/// What goes with a JSON body.
pub(super) fn json_headers() -> Vec<(HeaderName, HeaderValue)> {
    let json = || HeaderValue::from_static("application/json");
    vec![(CONTENT_TYPE, json()), (crate::egress::http::header::ACCEPT, json())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_itself_byte_for_byte() {
        let url = "https://gate.example/oauth/client.json";
        let document = metadata_document(url, "https://gate.example/oauth/callback");
        assert_eq!(document["client_id"], url);
        assert_eq!(document["redirect_uris"], json!(["https://gate.example/oauth/callback"]));
        assert_eq!(document["application_type"], "web");
        assert_eq!(metadata_document(url, "http://127.0.0.1:8080/oauth/callback")["application_type"], "native");
    }

    #[test]
    fn a_client_id_is_an_https_address_with_a_path() {
        assert!(is_client_id("https://gate.example/client.json"));
        for url in [
            "http://127.0.0.1:8080/client.json",
            "https://gate.example",
            "https://gate.example/",
            "https://gate.example/a#b",
            "https://u@gate.example/a",
            "https://gate.example/a/../b",
            "HTTPS://gate.example/a",
            "client",
        ] {
            assert!(!is_client_id(url), "{url}");
        }
    }
}
