//! The lock that keeps a second process out.
//!
//! An address comes in, a [`Guard`] goes out; the database belongs to this process while it lives. For SQLite it is a
//! locked file beside the database, which the system unlocks when the process dies in any way. For PostgreSQL it is an
//! advisory lock held by one connection of its own, looked after by [`Guard::check`], as a connection can be lost.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement};

use super::StoreError;
use super::connection::{Address, connect_postgres};

/// Takes the advisory lock unless this very connection holds it; the two numbers spell `atry` and the lock's purpose.
const TAKE_POSTGRES_LOCK: &str = "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' \
     AND pid = pg_backend_pid() AND classid = 1635021433 AND objid = 1) \
     THEN true ELSE pg_try_advisory_lock(1635021433, 1) END AS is_held";

/// Gives it back.
const RELEASE_POSTGRES_LOCK: &str = "SELECT pg_advisory_unlock(1635021433, 1)";

/// How long a new process waits for the lock of one that was killed: its server notices that a little later.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it looks meanwhile.
const HANDOVER_PAUSE: Duration = Duration::from_millis(50);

/// Keeps other processes out for as long as it lives.
#[derive(Debug)]
pub(super) enum Guard {
    /// a locked file
    File(File),
    /// a lock in the database
    Postgres {
        /// the one connection that holds it
        connection: DatabaseConnection,
        /// as of the last check
        is_held: AtomicBool,
    },
}

impl Guard {
    /// Takes the database for this process, or refuses and names who holds it.
    pub(super) async fn take(address: &Address) -> Result<Self, StoreError> {
        match address {
            Address::Sqlite { path, .. } => take_file(path).map(Self::File),
            Address::Postgres { options } => take_postgres(*options.clone()).await,
        }
    }

    /// Returns an error unless the database belonged to this process when it was last checked.
    pub(super) fn demand(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres { is_held, .. } if !is_held.load(Ordering::Acquire) => Err(postgres_is_taken()),
            Self::File(_) | Self::Postgres { .. } => Ok(()),
        }
    }

    /// Makes sure that the lock is held, and takes it again after its connection was lost.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let Self::Postgres { connection, is_held } = self else {
            return Ok(());
        };
        let taken = take_advisory_lock(connection).await;
        is_held.store(matches!(taken, Ok(true)), Ordering::Release);
        if taken? { Ok(()) } else { Err(postgres_is_taken()) }
    }

    /// Lets the next process in, though other handles to the store may still be about.
    pub(super) async fn release(&self) -> Result<(), StoreError> {
        match self {
            Self::File(file) => {
                // it is unlocked when it is closed in any case
                let _ = flock(file, FlockOperation::Unlock);
                Ok(())
            }
            Self::Postgres { connection, is_held } => {
                is_held.store(false, Ordering::Release);
                // said aloud, as the server notices a closed connection only a little later
                let released = connection.execute_unprepared(RELEASE_POSTGRES_LOCK).await;
                Ok(connection.close_by_ref().await.and(released.map(drop))?)
            }
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

async fn take_postgres(options: PgConnectOptions) -> Result<Guard, StoreError> {
    let connection = connect_postgres(1, options).await?;
    let give_up_at = Instant::now() + HANDOVER_TIMEOUT;
    while !take_advisory_lock(&connection).await? {
        if Instant::now() >= give_up_at {
            let _ = connection.close_by_ref().await;
            return Err(postgres_is_taken());
        }
        tokio::time::sleep(HANDOVER_PAUSE).await;
    }
    Ok(Guard::Postgres { connection, is_held: AtomicBool::new(true) })
}

async fn take_advisory_lock(connection: &DatabaseConnection) -> Result<bool, StoreError> {
    let statement = Statement::from_string(DbBackend::Postgres, TAKE_POSTGRES_LOCK);
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the lock's state".to_owned()))?;
    Ok(row.try_get("", "is_held")?)
}

fn postgres_is_taken() -> StoreError {
    StoreError::Locked { holder: "an advisory lock in the database is held by another connection".to_owned() }
}
