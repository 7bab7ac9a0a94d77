//! The `when` of a rule: an expression in CEL over one call.
//!
//! A text comes in and is judged when the rule is written; a call comes in and the expression is evaluated. It can read
//! `args` (the call's arguments), `agent`, `server`, `tool`, `method`, `hints` (the tool's annotations, as the server
//! claims them) and `now`, and nothing else: no file, no network, no clock, no other call. So the same call at the same
//! time always gets the same answer.
//!
//! *It always ends, and soon.* CEL has no recursion and no free loops, which is not yet a bound: loops in loops multiply,
//! and some functions make large values. So `bounds.rs` accepts only expressions of a bounded size and depth whose loops
//! don't multiply, and `facts.rs` gives each evaluation a budget for what it reads.
//!
//! *It never decides by accident.* What is not true or false (a member that is not there, a comparison of a text with a
//! number, a number that CEL can't hold exactly, a budget that is spent, even a panic in the library) is
//! [`Outcome::Failed`], which denies. Two things are the library's and stay: `&&` and `||` are settled by one side even if the
//! other one fails, as CEL says; and an integer is compared with a literal such as `1.0` as a floating-point number.
//!
//! *Arguments that are not known.* A listing asks about calls that nobody has made. Then `args` can't be read, and what
//! nevertheless comes to true or false does so for all arguments, because one side settled it: that is as good as known.
//! What does not, is [`Outcome::Open`].

mod bounds;
mod facts;
mod matching;
mod numbers;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::common::types::CelBool;
use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, Value};

use self::bounds::References;
pub(super) use self::facts::Facts;
use self::matching::Patterns;

/// Most bytes of the text of a condition.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// Why a text can't be a condition.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConditionError(pub(super) String);

/// What a condition says to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It holds.
    Holds,
    /// It doesn't.
    Misses,
    /// It depends on arguments that are not known.
    Open,
    /// It could not be evaluated; why, without any value of the call.
    Failed(String),
}

/// An expression that was found to be within bounds.
#[derive(Debug, Clone)]
pub struct Condition {
    text: Arc<str>,
    expression: Arc<IdedExpr>,
    references: References,
    patterns: Patterns,
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::default().with_optional_support(false).with_stdlib();
    matching::declare(&mut environment);
    Arc::new(environment)
});

impl Condition {
    /// Reads a text.
    ///
    /// # Errors
    /// It is too long or too deep, is not CEL, names what is not there, or loops in a way that multiplies.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        bounds::check_text(text)?;
        // The library is young: what it does with a strange text must not take a thread with it.
        let parsed = catch_unwind(|| PrattParser::default().max_recursion_depth(bounds::NESTING_MAX).parse(text));
        let parsed = parsed.map_err(|_| ConditionError("the text can't be read as CEL".into()))?;
        let expression = parsed.map_err(|errors| ConditionError(first_of(&errors)))?;
        let (references, patterns) = bounds::check(&expression)?;
        Ok(Self { text: text.into(), expression: Arc::new(expression), references, patterns })
    }

    /// Whether it reads the tool's annotations.
    pub(super) fn reads_hints(&self) -> bool {
        self.references.hints
    }

    /// Whether it comes to *false* whatever the call is.
    pub(super) fn is_never_true(&self) -> bool {
        let nothing = !self.references.any && !self.references.args && !self.references.hints;
        nothing && self.evaluate(&Facts::of_no_call()) == Outcome::Misses
    }

    /// What it says to the call that the facts are of.
    pub(super) fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let budget = facts.begin();
        let mut context = Context::with_env(ENVIRONMENT.clone());
        context.set_variable_resolver(&budget);
        let resolve = || match Value::resolve_val(&self.expression, &context) {
            Ok(value) => value
                .downcast_ref::<CelBool>()
                .map(|truth| *truth.inner())
                .ok_or_else(|| format!("it comes to a value of the type {}", value.get_type().name())),
            Err(error) => Err(self.words(&error)),
        };
        let result = catch_unwind(AssertUnwindSafe(|| matching::with(&self.patterns, resolve)));
        drop(context);
        if let Some(reason) = budget.failure() {
            return Outcome::Failed(reason);
        }
        match result {
            Ok(Ok(true)) => Outcome::Holds,
            Ok(Ok(false)) => Outcome::Misses,
            Ok(Err(_)) if budget.has_missed_args() => Outcome::Open,
            Ok(Err(reason)) => Outcome::Failed(reason),
            Err(_) => Outcome::Failed("the evaluation broke off".into()),
        }
    }

    /// What went wrong, without a value of the call: the words reach the record and the log.
    fn words(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.text.contains(key.as_str()) => {
                format!("there is no {key:?}; ask with has() first")
            }
            ExecutionError::NoSuchKey(_) => "a member is not there; ask with has() first".into(),
            ExecutionError::NoSuchOverload(_) | ExecutionError::UndeclaredReference(_) => error.to_string(),
            ExecutionError::UnexpectedType { want, .. } => format!("a value is not of the type {want}"),
            ExecutionError::ValuesNotComparable(..) => "two values of different types can't be compared".into(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".into(),
            ExecutionError::Overflow(..) => "a result is too large".into(),
            ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the index that is asked for".into(),
            ExecutionError::FunctionError { function, .. } => format!("{function}() can't read what it was given"),
            _ => "an operator does not fit the values that it is given".into(),
        }
    }
}

fn first_of(errors: &cel::ParseErrors) -> String {
    match errors.errors.first() {
        Some(error) if error.pos.0 > 0 => {
            format!("it is not CEL, at line {}, column {}: {}", error.pos.0, error.pos.1, error.msg)
        }
        Some(error) => format!("it is not CEL: {}", error.msg),
        None => "it is not CEL".into(),
    }
}

#[cfg(test)]
mod tests;
