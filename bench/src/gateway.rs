//! A gateway of our own: started with nothing, told what it needs over REST, and watched from outside.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Result;
use crate::http::Http;
use crate::options::Options;

/// The name of the server that is called.
pub(crate) const SERVER: &str = "echo";
/// Linux counts a process's time in hundredths of a second, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a start and a stop may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway. Dropping it kills it.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    token: String,
    pid: u32,
    process: Child,
    dir: TempDir,
}

impl Gateway {
    /// Starts one in an empty directory, with the server registered and every call allowed: the one at that address, or
    /// one over stdio.
    pub(crate) async fn start(options: &Options, remote: Option<SocketAddr>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let token = random_token()?;
        let mut process = command(options, dir.path(), &token)?.spawn().map_err(|error| {
            format!("{} can't be started: {error}; build it with: cargo build --release", options.gateway.display())
        })?;
        let pid = process.id().ok_or("the gateway ended at once")?;
        if let Some(file) = &options.pid_file {
            std::fs::write(file, pid.to_string())?;
        }
        let stdout = process.stdout.take().ok_or("the gateway has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .map_err(|_| "the gateway does not listen")??;
            let Some(line) = line else {
                let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
                return Err(format!("the gateway did not start: {log}").into());
            };
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse()?;
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let gateway = Self { address, token, pid, process, dir };
        gateway.prepare(remote).await?;
        Ok(gateway)
    }

    async fn prepare(&self, remote: Option<SocketAddr>) -> Result<()> {
        let server = if let Some(address) = remote {
            json!({"name": SERVER, "mode": "http", "base_url": format!("http://{address}/mcp")})
        } else {
            let upstream = std::env::current_exe()?;
            json!({"name": SERVER, "mode": "stdio", "command": upstream, "args": ["upstream"]})
        };
        self.post("/api/v1/servers", &server).await?;
        let rule = json!({"action": "allow", "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": ["*"]});
        self.post("/api/v1/rules", &rule).await?;
        Ok(())
    }

    /// Makes an agent; returns its key.
    pub(crate) async fn agent(&self, name: &str) -> Result<String> {
        let agent = self.post("/api/v1/agents", &json!({"name": name, "servers": ["*"]})).await?;
        Ok(agent["key"].as_str().ok_or("the agent got no key")?.to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, "", 200).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, &body.to_string(), 201).await
    }

    async fn ask(&self, method: &str, path: &str, body: &str, expected: u16) -> Result<Value> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        let mut http = Http::connect(self.address).await?;
        let status = http.exchange(request.as_bytes()).await?.status;
        if status != expected {
            return Err(
                format!("{method} {path} was answered by {status}: {}", String::from_utf8_lossy(&http.body)).into()
            );
        }
        Ok(serde_json::from_slice(&http.body)?)
    }

    /// Processor time that the gateway itself has used, in µs; its children's is not in it.
    pub(crate) fn cpu_us(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name of the program stands in brackets and may hold anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat can't be read")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<std::result::Result<f64, _>>()? / TICKS_PER_SECOND * 1e6)
    }

    /// Memory that the gateway itself holds, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/PID/status can't be read")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_raw(self.pid.cast_signed()).ok_or("the gateway has no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let exit =
            tokio::time::timeout(PATIENCE, self.process.wait()).await.map_err(|_| "the gateway does not stop")??;
        self.dir.close()?;
        if exit.success() { Ok(()) } else { Err(format!("the gateway stopped with {exit}").into()) }
    }
}

fn command(options: &Options, dir: &Path, token: &str) -> Result<Command> {
    let program = options.gateway.canonicalize().map_err(|error| {
        format!("there is no {}: {error}; build it with: cargo build --release", options.gateway.display())
    })?;
    let mut command = Command::new(program);
    command
        .arg("serve")
        .env_clear()
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("ATRYUM_DATA_DIR", dir.join("data"))
        .env("ATRYUM_LISTEN", "127.0.0.1:0")
        .env("ATRYUM_ADMIN_TOKEN", token)
        .env("ATRYUM_UPSTREAM__MAX_PROCESSES", "160")
        .env("ATRYUM_JOURNAL__DURABILITY", &options.durability)
        .env("ATRYUM_LOG__LEVEL", &options.log_level)
        .envs(options.set.iter().map(|(name, value)| (name, value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A file, as a service's log is one in the end.
        .stderr(std::fs::File::create(dir.join("log"))?)
        .kill_on_drop(true);
    Ok(command)
}

fn random_token() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:048x}", bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))))
}
