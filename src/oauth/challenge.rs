//! What a server says with a 401 or 403: `WWW-Authenticate` (RFC 9110, section 11.6.1).
//!
//! One header line may hold several challenges, and a challenge several parameters; both are separated by commas, and
//! quoted values may hold commas, too.

/// What the challenge of the scheme `Bearer` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the server's metadata is.
    pub resource_metadata: Option<String>,
    /// The scopes that the request needs, separated by spaces.
    pub scope: Option<String>,
    /// `invalid_token`, `insufficient_scope`.
    pub error: Option<String>,
    /// The server's words.
    pub error_description: Option<String>,
}

impl Challenge {
    /// Finds it in the header lines of one answer. Of several, the one that names the metadata is taken.
    #[must_use]
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut found: Option<Self> = None;
        for (scheme, parameters) in lines.into_iter().flat_map(challenges) {
            if !scheme.eq_ignore_ascii_case("bearer") {
                continue;
            }
            let challenge = Self::of(parameters);
            if found
                .as_ref()
                .is_none_or(|found| found.resource_metadata.is_none() && challenge.resource_metadata.is_some())
            {
                found = Some(challenge);
            }
        }
        found
    }

    /// The scopes, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.iter().flat_map(|scope| scope.split_ascii_whitespace())
    }

    fn of(parameters: Vec<(String, String)>) -> Self {
        let mut challenge = Self::default();
        for (name, value) in parameters {
            let slot = match name.as_str() {
                "resource_metadata" => &mut challenge.resource_metadata,
                "scope" => &mut challenge.scope,
                "error" => &mut challenge.error,
                "error_description" => &mut challenge.error_description,
                _ => continue,
            };
            // A name that comes twice is read as its first.
            slot.get_or_insert(value);
        }
        challenge
    }
}

type Named = (String, Vec<(String, String)>);

fn challenges(line: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let Some((word, after)) = token(rest) else {
            // What belongs nowhere is passed over up to the next comma.
            match rest.split_once(',') {
                Some((_, after)) => rest = after,
                None => return found,
            }
            continue;
        };
        match (value(after), found.last_mut()) {
            (Some((value, after)), Some((_, parameters))) => {
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            // A parameter without a scheme before it.
            (Some((_, after)), None) => rest = after,
            (None, _) => {
                found.push((word.to_owned(), Vec::new()));
                rest = without_token68(after);
            }
        }
    }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    let end = text.find(|char| !is_part(char)).unwrap_or(text.len());
    if end == 0 { None } else { text.split_at_checked(end) }
}

/// The value after a name, and what follows it; none when the name is none, but a scheme.
fn value(after_name: &str) -> Option<(String, &str)> {
    let text = after_name.trim_start_matches([' ', '\t']).strip_prefix('=')?.trim_start_matches([' ', '\t']);
    if let Some(quoted) = text.strip_prefix('"') {
        return Some(unquoted(quoted));
    }
    // Some leave the quotes out although a URL needs them.
    let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
    text.split_at_checked(end).map(|(value, rest)| (value.to_owned(), rest))
}

fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(char),
        }
    }
    (value, "")
}

/// Some schemes carry one bare value (`Negotiate YII=`).
fn without_token68(after_scheme: &str) -> &str {
    let text = after_scheme.trim_start_matches([' ', '\t']);
    let is_part = |char: char| char.is_ascii_alphanumeric() || "-._~+/".contains(char);
    let rest = text.trim_start_matches(is_part);
    let after = rest.trim_start_matches('=');
    let is_alone = after.is_empty() || after.trim_start_matches([' ', '\t']).starts_with(',');
    // `Basic, Bearer …`: nothing is carried.
    if is_alone && rest.len() < text.len() { after } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Option<(Option<String>, Option<String>, Option<String>)> {
        let found = Challenge::parse(lines.iter().copied())?;
        Some((found.resource_metadata, found.scope, found.error))
    }

    #[test]
    fn the_bearer_challenge_is_found_wherever_it_stands() {
        let full =
            Some((Some("https://a/m?x=1,2".to_owned()), Some("a b".to_owned()), Some("invalid_token".to_owned())));
        for lines in [
            &[r#"Bearer resource_metadata="https://a/m?x=1,2", scope="a b", error="invalid_token""#][..],
            &[r#"bearer error="invalid_token",scope="a b",resource_metadata="https://a/m?x=1,2""#],
            &[r#"BEARER   Scope = "a b" ,  ERROR=invalid_token , resource_metadata = "https://a/m?x=1,2""#],
            &[
                r#"Basic realm="x, Bearer y", Bearer scope="a b", error=invalid_token, resource_metadata="https://a/m?x=1,2""#,
            ],
            &[
                r#"Negotiate YII==, Bearer scope="a b", error=invalid_token, resource_metadata="https://a/m?x=1,2", Basic realm=q"#,
            ],
            &[r#"Negotiate, Bearer scope="a b", error=invalid_token, resource_metadata="https://a/m?x=1,2""#],
            &[
                "Basic realm=\"x\"",
                r#"Bearer scope="a b",, error="invalid_token", resource_metadata="https://a/m?x=1,2""#,
            ],
            &[
                "Bearer realm=\"old\"",
                r#"Bearer scope="a b", error="invalid\_token", resource_metadata="https://a/m?x=1,2""#,
            ],
            &[r#"Bearer scope="a b", scope="z", error="invalid_token", resource_metadata="https://a/m?x=1,2""#],
        ] {
            assert_eq!(parse(lines), full, "{lines:?}");
        }
    }

    #[test]
    fn a_challenge_without_parameters_is_one_and_another_scheme_is_none() {
        assert_eq!(parse(&["Bearer"]), Some((None, None, None)));
        assert_eq!(parse(&["Bearer realm=\"x\\\"y\""]), Some((None, None, None)));
        let bare = Some((Some("https://a/m".to_owned()), None, None));
        assert_eq!(parse(&["Bearer resource_metadata=https://a/m, Basic x=y"]), bare);
        for line in [
            "",
            ",",
            "Basic realm=\"Bearer resource_metadata=x\"",
            "scope=\"a\"",
            "\"Bearer\"",
            "=,=",
            "Negotiate Bearer",
        ] {
            assert_eq!(parse(&[line]), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(line in "\\PC{0,200}") {
            let _ = Challenge::parse([line.as_str()]);
        }
    }
}
