//! How a server ended.
//!
//! In comes the guard's exit status, out goes the server's: the guard reports a signal as 128 plus its number.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus};

/// The last signal there is on Linux; above 128 plus this an exit code is just a code.
const LAST_SIGNAL: i32 = 64;

/// How a server ended: by itself with a code, by a signal, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, when the server ended by itself.
    pub code: Option<i32>,
    /// The signal, when one ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// The server is gone or was given up; nobody can say how it ended.
    pub const UNKNOWN: Self = Self { code: None, signal: None };
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) if (129..=128 + LAST_SIGNAL).contains(&code) => {
                Self { code: None, signal: Some(code - 128) }
            }
            (code, signal) => Self { code, signal },
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (_, Some(signal)) => write!(formatter, "was killed by signal {signal}"),
            (Some(code), None) => write!(formatter, "exited with code {code}"),
            (None, None) => formatter.write_str("ended, and nobody knows how"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_code(code: i32) -> Exit {
        Exit::from(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn codes_and_signals_read_as_sentences() {
        assert_eq!(of_code(3).to_string(), "exited with code 3");
        assert_eq!(of_code(137).to_string(), "was killed by signal 9");
        assert_eq!(Exit::from(ExitStatus::from_raw(9)).to_string(), "was killed by signal 9");
        assert_eq!(Exit::UNKNOWN.to_string(), "ended, and nobody knows how");
    }

    #[test]
    fn a_code_beyond_the_last_signal_stays_a_code() {
        assert_eq!(of_code(255), Exit { code: Some(255), signal: None });
        assert_eq!(of_code(128), Exit { code: Some(128), signal: None });
    }
}
