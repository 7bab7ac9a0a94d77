//! The server without a gateway: one process a session, its lines written and read here.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Result;
use crate::load::Caller;
use crate::message::{self, Era};

/// One session with a process of its own.
pub(crate) struct Direct {
    era: Era,
    bytes: usize,
    next_id: u64,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    request: String,
    line: Vec<u8>,
    _process: Child,
}

impl Direct {
    pub(crate) async fn open(era: Era, bytes: usize) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("upstream")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take().ok_or("the server has no input")?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let output = BufReader::with_capacity(64 * 1024, output);
        let (request, line) = (String::new(), Vec::new());
        let mut direct = Self { era, bytes, next_id: 1, input, output, request, line, _process: process };
        if era == Era::Legacy {
            direct.request = message::initialize();
            direct.exchange().await?;
            message::INITIALIZED.clone_into(&mut direct.request);
            direct.send().await?;
        }
        Ok(direct)
    }

    async fn exchange(&mut self) -> Result<()> {
        self.send().await?;
        self.line.clear();
        if self.output.read_until(b'\n', &mut self.line).await? == 0 {
            return Err("the server closed its output".into());
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        self.request.push('\n');
        Ok(self.input.write_all(self.request.as_bytes()).await?)
    }
}

impl Caller for Direct {
    async fn call(&mut self) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        message::call(&mut self.request, self.era, id, self.bytes);
        self.exchange().await?;
        message::check(&self.line, id, self.bytes)
    }
}
