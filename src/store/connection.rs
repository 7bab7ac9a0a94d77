//! The pools: how each kind of connection is made.
//!
//! A database URL comes in, pools go out. Nothing is asked of the tables here. The URL is parsed by us and handed over
//! in a closure, because the library would write its text, password and all, into a trace span.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgPool};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::batch::at_once;
use super::{Durability, StoreError, news};

/// How long a statement waits for another process that holds SQLite's lock, such as a backup.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How large SQLite lets the write-ahead log stay after a burst.
const SQLITE_LOG_BYTES_MAX: &str = "67108864";
/// How long a caller waits for a connection: when PostgreSQL is gone, calls must be refused soon.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may have been idle before it is pinged: a ping is a round trip on the way of a call.
const PING_AFTER_IDLE: Duration = Duration::from_secs(2);
/// How many look-ups run at once.
const READS_MAX: u32 = 4;
/// How many edits run at once on PostgreSQL.
const POSTGRES_EDITS_MAX: u32 = 4;

/// Where the database is.
// not `Debug`: the options hold a password
#[derive(Clone)]
pub(super) enum Address {
    Sqlite { path: PathBuf, options: Box<SqliteConnectOptions>, may_create: bool },
    Postgres { options: Box<PgConnectOptions> },
}

/// One pool for each kind of work.
pub(super) struct Pools {
    pub(super) edits: DatabaseConnection,
    pub(super) journal: DatabaseConnection,
    pub(super) reads: DatabaseConnection,
}

impl Address {
    /// Parses a `sqlite:` or `postgres:` URL.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            return Self::parse_sqlite(url);
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url).map_err(|error| refused_url(&error.to_string()))?;
            let options = Box::new(options.application_name("atryum").disable_statement_logging());
            return Ok(Self::Postgres { options });
        }
        Err(refused_url("it must begin with sqlite: or postgres:"))
    }

    fn parse_sqlite(url: &str) -> Result<Self, StoreError> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(refused_url("a database in memory would lose the record of calls"));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|error| refused_url(&error.to_string()))?;
        let path = options.get_filename().to_path_buf();
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(SQLITE_BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("journal_size_limit", SQLITE_LOG_BYTES_MAX)
            .disable_statement_logging();
        Ok(Self::Sqlite { path, options: Box::new(options), may_create: url.contains("mode=rwc") })
    }

    /// Makes the SQLite file, readable by its owner only; SQLite gives its log files the same mode.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let Self::Sqlite { path, may_create, .. } = self else {
            return Ok(());
        };
        let file_error = |source| StoreError::File { path: path.clone(), source };
        if !may_create {
            let is_there = path.try_exists().map_err(file_error)?;
            return if is_there { Ok(()) } else { Err(missing(path)) };
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(file_error(source)),
        }
    }

    /// Opens all pools. The writer of edits comes first, as it is the one that turns the write-ahead log on.
    pub(super) async fn connect(&self, durability: Durability) -> Result<Pools, StoreError> {
        match self {
            Self::Sqlite { options, .. } => {
                let journal = match durability {
                    Durability::Process => SqliteSynchronous::Normal,
                    Durability::Disk => SqliteSynchronous::Full,
                };
                // where secrets are: what was taken away or sealed anew is not left in the file
                let edits = options.clone().synchronous(SqliteSynchronous::Full).pragma("secure_delete", "on");
                let edits = connect_sqlite(1, edits).await?;
                let journal = connect_sqlite_to_write_batches(options.clone().synchronous(journal)).await?;
                let reads = connect_sqlite(READS_MAX, options.clone().read_only(true)).await?;
                Ok(Pools { edits, journal, reads })
            }
            Self::Postgres { options } => {
                let read_only = options.clone().options([("default_transaction_read_only", "on")]);
                let edits = connect_postgres(POSTGRES_EDITS_MAX, *options.clone()).await?;
                let journal = connect_postgres(1, *options.clone()).await?;
                let reads = connect_postgres(READS_MAX, read_only).await?;
                Ok(Pools { edits, journal, reads })
            }
        }
    }
}

impl Address {
    /// Where notifications are heard.
    pub(super) fn listening(&self) -> Option<PgPool> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { options } => Some(news::lazily(*options.clone())),
        }
    }

    /// Opens the database to look at it: nothing is made, and nothing can be written.
    pub(super) async fn connect_to_read(&self) -> Result<DatabaseConnection, StoreError> {
        match self {
            Self::Sqlite { path, options, .. } => {
                let file_error = |source| StoreError::File { path: path.clone(), source };
                if !path.try_exists().map_err(file_error)? {
                    return Err(refused_url(&format!("{} does not exist", path.display())));
                }
                connect_sqlite(1, options.clone().create_if_missing(false).read_only(true)).await
            }
            Self::Postgres { options } => {
                connect_postgres(1, options.clone().options([("default_transaction_read_only", "on")])).await
            }
        }
    }
}

async fn connect_sqlite(connections_max: u32, options: SqliteConnectOptions) -> Result<DatabaseConnection, StoreError> {
    Ok(Database::connect(sqlite_pool(connections_max, options)).await?)
}

/// Opens the journal's connection, which has to know what a batch is. So must one that takes its place.
async fn connect_sqlite_to_write_batches(options: SqliteConnectOptions) -> Result<DatabaseConnection, StoreError> {
    let mut pool = sqlite_pool(1, options);
    pool.map_sqlx_sqlite_pool_opts(|options| {
        options.after_connect(|connection, _| {
            Box::pin(async move {
                for statement in at_once::prepare_sqlite() {
                    connection.execute(AssertSqlSafe(statement)).await?;
                }
                Ok(())
            })
        })
    });
    Ok(Database::connect(pool).await?)
}

fn sqlite_pool(connections_max: u32, options: SqliteConnectOptions) -> ConnectOptions {
    let mut pool = pool("sqlite:", connections_max);
    // a file does not go away like a server does
    pool.test_before_acquire(false).acquire_timeout(SQLITE_BUSY_TIMEOUT);
    pool.map_sqlx_sqlite_opts(move |_| options.clone());
    pool
}

/// Opens a pool of PostgreSQL connections that stay open.
pub(super) async fn connect_postgres(
    connections_max: u32,
    options: PgConnectOptions,
) -> Result<DatabaseConnection, StoreError> {
    let mut pool = pool("postgres:///", connections_max);
    pool.test_before_acquire_if_idle_for(PING_AFTER_IDLE).acquire_timeout(ACQUIRE_TIMEOUT);
    pool.map_sqlx_postgres_opts(move |_| options.clone());
    Ok(Database::connect(pool).await?)
}

fn pool(placeholder_url: &'static str, connections_max: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(placeholder_url);
    options
        .max_connections(connections_max)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

fn refused_url(reason: &str) -> StoreError {
    StoreError::Url { reason: reason.to_owned() }
}

fn missing(path: &Path) -> StoreError {
    refused_url(&format!("{} does not exist: add ?mode=rwc to let it be made", path.display()))
}
