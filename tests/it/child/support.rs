//! What the tests of this folder share: starting a shell below the guard, and waiting for the end of a process.

use std::time::Duration;

use atryum::child::{Child, Launch, StopLimits, use_guard};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines};

/// The binary under test.
pub const ATRYUM: &str = env!("CARGO_BIN_EXE_atryum");

/// Limits for servers that are known to make the test wait for each of them.
pub const SHORT: StopLimits = StopLimits {
    end_of_input: Duration::from_millis(50),
    terminate: Duration::from_millis(50),
    kill: Duration::from_secs(10),
};

/// Limits for servers that are to go at the first step.
pub const LONG: StopLimits =
    StopLimits { end_of_input: Duration::from_secs(20), terminate: Duration::ZERO, kill: Duration::from_secs(10) };

/// A launch of `/bin/sh` with a script.
pub fn shell(script: &str) -> Launch {
    Launch { command: "/bin/sh".into(), args: vec!["-c".into(), script.into()], ..Launch::default() }
}

/// Starts a launch below the guard that was just built.
pub fn spawn(launch: &Launch) -> Child {
    use_guard(ATRYUM);
    Child::spawn(launch).unwrap()
}

/// The child's standard output as lines.
pub fn lines(child: &mut Child) -> Lines<BufReader<impl AsyncRead + use<>>> {
    BufReader::new(child.take_stdout().unwrap()).lines()
}

/// Everything the child writes until it closes its standard output.
pub async fn output(child: &mut Child) -> String {
    let mut text = String::new();
    child.take_stdout().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

/// A process that some test awaits the end of, opened while it is known to live.
pub struct Watched(rustix::fd::OwnedFd);

impl Watched {
    /// Opens the process whose id is written in decimal.
    pub fn open(id: &str) -> Self {
        let pid = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        Self(pidfd_open(pid, PidfdFlags::empty()).unwrap())
    }

    /// Whether the process ends within ten seconds.
    pub fn ends(&self) -> bool {
        self.ends_within(Timespec { tv_sec: 10, tv_nsec: 0 })
    }

    /// Whether the process is alive now.
    pub fn is_alive(&self) -> bool {
        !self.ends_within(Timespec { tv_sec: 0, tv_nsec: 0 })
    }

    fn ends_within(&self, limit: Timespec) -> bool {
        loop {
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit)) {
                Err(Errno::INTR) => {}
                ready => return ready.unwrap() == 1,
            }
        }
    }
}
