//! One PostgreSQL cluster for the tests of this process, with a fresh database for each test.
//!
//! It is made in a temporary folder, listens on a free port of 127.0.0.1 and has its sockets in that folder, so it meets
//! no other cluster. It ends with this process, however that ends: the shell that started it waits for a pipe to close,
//! stops the server and removes the folder.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

/// How long a cluster may take to start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the server until standard input is closed; signals to the whole group must not end the shell before that.
const RUN_UNTIL_STDIN_CLOSES: &str = r#"
trap '' INT TERM HUP
"$1/postgres" -D "$2/data" -c listen_addresses=127.0.0.1 -c port="$3" -c unix_socket_directories="$2" \
    -c fsync=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=32MB >"$2/log" 2>&1 &
cat >/dev/null
kill -INT $!
wait $!
rm -rf "$2"
"#;

/// See the module.
pub struct Cluster {
    port: u16,
    databases: AtomicU32,
    /// holds the pipe whose end is the end of the cluster
    _shell: Child,
}

/// Makes an empty database and returns its URL.
pub async fn create_database() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(Cluster::start);
    let name = format!("test_{}", cluster.databases.fetch_add(1, Ordering::Relaxed));
    let connection = cluster.connect().await;
    connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a new database");
    connection.close().await.expect("the connection to close");
    cluster.url(&name)
}

impl Cluster {
    fn start() -> Self {
        let programs = find_programs();
        let folder = tempfile::Builder::new().prefix("atryum-postgres-").tempdir().expect("a folder").keep();
        let account = account();
        if let Some(account) = &account {
            let (user, group) = (account.uid.as_raw(), account.gid.as_raw());
            chown(&folder, Some(user), Some(group)).expect("the folder to be given away");
        }
        let mut initdb = command(&programs.join("initdb"), account.as_ref(), &folder);
        initdb.args(["--auth=trust", "--username=atryum", "--no-sync", "--locale=C", "--encoding=UTF8", "--pgdata"]);
        let made = initdb.arg(folder.join("data")).output().expect("initdb to run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));

        let port = free_port();
        let mut shell = command(Path::new("/bin/sh"), account.as_ref(), &folder);
        shell.args(["-c", RUN_UNTIL_STDIN_CLOSES, "sh"]).args([&programs, &folder]).arg(port.to_string());
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let shell = shell.spawn().expect("a shell");
        Self { port, databases: AtomicU32::new(0), _shell: shell }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://atryum@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    async fn connect(&self) -> DatabaseConnection {
        let give_up_at = Instant::now() + START_TIMEOUT;
        loop {
            match sea_orm::Database::connect(self.url("postgres")).await {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < give_up_at, "the cluster does not start: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// PostgreSQL refuses to run as root, so root runs it as somebody else.
fn account() -> Option<User> {
    let find = |name| User::from_name(name).ok().flatten();
    geteuid().is_root().then(|| find("postgres").or_else(|| find("nobody")).expect("an account to run PostgreSQL as"))
}

fn command(program: &Path, account: Option<&User>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(account) = account {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    command.current_dir(folder);
    command
}

/// Looks where Debian puts each version, then in the path.
fn find_programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(version).map(|path| path.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_programs = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    let found = newest.into_iter().chain(std::env::split_paths(&path)).find(has_programs);
    found.expect("PostgreSQL's initdb in /usr/lib/postgresql/*/bin or in the path: install the package `postgresql`")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
