//! Hides a server's credential in what the server says.
//!
//! Some servers echo the request, headers and all, in an error text. What they echo is the gateway's credential, and
//! neither the agent nor the record may have it.

use memchr::memmem::Finder;

/// What stands in a secret's place.
const MASK: &str = "•••";
/// A shorter secret would be found in what is none.
const SECRET_BYTES_MIN: usize = 8;

/// What to look for, each as it would stand in JSON text.
pub(in crate::upstream) struct Masks(Vec<Finder<'static>>);

impl Masks {
    /// For what one server is shown.
    pub(super) fn of(secrets: &[String]) -> Self {
        let mut wanted: Vec<String> = Vec::new();
        for secret in secrets {
            // A header's value often is a word, such as a scheme, and the secret after it.
            let parts = secret.split_ascii_whitespace().map(str::to_owned);
            wanted.extend(parts.chain([secret.clone()]).filter(|part| part.len() >= SECRET_BYTES_MIN));
        }
        let escaped: Vec<_> = wanted.iter().flat_map(|text| spellings(text)).collect();
        wanted.extend(escaped);
        // The longest first: a part that is found in a whole would leave the rest of it.
        wanted.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        wanted.dedup();
        Self(wanted.iter().map(|secret| Finder::new(secret.as_bytes()).into_owned()).collect())
    }

    /// The text without the secrets.
    pub(super) fn apply(&self, text: String) -> String {
        self.0.iter().fold(text, |text, finder| match finder.find(text.as_bytes()) {
            None => text,
            Some(_) => text.replace(&*String::from_utf8_lossy(finder.needle()), MASK),
        })
    }
}

/// A text as the JSON writers of other languages spell it: with what must be escaped, with slashes (PHP), with what could
/// be markup (Go), and with the other signs that .NET escapes; and as it stands in a URL.
fn spellings(text: &str) -> [String; 5] {
    let must = crate::mcp::envelope::quoted(text);
    let must = must.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let escaped = |signs: &[char], spell: fn(u32) -> String| -> String {
        must.chars().map(|char| if signs.contains(&char) { spell(char.into()) } else { char.into() }).collect()
    };
    let (markup, others) = (['<', '>', '&'], ['<', '>', '&', '+', '\'', '`']);
    let (lower, upper) = (|char| format!("\\u{char:04x}"), |char| format!("\\u{char:04X}"));
    let in_a_url = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    [in_a_url, must.to_owned(), must.replace('/', "\\/"), escaped(&markup, lower), escaped(&others, upper)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_is_echoed_is_hidden_in_each_of_its_forms() {
        let masks = Masks::of(&["s3cret\"token/42".to_owned()]);
        let echoed = r#"{"text":"Authorization: Bearer s3cret\"token/42, again s3cret\"token/42"}"#;
        assert_eq!(masks.apply(echoed.into()), r#"{"text":"Authorization: Bearer •••, again •••"}"#);
    }

    #[test]
    fn a_credential_is_hidden_however_the_server_spells_its_signs() {
        let masks = Masks::of(&["ab/cd+ef&gh==".to_owned()]);
        for echoed in [r"ab/cd+ef&gh==", r"ab\/cd+ef&gh==", r"ab/cd+ef\u0026gh==", r"ab/cd\u002Bef\u0026gh=="] {
            assert_eq!(masks.apply(format!("[{echoed}]")), "[•••]");
        }
    }

    #[test]
    fn of_a_header_with_a_scheme_the_secret_alone_is_hidden_too() {
        let masks = Masks::of(&["Token 0123456789abcdef".to_owned()]);
        assert_eq!(masks.apply("got 0123456789abcdef.".into()), "got •••.");
        assert_eq!(masks.apply("a Token is fine".into()), "a Token is fine");
    }
}
