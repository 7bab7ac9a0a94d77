//! The gateway as its users have it: the real binary, on a port and in a directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Answer, Client};

/// The operator's token of every test's gateway.
pub const ADMIN_TOKEN: &str = "test-operator-token-0123456789abcdef0123456789";

/// A running gateway. Dropping it kills it.
pub struct App {
    pub url: String,
    pub pid: u32,
    dir: Arc<tempfile::TempDir>,
    process: Child,
    log: Arc<Mutex<String>>,
    settings: Vec<(String, String)>,
}

/// What a test's gateway is started with.
#[derive(Default)]
pub struct Settings {
    env: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Settings {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub async fn start(self) -> App {
        App::start_in(Arc::new(tempfile::tempdir().expect("a directory")), &self.env, &self.arguments).await
    }
}

impl App {
    /// With SQLite in an empty directory.
    pub async fn start() -> Self {
        Settings::default().start().await
    }

    async fn start_in(dir: Arc<tempfile::TempDir>, settings: &[(String, String)], arguments: &[String]) -> Self {
        let mut process = command(dir.path(), settings, arguments).spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(process.stderr.take().expect("stderr"), log.clone());
        let mut lines = BufReader::new(process.stdout.take().expect("stdout")).lines();
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                let _ = process.wait();
                std::thread::sleep(std::time::Duration::from_millis(50));
                panic!("the gateway did not start: {}", log.lock().unwrap());
            };
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
            log.lock().unwrap().push_str(&format!("{line}\n"));
        };
        let sink = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { url, pid: process.id(), dir, process, log, settings: settings.to_vec() }
    }

    /// Kills it as nothing else does, and starts another one in the same directory.
    pub async fn kill_and_restart(mut self) -> Self {
        self.kill();
        let (dir, settings) = (self.dir.clone(), self.settings.clone());
        drop(self);
        Self::start_in(dir, &settings, &[]).await
    }

    /// One in the same directory, with other settings.
    pub async fn restart_with(mut self, settings: &[(&str, &str)]) -> Self {
        self.kill();
        let dir = self.dir.clone();
        drop(self);
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self::start_in(dir, &settings, &[]).await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// SIGTERM; the exit code when it is gone.
    pub async fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// The exit code, once it has ended by itself.
    pub fn try_exit(&mut self) -> Option<Option<i32>> {
        self.process.try_wait().expect("it can be asked").map(|status| status.code())
    }

    /// All that it printed and logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Somebody with the operator's token.
    pub fn operator(&self) -> Client {
        Client::new(&self.url).bearer(ADMIN_TOKEN)
    }

    /// Somebody without anything.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url)
    }

    /// A new agent that may reach every server; its key.
    pub async fn agent_key(&self, name: &str) -> String {
        let created = self.operator().post("/api/v1/agents", json!({ "name": name, "servers": ["*"] })).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.json["key"].as_str().expect("a key").to_owned()
    }

    /// A new agent that may reach every server.
    pub async fn agent(&self, name: &str) -> Client {
        Client::new(&self.url).bearer(&self.agent_key(name).await)
    }

    /// Registers a stdio server.
    pub async fn server(&self, name: &str, command: &str, args: &[&str]) -> Answer {
        self.server_from(json!({ "name": name, "mode": "stdio", "command": command, "args": args })).await
    }

    /// Registers what the definition says.
    pub async fn server_from(&self, definition: Value) -> Answer {
        let created = self.operator().post("/api/v1/servers", definition).await;
        assert_eq!(created.status, 201, "{created:?}");
        created
    }

    /// Registers the misbehaving server with some flags.
    pub async fn nasty(&self, name: &str, flags: &[&str]) -> Answer {
        let script = repo("tests/fixture-stdio/nasty.py");
        let args: Vec<_> = std::iter::once(script.to_str().unwrap()).chain(flags.iter().copied()).collect();
        self.server(name, python(), &args).await
    }

    /// Registers a server that is reached over HTTP.
    pub async fn remote(&self, name: &str, url: &str) -> Answer {
        self.server_from(json!({ "name": name, "mode": "http", "base_url": url, "timeout_seconds": 2 })).await
    }

    /// Adds a rule at the end.
    pub async fn rule(&self, rule: Value) -> Answer {
        let created = self.operator().post("/api/v1/rules", rule).await;
        assert_eq!(created.status, 201, "{created:?}");
        created
    }

    /// Adds a rule before all others.
    pub async fn rule_first(&self, mut rule: Value) -> Answer {
        let rules = self.operator().get("/api/v1/rules").await;
        rule["before"] = rules.json["items"][0]["id"].clone();
        self.rule(rule).await
    }

    /// Lets everything pass.
    pub async fn allow_all(&self) -> Answer {
        self.rule(json!({
            "action": "allow", "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": ["*"],
        }))
        .await
    }

    /// All rows of the journal, newest first.
    pub async fn invocations(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let path = match &cursor {
                None => "/api/v1/invocations?limit=200".to_owned(),
                Some(cursor) => format!("/api/v1/invocations?limit=200&cursor={cursor}"),
            };
            let page = self.operator().get(&path).await;
            assert_eq!(page.status, 200, "{page:?}");
            items.extend(page.json["items"].as_array().expect("items").iter().cloned());
            match page.json["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// The approval that a call waits for, when it is there.
    pub async fn pending_approval(&self) -> Value {
        super::eventually("an approval is pending", async || {
            let list = self.operator().get("/api/v1/approvals?status=pending").await;
            list.json["items"].as_array().and_then(|items| items.first().cloned())
        })
        .await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the gateway said ---\n{}", self.log());
        }
    }
}

/// The gateway's binary with the environment of a test.
pub fn command(dir: &Path, settings: &[(String, String)], arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atryum"));
    command
        .arg("serve")
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("ATRYUM_DATA_DIR", dir.join("data"))
        .env("ATRYUM_LISTEN", "127.0.0.1:0")
        .env("ATRYUM_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("RUST_BACKTRACE", "0")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in settings {
        command.env(name, value);
    }
    command
}

/// The interpreter itself: `python3` may be a script that adds variables of its own.
pub fn python() -> &'static str {
    static PYTHON: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PYTHON.get_or_init(|| {
        let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        String::from_utf8(output.expect("python3 starts").stdout).expect("a path").trim().to_owned()
    })
}

/// A path in the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn collect(mut source: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read) = source.read(&mut buffer) {
            if read == 0 {
                return;
            }
            log.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
}
