//! Telling an authorization server that tokens are not used any more (RFC 7009).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{Grant, TokenSet};
use crate::egress::http::Method;
use crate::egress::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use crate::egress::{EgressError, Exchange, exchange};
use crate::oauth::document::{ANSWER_BYTES_MAX, WITHIN};
use crate::oauth::error::{OAuthError, Refusal};
use crate::oauth::metadata::Address;
use crate::oauth::registration::AuthMethod;
use crate::vault::SecretText;

const WHAT: &str = "the revocation endpoint";

impl Grant<'_> {
    /// Revokes tokens, the refresh token first: who loses that can have no others. `false`: the server does not offer it.
    ///
    /// # Errors
    /// They may be good until they expire.
    pub async fn revoke(&self, tokens: &TokenSet) -> Result<bool, OAuthError> {
        let Some(endpoint) = &self.server.revocation_endpoint else { return Ok(false) };
        // Nothing of a client ever goes to another server.
        if self.client.issuer != self.server.issuer {
            let (held, issuer) = (self.client.issuer.clone(), self.server.issuer.clone());
            return Err(OAuthError::ClientOfAnother { held, issuer });
        }
        if let Some(refresh) = &tokens.refresh {
            self.revoke_one(endpoint, refresh, "refresh_token").await?;
        }
        match self.revoke_one(endpoint, &tokens.access, "access_token").await {
            // It ends by itself soon, and without the refresh token there is no other.
            Err(OAuthError::Refused(refusal))
                if tokens.refresh.is_some() && refusal.error == "unsupported_token_type" =>
            {
                Ok(true)
            }
            revoked => revoked.map(|()| true),
        }
    }

    async fn revoke_one(&self, endpoint: &Address, token: &SecretText, hint: &str) -> Result<(), OAuthError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token.expose()).append_pair("token_type_hint", hint);
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ];
        let secret = self.client.secret.as_ref().map(SecretText::expose).unwrap_or_default();
        match self.client.auth_method {
            AuthMethod::Basic => headers.push(basic(&self.client.id, secret)?),
            AuthMethod::Post => {
                form.append_pair("client_id", &self.client.id).append_pair("client_secret", secret);
            }
            AuthMethod::None => {
                form.append_pair("client_id", &self.client.id);
            }
        }
        let asked = Exchange {
            reach: endpoint.reach,
            method: Method::POST,
            url: &endpoint.url,
            headers,
            body: Some(form.finish()),
            bytes_max: ANSWER_BYTES_MAX,
            within: WITHIN,
        };
        let reply = exchange(asked).await.map_err(|cause| OAuthError::Egress { what: WHAT, cause })?;
        if matches!(reply.status, 200..=299) {
            return Ok(());
        }
        let document: Value = serde_json::from_str(&reply.text).unwrap_or_default();
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        Err(match text("error") {
            Some(error) => OAuthError::Refused(Refusal::new(error, text("error_description"))),
            None => OAuthError::Egress { what: WHAT, cause: status(reply.status) },
        })
    }
}

fn status(status: u16) -> EgressError {
    EgressError::Reset { reason: format!("it answered HTTP status {status}") }
}

/// RFC 6749, section 2.3.1: both halves are encoded as in a form before they are joined.
fn basic(id: &str, secret: &str) -> Result<(HeaderName, HeaderValue), OAuthError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let joined = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))));
    let unusable = |_| OAuthError::Egress { what: WHAT, cause: EgressError::Url { reason: "the client".into() } };
    let mut value = HeaderValue::from_str(&joined).map_err(unusable)?;
    value.set_sensitive(true);
    Ok((AUTHORIZATION, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_are_encoded_before_they_are_joined() {
        let (_, value) = basic("a:b", "c d%").unwrap();
        let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        assert_eq!(STANDARD.decode(text).unwrap(), b"a%3Ab:c+d%25");
        assert!(value.is_sensitive());
    }
}
