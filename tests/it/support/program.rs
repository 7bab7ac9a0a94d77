//! Real MCP servers, and one real authorization server, that listen on a port of this machine.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::app::repo;

/// A running one. Dropping it kills it.
pub struct Program {
    pub port: u16,
    _process: Child,
}

impl Program {
    /// The reference server of the TypeScript SDK, as `streamableHttp` or `sse`.
    pub async fn everything(transport: &str) -> Self {
        let clients = repo("tests/clients");
        let script = clients.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
        assert!(script.exists(), "run tests/setup.sh");
        let mut command = Command::new(node());
        command.arg("--import").arg(clients.join("loopback.mjs")).arg(script).arg(transport).env("PORT", "0");
        Self::started(command).await
    }

    /// A server with sessions of the Python SDK, version 1: `echo(message)`.
    pub async fn python() -> Self {
        let python = repo("tests/clients/.venv-py1/bin/python");
        assert!(python.exists(), "run tests/setup.sh");
        let mut command = Command::new(python);
        command.arg(repo("tests/clients/serve_py1.py"));
        Self::started(command).await
    }

    /// The conformance suite's upstream over HTTP, of the era `both`, `legacy` or `modern`.
    pub async fn conformance(era: &str) -> Self {
        let program = repo("target/fixture/debug/conformance-upstream");
        assert!(program.exists(), "run tests/setup.sh");
        let mut command = Command::new(program);
        command.args(["--era", era, "http", "--addr", "127.0.0.1:0"]);
        Self::started(command).await
    }

    /// A certified OpenID provider, and the metadata of an MCP server at `/mcp` that it gives out tokens for.
    pub async fn provider() -> Self {
        let script = repo("tests/clients/provider.mjs");
        assert!(repo("tests/clients/node_modules/oidc-provider").exists(), "run tests/setup.sh");
        let mut command = Command::new(node());
        command.arg(script);
        Self::started(command).await
    }

    async fn started(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr")).lines();
        let mut said = Vec::new();
        let port = loop {
            let line = lines.next_line().await.expect("it can be read");
            let Some(line) = line else { panic!("the server did not start: {said:?}") };
            if let Some(port) = port_in(&line) {
                break port;
            }
            said.push(line);
        };
        // Whoever fills its stderr must not stop for it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { port, _process: process }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// `loopback port 1234`, or an address with a port.
fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("loopback port ").or_else(|| line.split_once("127.0.0.1:"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The Node that comes with the clients, if it does.
pub fn node() -> PathBuf {
    let bundled = repo("tests/clients/node_modules/.bin/node");
    if bundled.exists() { bundled } else { PathBuf::from("node") }
}
