//! `matches`: a regular expression over a text.
//!
//! The pattern is written in the rule: one that came from a call could be made to cost. So it is compiled when the rule is
//! judged, and again by each thread that first meets it, which then keeps it.

use std::cell::RefCell;
use std::collections::HashMap;

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::common::types::{CelBool, CelString, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use super::ConditionError;
use super::bounds::refuse;

/// Most bytes of a compiled pattern.
const COMPILED_BYTES_MAX: usize = 256 * 1024;
/// Most patterns that a thread keeps.
const KEPT_MAX: usize = 256;

thread_local! {
    static KEPT: RefCell<HashMap<String, Regex>> = RefCell::default();
}

pub(super) fn declare(environment: &mut Env) {
    // The two names are free: the library's own are left out with its feature `regex`. A test would see it fail.
    let _ = environment.add_overload("matches", "matches", vec![STRING_TYPE, STRING_TYPE], matches);
    let _ = environment.add_member_overload("matches", "string_matches", STRING_TYPE, vec![STRING_TYPE], matches);
}

/// Whether the pattern is written out and can be compiled.
pub(super) fn check(pattern: Option<&IdedExpr>) -> Result<(), ConditionError> {
    match pattern.map(|pattern| &pattern.expr) {
        Some(Expr::Literal(LiteralValue::String(pattern))) => match compile(pattern.inner()) {
            Ok(_) => Ok(()),
            Err(error) => refuse(format!("{:?} is not a usable regular expression: {error}", pattern.inner())),
        },
        _ => refuse("the pattern of matches() must be written out as a text"),
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build()
}

#[expect(clippy::needless_pass_by_value, reason = "the library gives its functions their values")]
fn matches<'b, 'v>(values: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |at: usize| values.get(at).and_then(|value| value.downcast_ref::<CelString<'_>>());
    let (Some(text), Some(pattern)) = (text(0), text(1)) else {
        return Err(ExecutionError::function_error("matches", "two texts are expected"));
    };
    let is_match = is_match(text.inner(), pattern.inner());
    is_match
        .map(|is_match| CowVal::owned(CelBool::from(is_match)))
        .map_err(|error| ExecutionError::function_error("matches", error))
}

fn is_match(text: &str, pattern: &str) -> Result<bool, regex::Error> {
    KEPT.with_borrow_mut(|kept| {
        if let Some(compiled) = kept.get(pattern) {
            return Ok(compiled.is_match(text));
        }
        let compiled = compile(pattern)?;
        let is_match = compiled.is_match(text);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), compiled);
        Ok(is_match)
    })
}
