//! What a body may be, and what is said of one that is not.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::http::body::Edit;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Option<String>>,
    #[serde(default)]
    cwd: Edit<String>,
    limit: Option<u8>,
    word: Option<Word>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Word {
    Yes,
    No,
}

fn fault(value: &serde_json::Value) -> (String, String) {
    let fault = read::<Thing>(value).expect_err(&value.to_string());
    (fault.pointer(), fault.detail)
}

#[test]
fn a_value_of_the_right_shape_is_read() {
    let value =
        json!({"name": "a", "args": ["x"], "env": {"A": "1", "B": null}, "cwd": null, "limit": 3, "word": "no"});
    let thing: Thing = read(&value).expect("a thing");
    assert_eq!(thing.env, BTreeMap::from([("A".into(), Some("1".into())), ("B".into(), None)]));
    assert_eq!((thing.cwd, thing.limit, thing.word), (Edit::Clear, Some(3), Some(Word::No)));
    assert_eq!(read::<Thing>(&json!({"name": "a"})).expect("a thing").cwd, Edit::Keep);
}

#[test]
fn a_wrong_type_is_pointed_at_and_its_value_is_not_told() {
    assert_eq!(fault(&json!({"name": 7})), ("/name".into(), "a string is expected, not a number".into()));
    assert_eq!(fault(&json!({"name": "a", "args": ["x", 3]})).0, "/args/1");
    assert_eq!(fault(&json!({"name": "a", "env": {"TO/KEN~": 987_654}})).0, "/env/TO~1KEN~0");
    assert!(!fault(&json!({"name": "a", "env": {"TOKEN": 987_654}})).1.contains("987654"));
    assert_eq!(fault(&json!([])), (String::new(), "an object is expected, not a list".into()));
    assert_eq!(fault(&json!({"name": "a", "limit": 256})).0, "/limit");
    assert_eq!(fault(&json!({"name": "a", "limit": -1})).0, "/limit");
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_known_one() {
    let (pointer, detail) = fault(&json!({"name": "a", "arsg": []}));
    assert_eq!((pointer.as_str(), detail.contains("\"args\"")), ("/arsg", true), "{detail}");
    let (_, detail) = fault(&json!({"name": "a", "quite_different": []}));
    assert!(detail.contains("known are name, args"), "{detail}");
}

#[test]
fn a_missing_name_and_an_unknown_word_are_pointed_at() {
    assert_eq!(fault(&json!({})), ("/name".into(), "it is missing".into()));
    assert_eq!(fault(&json!({"name": "a", "word": "maybe"})), ("/word".into(), "one of yes, no is expected".into()));
}

#[test]
fn parameters_are_read_from_text() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Query {
        enabled: Option<bool>,
        limit: Option<u32>,
        q: Option<String>,
    }
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let query: Query = read_parameters(&pairs(&[("enabled", "true"), ("limit", "7"), ("q", "x")])).expect("a query");
    assert_eq!((query.enabled, query.limit, query.q.as_deref()), (Some(true), Some(7), Some("x")));
    for wrong in [[("enabled", "yes")], [("limit", "-1")], [("limit", "many")], [("lmit", "1")]] {
        assert_eq!(read_parameters::<Query>(&pairs(&wrong)).expect_err("a fault").outermost(), Some(wrong[0].0));
    }
}
