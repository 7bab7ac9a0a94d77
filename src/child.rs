//! A stdio server's process: started, listened to, stopped, and never left behind.
//!
//! In comes a [`Launch`]; out goes a [`Child`] with its three streams and, in the end, an [`Exit`]. Bytes are not
//! interpreted here, nothing is restarted here, and nothing of the gateway's own environment reaches the child but the
//! names in [`INHERITED`].
//!
//! Every child runs below a [`guard`], so that stopping or dropping a [`Child`], or the gateway's own death,
//! takes all its descendants along. Stopping goes up a ladder: close standard input, wait, `SIGTERM` to the program's
//! group, wait, kill everything.

mod command;
mod environment;
mod error;
mod exit;
mod launch;

pub use command::find_command;
pub use environment::{INHERITED, may_be_set};
pub use error::LaunchError;
pub use exit::Exit;
pub use launch::Launch;

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::guard;

/// How long each step of [`Child::stop`] waits for the process to end.
#[derive(Clone, Copy, Debug)]
pub struct StopLimits {
    /// After standard input was closed: how a well-behaved server is told to go.
    pub end_of_input: Duration,
    /// After `SIGTERM`.
    pub terminate: Duration,
    /// After the order to kill, for the kernel to clear everything away.
    pub kill: Duration,
}

impl Default for StopLimits {
    /// Two, three and one seconds: six in all, and servers started by a wrapper such as `npx` usually need under one.
    fn default() -> Self {
        let (end_of_input, terminate) = (Duration::from_secs(2), Duration::from_secs(3));
        Self { end_of_input, terminate, kill: Duration::from_secs(1) }
    }
}

static GUARD: OnceLock<PathBuf> = OnceLock::new();

/// Names the executable that serves as guard, for programs that embed this library: their own executable knows nothing
/// of `__guard`. The first call counts.
pub fn use_guard(executable: impl Into<PathBuf>) {
    let _ = GUARD.set(executable.into());
}

/// A running stdio server, below its guard.
///
/// Dropping it kills the server and everything the server started.
#[derive(Debug)]
pub struct Child {
    guard: tokio::process::Child,
    /// Standard input, until it is taken or the child is stopped.
    pub stdin: Option<ChildStdin>,
    /// Standard output, until it is taken.
    pub stdout: Option<ChildStdout>,
    /// Standard error, until it is taken; drain it always, a full pipe blocks the server.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Starts a server; must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the launch is malformed, names a variable that a server may not be given, a command that is not there or a
    /// directory that is not there, or when the operating system refuses.
    pub fn spawn(launch: &Launch) -> Result<Self, LaunchError> {
        let environment = environment::of_child(launch, environment::inherited())?;
        let program = launch.program(&environment)?;
        let refused = |source| LaunchError::Refused { command: launch.command.clone(), source };
        let mut guard = guard_command(&program, launch, environment).spawn().map_err(refused)?;
        let (stdin, stdout, stderr) = (guard.stdin.take(), guard.stdout.take(), guard.stderr.take());
        Ok(Self { guard, stdin, stdout, stderr })
    }

    /// Hands standard input over; whoever holds it must drop it before [`Child::stop`] can end the server gently.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Hands standard output over.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Hands standard error over.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// The id of the guard's process, for the operator's eyes; `None` once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.guard.id()
    }

    /// Waits until the server and everything it started have ended. May be dropped and called again.
    pub async fn wait(&mut self) -> Exit {
        let session = self.pid();
        let Ok(status) = self.guard.wait().await else { return Exit::UNKNOWN };
        if let (Some(_), Some(session)) = (status.signal(), session) {
            // The guard itself was killed: the program went with it, its descendants did not.
            guard::kill_session(session);
        }
        Exit::from(status)
    }

    /// Stops the server within six seconds, whatever it does.
    pub async fn stop(&mut self) -> Exit {
        self.stop_within(StopLimits::default()).await
    }

    /// Stops the server: end of input, then `SIGTERM`, then the end of everything, each after its time.
    ///
    /// Returns early when the server goes early, and [`Exit::UNKNOWN`] when even the kernel could not clear it away in
    /// time.
    pub async fn stop_within(&mut self, limits: StopLimits) -> Exit {
        self.stdin = None;
        if let Ok(exit) = timeout(limits.end_of_input, self.wait()).await {
            return exit;
        }
        self.signal(Signal::TERM);
        if let Ok(exit) = timeout(limits.terminate, self.wait()).await {
            return exit;
        }
        self.signal(guard::KILL_SIGNAL);
        if let Ok(exit) = timeout(limits.kill, self.wait()).await {
            return exit;
        }
        self.signal(Signal::KILL);
        timeout(limits.kill, self.wait()).await.unwrap_or(Exit::UNKNOWN)
    }

    /// Signals the guard, if it has not been waited for yet.
    fn signal(&self, signal: Signal) {
        if let Some(guard) = self.pid() {
            let _ = kill_process(guard, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.guard.id()?).ok()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(guard::KILL_SIGNAL);
    }
}

/// The guard's command line: which parent to watch, what to run, with nothing inherited but the three streams.
fn guard_command(program: &Path, launch: &Launch, environment: Vec<(OsString, OsString)>) -> Command {
    let executable = GUARD.get().map_or(Path::new(guard::THIS_EXECUTABLE), PathBuf::as_path);
    let mut command = Command::new(executable);
    command
        .arg0("atryum")
        .arg(guard::GUARD_ARGUMENT)
        .arg(std::process::id().to_string())
        .arg("--")
        .arg(program)
        .args(&launch.args)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = &launch.cwd {
        command.current_dir(directory);
    }
    command
}
