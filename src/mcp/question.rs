//! What a server may ask its client, and what a client said that it can be asked.
//!
//! The legacy era asks by requests of the server's own; the modern one by a result (`input_required`) whose request the
//! client then makes again, with the answers.

use std::collections::BTreeSet;

use super::{envelope, splice};

/// Asks a person: by a form, or by sending them to a page.
pub const ELICIT: &str = "elicitation/create";
/// Asks the client's model.
pub const SAMPLE: &str = "sampling/createMessage";
/// Asks for the client's roots.
pub const ROOTS: &str = "roots/list";

/// The answer of a person who closed the question without answering it.
pub const CLOSED: &str = r#"{"action":"cancel"}"#;

/// One thing that a client can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Ability {
    Form,
    Url,
    Sampling,
    SamplingContext,
    SamplingTools,
    Roots,
}

/// Where each is declared. An elicitation that says no more means forms.
const DECLARED: [(Ability, &[&str]); 6] = [
    (Ability::Form, &["elicitation", "form"]),
    (Ability::Url, &["elicitation", "url"]),
    (Ability::Sampling, &["sampling"]),
    (Ability::SamplingContext, &["sampling", "context"]),
    (Ability::SamplingTools, &["sampling", "tools"]),
    (Ability::Roots, &["roots"]),
];

/// What a client can be asked, as far as the gateway can carry it from one era to the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Abilities(BTreeSet<Ability>);

impl Abilities {
    /// Reads the text of a client's capabilities.
    #[must_use]
    pub fn read(capabilities: &str) -> Self {
        let is_object = |path: &[&str]| splice::find(capabilities, path).is_some_and(|value| value.starts_with('{'));
        let mut abilities: BTreeSet<_> =
            DECLARED.iter().filter(|(_, path)| is_object(path)).map(|(ability, _)| *ability).collect();
        if is_object(&["elicitation"]) && !abilities.contains(&Ability::Url) {
            abilities.insert(Ability::Form);
        }
        Self(abilities)
    }

    /// The capabilities' text: the same for the same abilities.
    #[must_use]
    pub fn text(&self) -> String {
        let only_form = !self.0.contains(&Ability::Url);
        DECLARED.iter().filter(|(ability, _)| self.0.contains(ability)).fold("{}".into(), |text, (ability, path)| {
            // Revisions before 2025-11-25 know forms alone, and no word for them.
            let path = if *ability == Ability::Form && only_form { path.split_at(1).0 } else { path };
            splice::set(&text, path, "{}")
        })
    }

    /// Whether the client can be asked nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the client can be asked this.
    #[must_use]
    pub fn allow(&self, method: &str, params: Option<&str>) -> bool {
        let has = |member| params.is_some_and(|params| splice::find(params, &[member]).is_some());
        match method {
            ELICIT => self.0.contains(if is_of_url(method, params) { &Ability::Url } else { &Ability::Form }),
            SAMPLE if has("tools") || has("toolChoice") => self.0.contains(&Ability::SamplingTools),
            SAMPLE => self.0.contains(&Ability::Sampling),
            ROOTS => self.0.contains(&Ability::Roots),
            _ => false,
        }
    }
}

/// Whether a person is to be sent to a page.
#[must_use]
pub fn is_of_url(method: &str, params: Option<&str>) -> bool {
    let mode = params.and_then(|params| splice::find_string(params, &["mode"]));
    method == ELICIT && mode.as_deref() == Some("url")
}

/// Whether a result can be the answer to a question of that method.
#[must_use]
pub fn fits(method: &str, result: &str) -> bool {
    let begins = |member, sign| splice::find(result, &[member]).is_some_and(|value| value.starts_with(sign));
    match method {
        ELICIT => begins("action", '"'),
        SAMPLE => begins("role", '"') && splice::find(result, &["content"]).is_some(),
        ROOTS => begins("roots", '['),
        _ => result.starts_with('{'),
    }
}

/// A question, as it stands in an `input_required` result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// By which its answer is known.
    pub key: String,
    /// What is asked.
    pub method: String,
    /// Text of its parameters.
    pub params: Option<String>,
}

/// An `input_required` result.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InputRequired {
    /// What is asked; may be nothing.
    pub questions: Vec<Question>,
    /// Text of the state to be given back, quotes and all.
    pub state: Option<String>,
}

