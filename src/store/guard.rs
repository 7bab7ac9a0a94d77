//! What gives a process its place at the database.
//!
//! An address comes in, a [`Guard`] goes out. An SQLite file belongs to one process: a file beside it is locked, and the
//! system unlocks it when the process dies in any way. At a PostgreSQL server there are [seats](super::seat) for several.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;
use super::connection::Address;
use super::seat::Seat;

/// A place at the database, for as long as this lives.
#[derive(Debug)]
pub(super) enum Guard {
    /// a locked file: the database is this process's alone
    File(File),
    /// a seat among others
    Seat(Seat),
}

impl Guard {
    /// Takes a file for this process, or refuses and names who holds it. A server is only connected to: see [`Seat::sit`].
    pub(super) async fn take(address: &Address) -> Result<Self, StoreError> {
        match address {
            Address::Sqlite { path, .. } => take_file(path).map(Self::File),
            Address::Postgres { options } => Seat::connect(*options.clone()).await.map(Self::Seat),
        }
    }

    /// The seat, if it is one.
    pub(super) fn seat(&self) -> Option<&Seat> {
        match self {
            Self::File(_) => None,
            Self::Seat(seat) => Some(seat),
        }
    }

    /// Returns an error unless the place was held when it was last looked after.
    pub(super) fn demand(&self) -> Result<(), StoreError> {
        self.seat().map_or(Ok(()), Seat::demand)
    }

    /// Makes sure that the place is held.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Seat(seat) => seat.check().await,
        }
    }

    /// Lets the next process in, though other handles to the store may still be about.
    pub(super) async fn release(&self) -> Result<(), StoreError> {
        match self {
            Self::File(file) => {
                // it is unlocked when it is closed in any case
                let _ = flock(file, FlockOperation::Unlock);
                Ok(())
            }
            Self::Seat(seat) => seat.leave().await,
        }
    }
}

fn take_file(database: &Path) -> Result<File, StoreError> {
    let path = lock_path(database);
    let file_error = |source| StoreError::File { path: path.clone(), source };
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(file_error)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(StoreError::Locked { holder: describe_holder(&path, &mut file) });
        }
        Err(errno) => return Err(file_error(errno.into())),
    }
    // for people only: the lock is the lock, not what the file says
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn describe_holder(path: &Path, file: &mut File) -> String {
    let mut process = String::new();
    let is_number = file.take(16).read_to_string(&mut process).is_ok() && process.trim().parse::<u32>().is_ok();
    let process = if is_number { format!(" by process {}", process.trim()) } else { String::new() };
    format!("{} is locked{process}", path.display())
}
