//! Running the binary with a person's environment and nothing else.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::app::{ADMIN_TOKEN, App, Settings};

/// What a command came to.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    /// The result for programs.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// This, if the command succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The binary with these arguments, in an empty environment.
pub fn atryum(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atryum"));
    command.args(arguments).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Runs a command to its end, with nothing to read.
pub fn done(command: &mut Command) -> Done {
    fed(command, "")
}

/// Runs a command to its end, with this to read.
pub fn fed(command: &mut Command, input: &str) -> Done {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // a command that reads nothing may be gone by now
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command as the operator of a gateway.
pub fn operator(app: &App, arguments: &[&str]) -> Done {
    done(atryum(arguments).env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN))
}

/// Runs a command as an agent.
pub fn agent(app: &App, key: &str, arguments: &[&str]) -> Done {
    done(atryum(arguments).env("ATRYUM_URL", &app.url).env("ATRYUM_AGENT_KEY", key))
}

/// A gateway with the demo server, and the demo's rules: the clock is allowed, deleting is denied, money asks.
pub async fn demo() -> App {
    Settings::default().argument("--demo").start().await
}