impl InputRequired {
    /// Reads a result's text; `None` when it is no such result, an error when it is a broken one.
    #[must_use]
    pub fn read(result: &str) -> Option<Result<Self, &'static str>> {
        // Nearly no result is one, and looking for the word is far cheaper than reading the members.
        if !result.contains("input_required")
            || splice::find_string(result, &["resultType"]).as_deref() != Some("input_required")
        {
            return None;
        }
        Some(Self::read_members(result))
    }

    fn read_members(result: &str) -> Result<Self, &'static str> {
        let state = splice::find(result, &["requestState"]).map(ToOwned::to_owned);
        if state.as_ref().is_some_and(|state| !state.starts_with('"')) {
            return Err("its requestState is no string");
        }
        let asked = match splice::find(result, &["inputRequests"]) {
            Some(requests) => splice::members(requests).ok_or("its inputRequests are no object")?,
            None => Vec::new(),
        };
        let mut questions = Vec::new();
        for (key, request) in asked {
            let method = splice::find_string(request.get(), &["method"]).ok_or("one of its questions has no method")?;
            let params = splice::find(request.get(), &["params"]).map(ToOwned::to_owned);
            if params.as_ref().is_some_and(|params| !params.starts_with('{')) {
                return Err("the params of one of its questions are no object");
            }
            questions.push(Question { key, method, params });
        }
        if questions.is_empty() && state.is_none() {
            return Err("it names neither questions nor a state");
        }
        Ok(Self { questions, state })
    }

    /// The result's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = r#"{"resultType":"input_required"}"#.to_owned();
        if !self.questions.is_empty() {
            let requests = object(self.questions.iter().map(|question| {
                let params = question.params.as_deref().map(|params| format!(r#","params":{params}"#));
                let method = envelope::quoted(&question.method);
                (question.key.as_str(), format!(r#"{{"method":{method}{}}}"#, params.unwrap_or_default()))
            }));
            text = splice::set(&text, &["inputRequests"], &requests);
        }
        match &self.state {
            Some(state) => splice::set(&text, &["requestState"], state),
            None => text,
        }
    }
}

/// The text of an object with these members.
#[must_use]
pub fn object<'k>(members: impl IntoIterator<Item = (&'k str, String)>) -> String {
    let members: Vec<_> =
        members.into_iter().map(|(key, value)| format!("{}:{value}", envelope::quoted(key))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_read_and_said_in_one_way() {
        for (declared, said) in [
            ("{}", "{}"),
            (r#"{"elicitation":{}}"#, r#"{"elicitation":{}}"#),
            (r#"{"elicitation":{"form":{}}}"#, r#"{"elicitation":{}}"#),
            (r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{"url":{}}}"#),
            (r#"{"elicitation":{"url":{},"form":{}}}"#, r#"{"elicitation":{"form":{},"url":{}}}"#),
            (r#"{"roots":{"listChanged":true},"sampling":{}}"#, r#"{"sampling":{},"roots":{}}"#),
            (r#"{"sampling":{"tools":{}},"tasks":{},"extensions":{"x":{}}}"#, r#"{"sampling":{"tools":{}}}"#),
            (r#"{"roots":null,"sampling":true}"#, "{}"),
        ] {
            assert_eq!(Abilities::read(declared).text(), said);
        }
    }

    #[test]
    fn only_what_was_declared_may_be_asked() {
        let may = |declared: &str, method, params| Abilities::read(declared).allow(method, Some(params));
        assert!(may(r#"{"elicitation":{}}"#, ELICIT, "{}"));
        assert!(!may(r#"{"elicitation":{}}"#, ELICIT, r#"{"mode":"url"}"#));
        assert!(may(r#"{"elicitation":{"url":{}}}"#, ELICIT, r#"{"mode":"url"}"#));
        assert!(!may(r#"{"elicitation":{"url":{}}}"#, ELICIT, r#"{"mode":"form"}"#));
        assert!(may(r#"{"sampling":{}}"#, SAMPLE, "{}"));
        assert!(!may(r#"{"sampling":{}}"#, SAMPLE, r#"{"tools":[]}"#));
        assert!(!may(r#"{"sampling":{}}"#, ROOTS, "{}"));
        assert!(!may(r#"{"roots":{}}"#, "tools/call", "{}"));
    }

    #[test]
    fn a_result_that_asks_is_read_and_written_as_it_is() {
        let text = concat!(
            r#"{"resultType":"input_required","inputRequests":{"a\"":{"method":"roots/list"},"#,
            r#""b":{"method":"elicitation/create","params":{"n":1.0}}},"requestState":"s\u0041"}"#
        );
        let read = InputRequired::read(text).unwrap().unwrap();
        assert_eq!(read.questions[0].key, "a\"");
        assert_eq!(read.text(), text);
        assert_eq!(InputRequired::read(r#"{"content":[{"type":"text","text":"input_required"}]}"#), None);
        for broken in ["", r#","inputRequests":[]"#, r#","inputRequests":{"a":{}}"#, r#","requestState":7"#] {
            let text = format!(r#"{{"resultType":"input_required"{broken}}}"#);
            assert!(InputRequired::read(&text).unwrap().is_err(), "{text}");
        }
    }
}
