//! Where a value came from, in the words in which the operator wrote it.

use std::{fmt, path::PathBuf};

/// Who set a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    Default,
    /// The configuration file, at a line.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A file that a variable names, for a secret that is mounted.
    VariableFile {
        /// The variable, `_FILE` and all.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// The command line.
    Flag(String),
}

impl Source {
    /// The flag that stands for a key.
    pub(super) fn flag(key: &str) -> Self {
        Self::Flag(format!("--{}", key.replace('_', "-")))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::VariableFile { variable, path } => write!(formatter, "{variable} ({})", path.display()),
            Self::Variable(name) | Self::Flag(name) => formatter.write_str(name),
        }
    }
}
