//! Finding a command's file before anything is started, so that the operator gets a sentence and not an exit code.
//!
//! In come a command and a `PATH`, out goes a file that may be run. Nothing is run here.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::LaunchError;

/// Finds the file that a command names: a path as it is, a bare name by looking through `path`.
///
/// Relative entries of `path` are passed over: what runs must not depend on where the gateway was started.
///
/// # Errors
/// When there is no such file, or it may not be run.
pub fn find_command(command: &str, path: &str) -> Result<PathBuf, LaunchError> {
    if command.contains('/') {
        return runnable(PathBuf::from(command), || not_found(command, path));
    }
    let candidates =
        path.split(':').map(Path::new).filter(|entry| entry.is_absolute()).map(|entry| entry.join(command));
    let found: Vec<PathBuf> = candidates.filter(|file| !command.is_empty() && file.is_file()).collect();
    match found.iter().find(|file| may_run(file)).or(found.first()) {
        Some(file) => runnable(file.clone(), || not_found(command, path)),
        None => Err(not_found(command, path)),
    }
}

fn runnable(file: PathBuf, not_found: impl Fn() -> LaunchError) -> Result<PathBuf, LaunchError> {
    match (file.is_file(), may_run(&file)) {
        (true, true) => Ok(file),
        (true, false) => Err(LaunchError::NotExecutable { file }),
        (false, _) => Err(not_found()),
    }
}

fn may_run(file: &Path) -> bool {
    access(file, Access::EXEC_OK).is_ok()
}

fn not_found(command: &str, path: &str) -> LaunchError {
    LaunchError::CommandNotFound { command: command.to_owned(), path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn folder_with(name: &str, mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn a_bare_name_is_found_in_the_first_folder_that_has_it() {
        let (first, second) = (folder_with("tool", 0o755), folder_with("tool", 0o755));
        let path = format!("/no/such:{}:{}", first.path().display(), second.path().display());
        assert_eq!(find_command("tool", &path).unwrap(), first.path().join("tool"));
    }

    #[test]
    fn a_file_that_may_not_be_run_does_not_hide_one_that_may() {
        let (first, second) = (folder_with("tool", 0o644), folder_with("tool", 0o755));
        let path = format!("{}:{}", first.path().display(), second.path().display());
        assert_eq!(find_command("tool", &path).unwrap(), second.path().join("tool"));
    }

    #[test]
    fn a_missing_command_says_where_it_was_looked_for() {
        let error = find_command("no-such-tool", "/bin:/usr/bin").unwrap_err().to_string();
        assert!(error.starts_with("command not found: no-such-tool; looked in PATH /bin:/usr/bin"), "{error}");
    }

    #[test]
    fn a_missing_path_does_not_speak_of_path() {
        let error = find_command("/no/such/tool", "/bin").unwrap_err().to_string();
        assert!(error.starts_with("command not found: /no/such/tool") && !error.contains("PATH"), "{error}");
    }

    #[test]
    fn a_file_without_the_right_to_run_says_so() {
        let folder = folder_with("tool", 0o644);
        let error = find_command("tool", &folder.path().display().to_string()).unwrap_err();
        assert!(error.to_string().contains("is not executable"), "{error}");
    }

    #[test]
    fn relative_folders_and_the_empty_name_are_passed_over() {
        assert!(find_command("Cargo.toml", ".:").is_err());
        assert!(find_command("", "/bin").is_err());
        assert!(find_command("/bin", "").is_err());
    }
}
