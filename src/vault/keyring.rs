//! The master key in the keyring of the operating system: whatever provides the Secret Service, such as GNOME Keyring.
//!
//! It is asked with the system's own `secret-tool` (libsecret). A key goes in and out by pipes and is never in an argument.
//! The crates that speak to the service themselves bring either some thirty more or a C library to build with, for one
//! question at the start.

use std::fmt;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::{Zeroize as _, Zeroizing};

use super::VaultError;

const TOOL: &str = "secret-tool";
/// How long the keyring may take, a person who unlocks it included.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How much of a complaint is passed on.
const COMPLAINT_CHARS_MAX: usize = 300;

/// One entry of the keyring.
#[derive(Clone, Debug)]
pub struct KeyringEntry {
    /// Tells the gateways of one person apart.
    data_dir: String,
    name: String,
    /// The environment of the tool: how the keyring is reached, and nothing else.
    variables: Vec<(String, String)>,
}

impl KeyringEntry {
    /// The variables that the tool is given when they are set.
    pub const VARIABLES: [&str; 9] = [
        "PATH",
        "HOME",
        "LANG",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
    ];

    /// The entry of the master key of the gateway with that data directory.
    #[must_use]
    pub fn of_master_key(data_dir: &str, variables: Vec<(String, String)>) -> Self {
        Self { data_dir: data_dir.to_owned(), name: "master".to_owned(), variables }
    }

    /// The entry of that name beside this one.
    pub(super) fn beside(&self, name: &str) -> Self {
        Self { name: format!("{}.{name}", self.name), ..self.clone() }
    }

    /// Reads it; none when it is not there.
    pub(super) async fn read(&self) -> Result<Option<Zeroizing<String>>, VaultError> {
        let Output { status, stdout, stderr } = self.ask(&["lookup"], None).await?;
        let text = String::from_utf8(stdout).map_err(|error| {
            error.into_bytes().zeroize();
            failed("what it holds is not text")
        })?;
        let text = Zeroizing::new(text);
        match (status.success(), stderr.is_empty()) {
            (true, _) => Ok(Some(text)),
            // that it is not there is said by nothing else
            (false, true) => Ok(None),
            (false, false) => Err(complaint(&stderr)),
        }
    }

    /// Writes it, in the place of what was there, and makes sure that it is.
    pub(super) async fn write(&self, text: &str) -> Result<(), VaultError> {
        let label = format!("--label=Atryum {} key of {}", self.name, self.data_dir);
        let written = self.ask(&["store", &label], Some(text)).await?;
        if !written.status.success() {
            return Err(complaint(&written.stderr));
        }
        match self.read().await? {
            Some(kept) if kept.trim() == text.trim() => Ok(()),
            _ => Err(failed("it does not give back what it was given")),
        }
    }

    /// Removes it.
    pub(super) async fn remove(&self) -> Result<(), VaultError> {
        let removed = self.ask(&["clear"], None).await?;
        if removed.status.success() { Ok(()) } else { Err(complaint(&removed.stderr)) }
    }

    async fn ask(&self, act: &[&str], input: Option<&str>) -> Result<Output, VaultError> {
        let attributes = ["application", "atryum", "data_dir", &self.data_dir, "key", &self.name];
        let mut command = Command::new(TOOL);
        command.args(act).args(attributes).env_clear().envs(self.variables.iter().cloned()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let answer = async {
            let mut tool = command.spawn()?;
            if let (Some(mut stdin), Some(input)) = (tool.stdin.take(), input) {
                // a tool that is gone by now says why
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            tool.wait_with_output().await
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answered) => answered.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    failed("secret-tool is not installed (libsecret-tools on Debian, libsecret elsewhere)")
                }
                _ => failed(&format!("secret-tool: {error}")),
            }),
            Err(_) => Err(failed("it did not answer within 60 s; unlock it")),
        }
    }
}

impl fmt::Display for KeyringEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the OS keyring (application atryum, data_dir {}, key {})", self.data_dir, self.name)
    }
}

fn failed(what: &str) -> VaultError {
    VaultError::Keyring { what: what.to_owned() }
}

fn complaint(stderr: &[u8]) -> VaultError {
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    if said.is_empty() {
        return failed("secret-tool failed and did not say why");
    }
    failed(
        &said
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .take(COMPLAINT_CHARS_MAX)
            .collect::<String>(),
    )
}
