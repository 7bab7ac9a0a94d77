//! The variables that set keys, and where a process finds its home.
//!
//! In comes the process's environment, once; out go raw values with the variable that set each. The names of the
//! command line's own variables are known here so that they are no surprise.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    Problem, Source,
    key::{self, KEYS, Key},
    value::Raw,
};

const PREFIX: &str = "ATRYUM_";

/// Where systemd puts the credentials of a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Variables with our prefix that are not keys: the file's own, and those of the command line.
const OTHERS: [&str; 4] = ["ATRYUM_CONFIG", "ATRYUM_URL", "ATRYUM_TOKEN", "ATRYUM_AGENT_KEY"];

/// What Kubernetes sets in every container when a service is named atryum.
const OF_KUBERNETES: [&str; 2] = ["ATRYUM_SERVICE_", "ATRYUM_PORT"];

/// The surroundings of a process, as far as its configuration depends on them.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
}

/// A key, the value a variable gives it, and the variable.
pub(super) type Found = (&'static Key, Raw, Source);

impl Environment {
    /// The environment of this process, and the directory it is in.
    pub fn of_this_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place where the environment is read")]
        let variables = std::env::vars_os();
        let texts = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: texts.collect(), directory: PathBuf::new() }
    }

    /// Other surroundings: these variables, in this directory.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>, directory: impl Into<PathBuf>) -> Self {
        let owned = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: owned.collect(), directory: directory.into() }
    }

    /// The operator's token for the command line.
    pub fn operator_token(&self) -> Option<String> {
        self.variable("ATRYUM_TOKEN").map(str::to_owned)
    }

    /// The key with which the command line calls as an agent.
    pub fn agent_key(&self) -> Option<String> {
        self.variable("ATRYUM_AGENT_KEY").map(str::to_owned)
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Those of these variables that are set, with their values.
    pub(super) fn variables_named(&self, names: &[&str]) -> Vec<(String, String)> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.variable(name)?.to_owned()))).collect()
    }

    /// The directory in which files are looked for.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A base directory: the variable's, or one below the home directory.
    pub(super) fn base(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let set = self.variable(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(self.home()?.join(below_home)))
    }

    /// The home directory.
    pub(super) fn home(&self) -> Option<&Path> {
        self.variable("HOME").map(Path::new)
    }

    /// Every key that a variable sets, and every variable of ours that is not one.
    pub(super) fn settings(&self) -> (Vec<Found>, Vec<Problem>) {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        if let Some(level) = self.variable("RUST_LOG")
            && let Some(key) = key::find("log.level")
        {
            found.push((key, Raw::Written(level.to_owned()), Source::Variable("RUST_LOG".into())));
        }
        for credential in self.credentials() {
            match credential {
                Ok(credential) => found.push(credential),
                Err(problem) => problems.push(problem),
            }
        }
        for (name, value) in self.variables.iter().filter(|(name, _)| is_ours(name)) {
            match self.setting(name, value) {
                Ok(setting) => found.push(setting),
                Err(problem) => problems.push(problem),
            }
        }
        (found, problems)
    }

    /// Secrets that the service manager hands over as files, each under the name of its key: `atryum.master_key`. It keeps
    /// them from others by the directory, so the mode of a file says nothing.
    fn credentials(&self) -> Vec<Result<Found, Problem>> {
        let Some(directory) = self.variable(CREDENTIALS_DIRECTORY) else { return Vec::new() };
        let read = |key: &'static Key| {
            let path = Path::new(directory).join(format!("atryum.{}", key.name));
            let source = Source::VariableFile { variable: CREDENTIALS_DIRECTORY.to_owned(), path: path.clone() };
            match fs::read_to_string(&path) {
                Ok(text) => Some(Ok((key, Raw::Written(text.trim().to_owned()), source))),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(source) => {
                    Some(Err(Problem::Unreadable { named_by: CREDENTIALS_DIRECTORY.to_owned(), path, source }))
                }
            }
        };
        KEYS.iter().filter(|key| key.is_secret()).filter_map(read).collect()
    }

    fn setting(&self, name: &str, value: &str) -> Result<Found, Problem> {
        if let Some(key) = key_of(name) {
            return Ok((key, Raw::Written(value.to_owned()), Source::Variable(name.to_owned())));
        }
        let Some((variable, key)) = name.strip_suffix("_FILE").and_then(|rest| Some((rest, key_of(rest)?))) else {
            let meant = name.trim_start_matches(PREFIX).to_lowercase().replace("__", ".");
            let nearest = key::nearest(&meant).map(Key::variable);
            let source_of = Source::Variable("environment".into());
            return Err(Problem::UnknownKey { key: name.to_owned(), source_of, nearest });
        };
        if self.variables.contains_key(variable) {
            return Err(Problem::SetTwice { variable: variable.to_owned() });
        }
        let path = self.directory.join(value);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let source = Source::VariableFile { variable: name.to_owned(), path };
                Ok((key, Raw::Written(text.trim().to_owned()), source))
            }
            Err(source) => Err(Problem::Unreadable { named_by: name.to_owned(), path, source }),
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !OTHERS.contains(&name) && !OF_KUBERNETES.iter().any(|known| name.starts_with(known))
}

fn key_of(variable: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.variable() == variable)
}
