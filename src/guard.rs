//! The guard: a small process that stands between the gateway and one stdio server.
//!
//! In come a parent to watch and a program to run; out goes the program's own exit code, and the certainty that nothing
//! the program started is left alive. The guard never reads or writes the program's protocol: standard input and
//! output are inherited and passed on, and the guard closes its own copies so that end-of-file works in both directions.
//!
//! Why a process of its own: a child's parent-death signal follows the *thread* that spawned it and says nothing to
//! grandchildren. The guard is a subreaper instead, so that every orphan among its descendants, also one that called
//! `setsid`, becomes its child and can be killed and counted. It ends the program
//! - when the gateway is gone (a pidfd of the parent becomes readable, at once, whatever ended it);
//! - on `SIGQUIT`, the gateway's order to kill;
//! - and sweeps up after the program when that ends by itself.
//!
//! `SIGTERM`, `SIGINT` and `SIGHUP` are handed to the program's process group. The guard leads a session of its own, so
//! a terminal's Ctrl-C reaches neither it nor the program.

mod order;
mod processes;
mod program;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    process::{Command, ExitCode},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    io::Errno,
    process::{self, Pid, PidfdFlags, Signal, WaitOptions, WaitStatus},
};
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};

use order::Order;
pub use processes::kill_session;

/// The hidden first argument that makes the binary a guard: `atryum __guard PARENT -- PROGRAM ARGUMENTS…`.
pub const GUARD_ARGUMENT: &str = "__guard";

/// The hidden first argument of the second step, which becomes the program itself.
pub const PROGRAM_ARGUMENT: &str = "__guard-program";

/// The signal that orders the guard to kill everything below it.
pub const KILL_SIGNAL: Signal = Signal::QUIT;

/// This very executable, also after its file was replaced by an upgrade.
pub const THIS_EXECUTABLE: &str = "/proc/self/exe";

/// How long the sweep waits for a killed process to be reported before it looks again.
const SWEEP_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// The exit code when the guard itself cannot do its work, as shells use it for "found, but cannot be run".
const CANNOT_RUN: u8 = 126;

/// Runs the guard with the arguments that followed [`GUARD_ARGUMENT`] and returns the program's exit code, or 128 plus
/// the number of the signal that ended it.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match Order::parse(arguments).and_then(|order| Guard::start(&order)).and_then(Guard::watch) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error);
            ExitCode::from(CANNOT_RUN)
        }
    }
}

/// Becomes the program named by the arguments that followed [`PROGRAM_ARGUMENT`]; returns only when that fails.
pub fn become_program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let error = match Order::parse(arguments) {
        Ok(order) => program::replace_this_process(&order),
        Err(error) => error,
    };
    complain(&error);
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { CANNOT_RUN })
}

/// Writes one line where the program's own complaints go; a reader that is gone is no reason to fail.
fn complain(error: &io::Error) {
    let _ = writeln!(io::stderr(), "atryum guard: {error}");
}

/// What the guard watches, and what it has learnt.
struct Guard {
    /// Readable as soon as the parent is gone.
    parent: OwnedFd,
    /// Signals, turned into bytes that `poll` can wait for.
    signals: SignalDelivery<UnixStream, SignalOnly>,
    /// The program; also the id of its process group.
    program: Pid,
    /// The program's exit code, once it is known.
    code: Option<u8>,
}

impl Guard {
    /// Takes up the watch and then starts the program: in this order, so that no moment is unwatched.
    fn start(order: &Order) -> io::Result<Self> {
        // fails only when a session is already ours, which serves as well
        let _ = process::setsid();
        process::set_child_subreaper(Some(process::getpid()))?;
        let parent = watch_parent(order.parent)?;
        let (read, write) = UnixStream::pair()?;
        let numbers = [SIGCHLD, SIGQUIT, SIGTERM, SIGINT, SIGHUP];
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, numbers)?;
        let program = spawn(order)?;
        let guard = Self { parent, signals, program, code: None };
        leave_standard_streams()?;
        Ok(guard)
    }

    /// Returns the program's exit code when the program has ended and nothing below the guard is alive.
    fn watch(mut self) -> io::Result<u8> {
        while self.code.is_none() && !self.parent_is_gone(None)? {
            if self.act_on_signals() {
                break;
            }
        }
        self.sweep()
    }

    /// Waits for a signal or the parent's end, and tells whether it was the latter.
    fn parent_is_gone(&self, limit: Option<&Timespec>) -> io::Result<bool> {
        let mut sources =
            [PollFd::new(&self.parent, PollFlags::IN), PollFd::new(self.signals.get_read(), PollFlags::IN)];
        match poll(&mut sources, limit) {
            Ok(_) => Ok(!sources.first().is_none_or(|parent| parent.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Acts on the signals that have come, and tells whether one of them was the order to kill.
    fn act_on_signals(&mut self) -> bool {
        let numbers: Vec<i32> = self.signals.pending().collect();
        for number in &numbers {
            match *number {
                SIGTERM => self.forward(Signal::TERM),
                SIGINT => self.forward(Signal::INT),
                SIGHUP => self.forward(Signal::HUP),
                _ => {}
            }
        }
        self.reap();
        numbers.contains(&SIGQUIT)
    }

    /// Hands a signal to the program's group; a group that is gone needs none.
    fn forward(&self, signal: Signal) {
        if self.code.is_none() {
            let _ = process::kill_process_group(self.program, signal);
        }
    }

    /// Collects the children that have ended, and tells whether there are any left.
    fn reap(&mut self) -> bool {
        loop {
            match process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.program => self.code = Some(exit_code(status)),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Kills whatever is still there, round after round: each death hands its orphans to the guard.
    ///
    /// Only the guard's own children are signalled: nobody else can reap them, so their ids cannot have passed on to
    /// some other process.
    fn sweep(mut self) -> io::Result<u8> {
        while self.reap() {
            for child in processes::children_of(process::getpid())? {
                let _ = process::kill_process(child, Signal::KILL);
            }
            self.pause();
        }
        Ok(self.code.unwrap_or(CANNOT_RUN))
    }

    /// Waits for the next death to be reported, but not for long.
    fn pause(&mut self) {
        let mut source = [PollFd::new(self.signals.get_read(), PollFlags::IN)];
        let _ = poll(&mut source, Some(&SWEEP_PAUSE));
        let _ = self.signals.pending();
    }
}

/// Opens a watch on the parent, and makes sure that the process watched is the parent and not a successor of its id.
fn watch_parent(parent: Pid) -> io::Result<OwnedFd> {
    let watch = process::pidfd_open(parent, PidfdFlags::empty())?;
    if process::getppid() == Some(parent) {
        return Ok(watch);
    }
    Err(io::Error::other("the gateway ended before the program could be started"))
}

/// Starts the second step in a process group of its own.
fn spawn(order: &Order) -> io::Result<Pid> {
    let program = Command::new(THIS_EXECUTABLE)
        .arg(PROGRAM_ARGUMENT)
        .args(order.again_for(process::getpid()))
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&program))
}

/// Lets go of standard input and output: they are the program's alone.
fn leave_standard_streams() -> io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok(())
}

/// The program's exit code, or 128 plus the signal's number.
fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(CANNOT_RUN)
}
