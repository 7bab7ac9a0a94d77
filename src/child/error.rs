//! Why a server could not be started.
//!
//! Each sentence is for the operator: what happened, to what, and what to do. No variable's value is ever part of it.

use std::{io, path::PathBuf};

/// Why [`Child::spawn`](super::Child::spawn) or [`find_command`](super::find_command) failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such command.
    #[error("command not found: {command}{}; install it, or give its full path", looked_in(command, path))]
    CommandNotFound {
        /// The command, as the operator wrote it.
        command: String,
        /// The `PATH` that was searched.
        path: String,
    },
    /// The file is there but may not be run.
    #[error("{} is not executable; give it the right with chmod +x, or name the interpreter as the command", file.display())]
    NotExecutable {
        /// The file in question.
        file: PathBuf,
    },
    /// The working directory is not there.
    #[error("working directory not found: {}; create it, or change the server's cwd", directory.display())]
    DirectoryNotFound {
        /// The directory, as the operator wrote it.
        directory: PathBuf,
    },
    /// The variable is malformed, or one that would change which code runs.
    #[error("variable {name:?} cannot be given to a server: it is malformed, or makes the loader run other code")]
    VariableRefused {
        /// The variable's name.
        name: String,
    },
    /// A NUL byte in the command or an argument.
    #[error("command {command} or one of its arguments holds a NUL byte; remove it")]
    Malformed {
        /// The command, with the byte made visible.
        command: String,
    },
    /// The operating system said no.
    #[error("the operating system refused to start {command}")]
    Refused {
        /// The command, as the operator wrote it.
        command: String,
        /// What it said.
        source: io::Error,
    },
}

impl LaunchError {
    /// A short stable word for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CommandNotFound { .. } => "command_not_found",
            Self::NotExecutable { .. } => "not_executable",
            Self::DirectoryNotFound { .. } => "directory_not_found",
            Self::VariableRefused { .. } => "variable_refused",
            Self::Malformed { .. } => "malformed",
            Self::Refused { .. } => "refused",
        }
    }
}

/// A path is looked for nowhere but where it points.
fn looked_in(command: &str, path: &str) -> String {
    if command.contains('/') { String::new() } else { format!("; looked in PATH {path}") }
}
