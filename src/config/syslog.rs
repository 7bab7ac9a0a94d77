//! Where syslog is: what was typed comes in, a way to it goes out.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// Where syslog messages are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// one datagram a message, to this host and port
    Udp(String),
    /// a stream to this host and port, each message with its length before it
    Tcp(String),
    /// one datagram a message, to the socket of this machine's own syslog
    Unix(PathBuf),
}

impl FromStr for SyslogTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "udp://HOST:PORT, tcp://HOST:PORT or unix:/PATH is expected";
        let host_and_port = |text: &str| {
            let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
            let is_usable = !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok();
            if is_usable { Ok(text.to_owned()) } else { Err(EXPECTED) }
        };
        if let Some(rest) = text.strip_prefix("udp://") {
            return host_and_port(rest).map(Self::Udp);
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            return host_and_port(rest).map(Self::Tcp);
        }
        let path = text.strip_prefix("unix:").filter(|path| path.starts_with('/')).ok_or(EXPECTED)?;
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for SyslogTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(formatter, "udp://{address}"),
            Self::Tcp(address) => write!(formatter, "tcp://{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for SyslogTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_was_typed() {
        for text in ["udp://127.0.0.1:514", "tcp://logs.example:6514", "tcp://[::1]:514", "unix:/dev/log"] {
            assert_eq!(text.parse::<SyslogTarget>().map(|target| target.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "logs:514", "udp://:514", "tcp://host", "tcp://host:99999", "unix:dev/log", "udp://a@b:1"] {
            assert!(text.parse::<SyslogTarget>().is_err(), "{text}");
        }
    }
}
