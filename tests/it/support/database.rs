//! A fresh database for one test, of either kind.

use std::collections::BTreeSet;
use std::path::PathBuf;

use atryum::store::{Store, StoreError};
use tempfile::TempDir;

use super::postgres;

/// Gone, with all it holds, when it is dropped.
pub struct Database {
    url: String,
    /// where a SQLite file and other files of the test are
    folder: TempDir,
}

impl Database {
    /// An SQLite file that is not made yet.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let url = format!("sqlite:{}?mode=rwc", folder.path().join("atryum.db").display());
        Self { url, folder }
    }

    /// An empty PostgreSQL database in the cluster of this process.
    pub async fn postgres() -> Self {
        let url = postgres::create_database().await;
        Self { url, folder: tempfile::tempdir().expect("a folder for the test") }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A path in the folder of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn open(&self) -> Store {
        self.try_open().await.expect("an open store")
    }

    pub async fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.url).await
    }

    /// Every column that holds bytes, by table and name.
    pub async fn binary_columns(&self) -> BTreeSet<(String, String)> {
        use sea_orm::{ConnectionTrait as _, Statement};
        let connection = sea_orm::Database::connect(&self.url).await.expect("a connection");
        let sql = if self.url.starts_with("sqlite:") {
            "SELECT tables.name AS \"table\", columns.name AS \"column\" FROM sqlite_master tables, \
             pragma_table_info(tables.name) columns WHERE tables.type = 'table' AND columns.type LIKE '%blob%'"
        } else {
            "SELECT table_name AS \"table\", column_name AS \"column\" FROM information_schema.columns \
             WHERE table_schema = 'public' AND data_type = 'bytea'"
        };
        let rows = connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await;
        let names =
            |row: &sea_orm::QueryResult| (row.try_get("", "table").unwrap(), row.try_get("", "column").unwrap());
        rows.expect("the statement to run").iter().map(names).collect()
    }

    /// Runs SQL beside the store, as another release or a careless person would.
    pub async fn run(&self, sql: &str) {
        run_sql(&self.url, sql).await;
    }
}

/// Runs SQL on a database that somebody else may have open.
pub async fn run_sql(url: &str, sql: &str) {
    use sea_orm::ConnectionTrait as _;
    let connection = sea_orm::Database::connect(url).await.expect("a connection");
    connection.execute_unprepared(sql).await.expect("the statement to run");
    connection.close().await.expect("the connection to close");
}

/// All that a PostgreSQL database holds, row by row; bytes are in hex.
pub async fn all_rows(url: &str) -> Vec<String> {
    use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
    let connection = sea_orm::Database::connect(url).await.expect("a connection");
    let read = async |sql: &str, column: &str| -> Vec<String> {
        let rows = connection.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        rows.expect("the statement to run").iter().map(|row| row.try_get("", column).expect("a text")).collect()
    };
    let tables = read("SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'", "name").await;
    let mut all = Vec::new();
    for table in tables {
        all.extend(read(&format!("SELECT t::text AS line FROM \"{table}\" t"), "line").await);
    }
    connection.close().await.expect("the connection to close");
    all
}

/// Runs each named test on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[actix_rt::test]
                async fn $test() {
                    super::$test(crate::support::database::Database::sqlite().await).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[actix_rt::test]
                async fn $test() {
                    super::$test(crate::support::database::Database::postgres().await).await;
                }
            )+
        }
    };
}

pub(crate) use on_both_databases;
