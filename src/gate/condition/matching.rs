//! `matches`: a regular expression over a text.
//!
//! The pattern is written in the rule: one that came from a call could be made to cost. So it is compiled when the condition
//! is read, and kept with it: how many conditions there are makes none of them slower. The library knows a function by its
//! name alone, so the patterns of the condition that a thread is at are laid out for it.

use std::cell::RefCell;
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::common::types::{CelBool, CelString, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use super::ConditionError;
use super::bounds::refuse;

/// Most bytes of a compiled pattern.
const COMPILED_BYTES_MAX: usize = 256 * 1024;
thread_local! {
    static AT_HAND: RefCell<Patterns> = RefCell::default();
}

/// The patterns of a condition, each with its text.
pub(super) type Patterns = Arc<[(String, Regex)]>;

/// Runs `evaluate` with the patterns at hand.
pub(super) fn with<T>(patterns: &Patterns, evaluate: impl FnOnce() -> T) -> T {
    if patterns.is_empty() {
        return evaluate();
    }
    AT_HAND.set(patterns.clone());
    evaluate()
}

pub(super) fn declare(environment: &mut Env) {
    // The two names are free: the library's own are left out with its feature `regex`. A test would see it fail.
    let _ = environment.add_overload("matches", "matches", vec![STRING_TYPE, STRING_TYPE], matches);
    let _ = environment.add_member_overload("matches", "string_matches", STRING_TYPE, vec![STRING_TYPE], matches);
}

/// Compiles the pattern, which has to be written out.
pub(super) fn read(pattern: Option<&IdedExpr>) -> Result<(String, Regex), ConditionError> {
    match pattern.map(|pattern| &pattern.expr) {
        Some(Expr::Literal(LiteralValue::String(pattern))) => match compile(pattern.inner()) {
            Ok(compiled) => Ok((pattern.inner().to_owned(), compiled)),
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
    let is_match = AT_HAND.with_borrow(|patterns| {
        let known = patterns.iter().find(|(written, _)| written == pattern.inner());
        known.map(|(_, compiled)| compiled.is_match(text.inner()))
    });
    // Each pattern was compiled when the condition was read.
    let missing = || ExecutionError::function_error("matches", "the pattern is not known");
    is_match.map(|is_match| CowVal::owned(CelBool::from(is_match))).ok_or_else(missing)
}
