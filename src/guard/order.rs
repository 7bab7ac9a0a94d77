//! What a guard is told on its command line: `PARENT -- PROGRAM ARGUMENTS…`.
//!
//! In come raw arguments, out goes an [`Order`]. Nothing is looked up or interpreted here.

use std::{ffi::OsString, io};

use rustix::process::Pid;

/// Who stands above, and what is to be run.
#[derive(Debug)]
pub(super) struct Order {
    /// The process whose end ends everything.
    pub(super) parent: Pid,
    /// The program's path.
    pub(super) program: OsString,
    /// The program's arguments, as they are.
    pub(super) arguments: Vec<OsString>,
}

impl Order {
    /// Parses the arguments that followed the hidden one.
    pub(super) fn parse(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Self> {
        let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok()).and_then(Pid::from_raw);
        let separated = arguments.next().is_some_and(|argument| argument == "--");
        match (parent, arguments.next()) {
            (Some(parent), Some(program)) if separated => Ok(Self { parent, program, arguments: arguments.collect() }),
            _ => Err(io::Error::other("started by hand; it is the gateway that starts guards")),
        }
    }

    /// The same order in words, with another parent.
    pub(super) fn again_for(&self, parent: Pid) -> impl Iterator<Item = OsString> + '_ {
        let id = OsString::from(parent.as_raw_nonzero().to_string());
        [id, "--".into(), self.program.clone()].into_iter().chain(self.arguments.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> io::Result<Order> {
        Order::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn an_order_keeps_its_arguments_as_they_are() {
        let order = parse(&["7", "--", "/bin/echo", "--", "-x", ""]).unwrap();
        assert_eq!(order.parent.as_raw_nonzero().get(), 7);
        assert_eq!(order.program, "/bin/echo");
        assert_eq!(order.arguments, ["--", "-x", ""]);
    }

    #[test]
    fn an_order_repeats_itself_for_another_parent() {
        let order = parse(&["7", "--", "/bin/echo", "a"]).unwrap();
        let words: Vec<_> = order.again_for(Pid::from_raw(9).unwrap()).collect();
        assert_eq!(words, ["9", "--", "/bin/echo", "a"]);
    }

    #[test]
    fn an_incomplete_order_is_refused() {
        for words in [&[][..], &["7"], &["7", "--"], &["7", "/bin/echo"], &["x", "--", "/bin/echo"], &["0", "--", "a"]]
        {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
