//! The second step: the process that becomes the program.
//!
//! In comes an order whose parent is the guard; out goes, in the same process, the program with its limits set. What is
//! set here survives the exchange of the image, which is why the guard need not run code between `fork` and `exec`.

use std::{ffi::OsStr, fs, io, os::unix::process::CommandExt, process::Command};

use rustix::process::{self, Resource, Rlimit, Signal};

use super::order::Order;

/// Sets the limits and exchanges this process's image for the program's; returns only when that fails.
pub(super) fn replace_this_process(order: &Order) -> io::Error {
    if let Err(error) = prepare(order) {
        return error;
    }
    let error = Command::new(&order.program).args(&order.arguments).exec();
    io::Error::new(error.kind(), format!("cannot start {}: {error}", order.program.to_string_lossy()))
}

/// Ties this process to the guard's life and takes away what the program must not have.
fn prepare(order: &Order) -> io::Result<()> {
    // The signal is bound to the thread that spawned this process: the guard has only the one.
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if process::getppid() != Some(order.parent) {
        return Err(io::Error::other("the guard ended before the program could be started"));
    }
    // A core file would hold the program's secrets.
    process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // No set-user-id program: one that became another user could not be killed any more.
    rustix::thread::set_no_new_privs(true)?;
    close_inherited_files();
    Ok(())
}

/// Closes every file but the three standard ones, should whoever started the gateway have left some open.
fn close_inherited_files() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> = entries.filter_map(|entry| number(&entry.ok()?.file_name())).collect();
    for file in numbers.into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(file);
    }
}

fn number(name: &OsStr) -> Option<i32> {
    name.to_str()?.parse().ok()
}
