//! Where the gateway is found, as authorization servers and people are told: by its configuration, and never by what a
//! request says.

use serde_json::Value;

use super::error::ConnectError;
use crate::egress::Reach;
use crate::oauth;

/// Where people come back to.
const CALLBACK_PATH: &str = "/oauth/callback";
/// Where the gateway says who it is.
const METADATA_PATH: &str = "/oauth/client-metadata.json";

/// The gateway's addresses.
#[derive(Debug)]
pub struct Place {
    /// Without a slash at its end.
    pub public_url: String,
    /// The address of the client id metadata document, when it is not the gateway's own.
    pub metadata_url: Option<String>,
}

impl Place {
    /// Where people come back to: https, or this machine.
    ///
    /// # Errors
    /// A code would travel in clear text.
    pub fn redirect_uri(&self) -> Result<String, ConnectError> {
        let redirect_uri = format!("{}{CALLBACK_PATH}", self.public_url);
        match Reach::Nearby.parse(&redirect_uri) {
            Ok(_) => Ok(redirect_uri),
            Err(_) => Err(ConnectError::PublicUrl { url: self.public_url.clone() }),
        }
    }

    /// The address of the gateway's metadata document.
    #[must_use]
    pub fn metadata_url(&self) -> String {
        self.metadata_url.clone().unwrap_or_else(|| format!("{}{METADATA_PATH}", self.public_url))
    }

    /// The gateway's metadata document.
    ///
    /// # Errors
    /// There is no address that people could come back to.
    pub fn metadata(&self) -> Result<Value, ConnectError> {
        Ok(oauth::metadata_document(&self.metadata_url(), &self.redirect_uri()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(public_url: &str, metadata_url: Option<&str>) -> Place {
        Place { public_url: public_url.into(), metadata_url: metadata_url.map(str::to_owned) }
    }

    #[test]
    fn people_come_back_by_https_or_to_this_machine() {
        for url in ["https://gate.example", "https://gate.example/deep", "http://127.0.0.1:8080", "http://localhost:1"]
        {
            assert_eq!(place(url, None).redirect_uri().unwrap(), format!("{url}/oauth/callback"));
        }
        for url in ["http://gate.example", "http://10.0.0.1:8080", "ftp://gate.example", "gate.example"] {
            let error = place(url, None).redirect_uri().unwrap_err();
            assert!(error.to_string().contains("ATRYUM_PUBLIC_URL"), "{error}");
        }
    }

    #[test]
    fn the_document_is_called_by_its_configured_address() {
        let own = place("https://gate.example", None);
        assert_eq!(own.metadata().unwrap()["client_id"], "https://gate.example/oauth/client-metadata.json");
        let other = place("https://gate.example", Some("https://elsewhere.example/client.json"));
        assert_eq!(other.metadata().unwrap()["client_id"], "https://elsewhere.example/client.json");
    }
}
