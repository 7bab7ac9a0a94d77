//! What an operator wants run: a command, its arguments, its variables and its directory.
//!
//! In come an operator's words only, never anything a server said. Secrets sit in the variables, so `Debug` names them
//! and keeps their values to itself.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use super::{LaunchError, command::find_command};

/// How one stdio server is started. No shell is involved: each argument arrives as it stands here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// A name to be looked up in `PATH`, or a path.
    pub command: String,
    /// The arguments, verbatim.
    pub args: Vec<String>,
    /// The variables the server is given beside the inherited ones.
    pub env: Vec<(String, String)>,
    /// The working directory; the gateway's own when absent.
    pub cwd: Option<PathBuf>,
}

impl Launch {
    /// Finds the file to run, as the server's own `PATH` and directory have it.
    pub(super) fn program(&self, environment: &[(OsString, OsString)]) -> Result<PathBuf, LaunchError> {
        if self.command.contains('\0') || self.args.iter().any(|argument| argument.contains('\0')) {
            return Err(LaunchError::Malformed { command: self.command.replace('\0', "\\0") });
        }
        if let Some(cwd) = self.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
            return Err(LaunchError::DirectoryNotFound { directory: cwd.clone() });
        }
        let path = environment.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, value)| value);
        find_command(&self.seen_from_directory(), &path.to_string_lossy())
    }

    /// The command with a relative path joined to the server's directory, which is where the operator means it.
    fn seen_from_directory(&self) -> String {
        match &self.cwd {
            Some(cwd) if self.command.contains('/') && Path::new(&self.command).is_relative() => {
                cwd.join(&self.command).to_string_lossy().into_owned()
            }
            _ => self.command.clone(),
        }
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Launch")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_the_variables_and_hides_their_values() {
        let launch = Launch { env: vec![("API_KEY".into(), "hunter2".into())], ..Launch::default() };
        let shown = format!("{launch:?}");
        assert!(shown.contains("API_KEY") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_nul_byte_in_an_argument_is_refused() {
        let launch = Launch { command: "/bin/sh".into(), args: vec!["a\0b".into()], ..Launch::default() };
        assert!(matches!(launch.program(&[]), Err(LaunchError::Malformed { .. })));
    }

    #[test]
    fn a_relative_command_is_looked_for_in_the_servers_directory() {
        let launch = Launch { command: "./sh".into(), cwd: Some("/bin".into()), ..Launch::default() };
        assert_eq!(launch.program(&[]).unwrap(), Path::new("/bin/./sh"));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let launch = Launch { command: "/bin/sh".into(), cwd: Some("/no/such".into()), ..Launch::default() };
        let error = launch.program(&[]).unwrap_err();
        assert!(error.to_string().starts_with("working directory not found: /no/such"), "{error}");
    }
}
