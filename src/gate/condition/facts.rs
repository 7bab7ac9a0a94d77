//! What is known of a call, as a condition reads it: each value is made once a call, when a rule first asks for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cel::common::types::{CelMap, CelNull, CelString, CelTimestamp};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use chrono::DateTime;

use super::value;
use crate::gate::call::{Arguments, Call, HINTS_BYTES_MAX};

/// Most bytes that one evaluation reads, each variable counted each time it is named: a loop may name `args` in each of
/// its steps.
const READ_BYTES_MAX: usize = 64 * 1024 * 1024;

type Made = Result<Box<dyn Val>, String>;

/// A call at a time.
pub(in crate::gate) struct Facts<'c> {
    call: Option<&'c Call>,
    now_ms: i64,
    args: OnceLock<Made>,
    hints: OnceLock<Made>,
}

impl<'c> Facts<'c> {
    pub(in crate::gate) fn new(call: &'c Call, now_ms: i64) -> Self {
        Self { call: Some(call), now_ms, args: OnceLock::new(), hints: OnceLock::new() }
    }

    /// Nothing is known.
    pub(super) fn of_no_call() -> Self {
        Self { call: None, now_ms: 0, args: OnceLock::new(), hints: OnceLock::new() }
    }

    pub(in crate::gate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The facts for one evaluation, with its budget.
    pub(super) fn begin(&self) -> Budget<'_> {
        Budget {
            facts: self,
            left: AtomicUsize::new(READ_BYTES_MAX),
            is_spent: AtomicBool::new(false),
            has_missed_args: AtomicBool::new(false),
            has_unreadable: AtomicBool::new(false),
        }
    }

    fn args(&self, call: &Call) -> Option<&Made> {
        match &call.arguments {
            Arguments::Unknown => None,
            Arguments::None => Some(self.args.get_or_init(|| Ok(Box::new(CelMap::default())))),
            Arguments::Text(text) => Some(self.args.get_or_init(|| value::build(text))),
        }
    }

    fn hints(&self, call: &Call) -> &Made {
        self.hints.get_or_init(|| match &call.hints {
            Some(text) if text.is_empty() || text.len() > HINTS_BYTES_MAX => {
                Err("the server claims more of the tool, or of more tools, than can be kept".into())
            }
            Some(text) => value::build(text),
            None => Ok(Box::new(CelMap::default())),
        })
    }
}

/// The facts during one evaluation.
// The library wants what it asks to be `Sync`; it is asked by one thread.
pub(super) struct Budget<'f> {
    facts: &'f Facts<'f>,
    left: AtomicUsize,
    is_spent: AtomicBool,
    has_missed_args: AtomicBool,
    has_unreadable: AtomicBool,
}

impl Budget<'_> {
    /// Whether arguments were asked for that are not known.
    pub(super) fn has_missed_args(&self) -> bool {
        self.has_missed_args.load(Ordering::Relaxed)
    }

    /// Why the result does not count, even if there is one.
    pub(super) fn failure(&self) -> Option<String> {
        if self.is_spent.load(Ordering::Relaxed) {
            return Some("it takes too long with arguments of this size".into());
        }
        if !self.has_unreadable.load(Ordering::Relaxed) {
            return None;
        }
        [self.facts.args.get(), self.facts.hints.get()]
            .into_iter()
            .flatten()
            .find_map(|made| made.as_ref().err().cloned())
    }

    fn spend(&self, bytes: usize) -> Option<()> {
        let left = self.left.load(Ordering::Relaxed).checked_sub(bytes);
        self.left.store(left.unwrap_or(0), Ordering::Relaxed);
        self.is_spent.fetch_or(left.is_none(), Ordering::Relaxed);
        left.map(drop)
    }

    fn made<'b>(&self, made: &'b Made) -> Option<CowVal<'b, 'b>> {
        if made.is_err() {
            self.has_unreadable.store(true, Ordering::Relaxed);
        }
        made.as_ref().ok().map(|value| CowVal::Borrowed(value.as_ref()))
    }
}

impl VariableResolver for Budget<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let call = self.facts.call?;
        let text = |text: &'b str| {
            self.spend(text.len())?;
            Some(CowVal::owned(CelString::from(text)))
        };
        match variable {
            "args" => {
                self.spend(call.arguments.len())?;
                let made = self.facts.args(call);
                self.has_missed_args.fetch_or(made.is_none(), Ordering::Relaxed);
                self.made(made?)
            }
            "hints" => {
                self.spend(call.hints.as_deref().map_or(0, str::len))?;
                self.made(self.facts.hints(call))
            }
            "agent" => text(&call.agent),
            "server" => text(&call.server),
            "method" => text(&call.method),
            "tool" => call.tool.as_deref().map_or_else(|| Some(CowVal::owned(CelNull)), text),
            "now" => DateTime::from_timestamp_millis(self.facts.now_ms)
                .map(|now| CowVal::owned(CelTimestamp::from(now.fixed_offset()))),
            _ => None,
        }
    }
}
