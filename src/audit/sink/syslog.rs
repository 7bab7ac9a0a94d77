//! Syslog by RFC 5424, over UDP, TCP (RFC 6587, octets counted) or this machine's socket.
//!
//! The form of a message is one line of code, and what a library would bring with it are blocking sockets and a will of
//! its own about when to try again: so it is written here.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::time::timeout;

use super::Told;
use crate::audit::line::moment;
use crate::config::SyslogTarget;

/// Facility 13, "log audit", severity 6, "informational".
const PRIORITY: u8 = 13 * 8 + 6;
/// How long the other side may take.
const WITHIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Syslog {
    target: SyslogTarget,
    host: String,
    stream: Option<TcpStream>,
}

impl Syslog {
    pub(super) fn new(target: SyslogTarget) -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        Self { target, host: if host.is_empty() { "-".to_owned() } else { host }, stream: None }
    }

    /// Sends messages in their order. That a datagram, or what is left in a connection that breaks, was read by anybody is
    /// not known.
    pub(super) async fn send(&mut self, told: &[Told]) -> Result<(), String> {
        let messages: Vec<String> = told.iter().map(|told| self.message(told)).collect();
        let target = self.target.to_string();
        let sent = timeout(WITHIN, self.send_all(&messages)).await;
        let sent = sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        sent.map_err(|error| {
            self.stream = None;
            format!("{target}: {error}")
        })
    }

    async fn send_all(&mut self, messages: &[String]) -> std::io::Result<()> {
        match &self.target {
            SyslogTarget::Udp(address) => {
                let found = tokio::net::lookup_host(address).await?.next();
                let found = found.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
                let own = if found.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(own).await?;
                socket.connect(found).await?;
                for message in messages {
                    socket.send(message.as_bytes()).await?;
                }
            }
            SyslogTarget::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                for message in messages {
                    socket.send(message.as_bytes()).await?;
                }
            }
            SyslogTarget::Tcp(address) => {
                // a connection that the other side has closed takes the first bytes all the same: so each batch has its own
                let stream = self.stream.insert(TcpStream::connect(address).await?);
                for message in messages {
                    stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
                }
                stream.shutdown().await?;
                self.stream = None;
            }
        }
        Ok(())
    }

    fn message(&self, told: &Told) -> String {
        let (at, process) = (moment(told.at), std::process::id());
        let kind: String = told.kind.chars().filter(char::is_ascii_graphic).take(32).collect();
        let is_datagram = !matches!(self.target, SyslogTarget::Tcp(_));
        let line = told.short.as_ref().filter(|_| is_datagram).unwrap_or(&told.line);
        format!("<{PRIORITY}>1 {at} {} atryum {process} {kind} - {line}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_form_of_rfc_5424() {
        let syslog = Syslog { host: "here".to_owned(), ..Syslog::new(SyslogTarget::Udp("127.0.0.1:1".to_owned())) };
        let told = |line: &str, short: Option<&str>| {
            let (kind, short) = ("server.updated".to_owned(), short.map(str::to_owned));
            Told { at: 1_000, kind, line: line.to_owned(), short }
        };
        let process = std::process::id();
        let expected = format!("<110>1 1970-01-01T00:00:01.000Z here atryum {process} server.updated - {{}}");
        assert_eq!(syslog.message(&told("{}", None)), expected);
        assert!(syslog.message(&told("{\"long\":1}", Some("{\"cut\":1}"))).ends_with(" - {\"cut\":1}"));
        let stream = Syslog::new(SyslogTarget::Tcp("127.0.0.1:1".to_owned()));
        assert!(stream.message(&told("{\"long\":1}", Some("{\"cut\":1}"))).ends_with(" - {\"long\":1}"));
    }
}
