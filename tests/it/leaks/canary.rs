//! Texts that nobody may read, the forms in which they might be read all the same, and a look for them.

use std::collections::BTreeMap;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The secrets of one gateway, by what they are.
#[derive(Default)]
pub struct Canaries(Vec<(String, Vec<u8>)>);

/// All that somebody could read, by where.
#[derive(Default)]
pub struct Seen(Vec<(String, Vec<u8>)>);

/// A secret that is found in a header, a URL and JSON, each time written otherwise.
pub fn canary(what: &str) -> String {
    format!("cnry+{what}/~9f8A7b6C5d==")
}

impl Canaries {
    pub fn add(&mut self, what: &str, secret: impl AsRef<[u8]>) -> &mut Self {
        let secret = secret.as_ref();
        assert!(secret.len() >= 16, "{what} is too short to be looked for");
        self.0.push((what.to_owned(), secret.to_vec()));
        self
    }

    /// A new secret of that name.
    pub fn plant(&mut self, what: &str) -> String {
        let secret = canary(what);
        self.add(what, &secret);
        secret
    }

    /// Where which of them can be read, and in which form.
    pub fn hits(&self, seen: &Seen) -> Vec<String> {
        let forms: Vec<_> = self.0.iter().flat_map(|(what, secret)| forms(what, secret)).collect();
        // All at once: there are thousands of forms, and much to look at.
        let finder = AhoCorasick::new(forms.iter().map(|(_, form)| form)).expect("few enough");
        let mut hits = BTreeMap::new();
        for (place, bytes) in &seen.0 {
            for found in finder.find_iter(bytes) {
                let what = format!("{} in {place}", forms[found.pattern().as_usize()].0);
                hits.entry(what).or_insert_with(|| around(bytes, found.start()));
            }
        }
        hits.into_iter().map(|(what, around)| format!("{what}: {around}")).collect()
    }
}

impl Seen {
    pub fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// All files below a folder, and their names.
    pub fn add_files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            self.add("the name of a file", path.display().to_string());
            if path.is_dir() {
                self.add_files(&path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                self.add(path.display().to_string(), bytes);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    pub fn places(&self) -> usize {
        self.0.len()
    }
}

fn around(bytes: &[u8], at: usize) -> String {
    String::from_utf8_lossy(&bytes[at.saturating_sub(120)..(at + 80).min(bytes.len())]).into_owned()
}

/// How a secret may be written.
pub fn forms(what: &str, secret: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut forms = vec![("raw", secret.to_vec())];
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(("in hex", hex.clone().into_bytes()));
    forms.push(("in upper hex", hex.to_uppercase().into_bytes()));
    let bytes = secret.iter().map(u8::to_string).collect::<Vec<_>>();
    forms.push(("as numbers", bytes.join(", ").into_bytes()));
    forms.push(("as numbers", bytes.join(",").into_bytes()));
    for offset in 0..3 {
        // What stands before and after changes the first and the last letters.
        let shifted = [&b"xxx"[..offset], secret].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            let start = [0, 2, 3][offset];
            let end = shifted.len() / 3 * 4;
            forms.push(("in base64", text.as_bytes()[start..end.min(text.len())].to_vec()));
        }
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let chars = text.chars().count();
        let half =
            |skipped: usize, taken: usize| text.chars().skip(skipped).take(taken).collect::<String>().into_bytes();
        forms.push(("begun", half(0, chars * 2 / 3)));
        forms.push(("ended", half(chars / 3, chars)));
        let url: String = url::form_urlencoded::byte_serialize(secret).collect();
        forms.push(("in a URL", url.to_lowercase().into_bytes()));
        forms.push(("in a URL", url.into_bytes()));
        for quoted in [text.replace('/', "\\/"), text.replace('/', "\\u002f"), text.replace('/', "\\u002F")] {
            forms.push(("in JSON", quoted.into_bytes()));
        }
        let html = text.replace('/', "&#x2F;").replace('+', "&#43;");
        forms.push(("in HTML", html.into_bytes()));
    }
    forms.into_iter().map(|(form, bytes)| (format!("{what} {form}"), bytes)).collect()
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is_written() {
    let mut canaries = Canaries::default();
    let secret = canaries.plant("token");
    let json = serde_json::to_string(&secret).unwrap().replace('/', "\\/");
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let written = [
        secret.clone(),
        json,
        url.clone(),
        url.to_lowercase(),
        format!("{:?}", secret.as_bytes()),
        secret[..24].to_owned(),
        secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
        STANDARD_NO_PAD.encode(format!("a{secret}b")),
        STANDARD_NO_PAD.encode(format!("ab{secret}")),
        URL_SAFE_NO_PAD.encode(format!("abc{secret}d")),
    ];
    for text in written {
        let mut seen = Seen::default();
        seen.add("a place", format!("before {text} after"));
        assert!(!canaries.hits(&seen).is_empty(), "{text}");
    }
    let mut seen = Seen::default();
    seen.add("a place", "a token, and nothing of it");
    assert_eq!(canaries.hits(&seen), Vec::<String>::new());
}
