//! What the gateway says of itself: log lines on standard error.
//!
//! In comes the configuration, out go events: for people on a terminal, one JSON object a line otherwise. Standard
//! output belongs to the program's answers and is never written to here.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, prelude::*, util::TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.level {level:?} is not a level and not a filter; write info, or atryum=debug,info")]
    Filter {
        /// What was set.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process logs already.
    #[error("cannot start logging")]
    Taken(#[from] TryInitError),
}

/// Starts logging, once for the process.
///
/// # Errors
/// When the level is not one, or something else logs already.
pub fn start(log: &LogConfig) -> Result<(), TelemetryError> {
    let unreadable = |source| TelemetryError::Filter { level: log.level.clone(), source };
    let filter = EnvFilter::try_new(directives(&log.level)).map_err(unreadable)?;
    let lines = fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let on_terminal = io::stderr().is_terminal();
    let for_people = match log.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => on_terminal,
    };
    if for_people {
        registry.with(lines.with_ansi(on_terminal)).try_init()?;
    } else {
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()?;
    }
    Ok(())
}

/// A bare level is meant for the gateway; the crates it stands on are heard when they warn.
fn directives(level: &str) -> String {
    match level.trim().to_ascii_lowercase().as_str() {
        "info" => "warn,atryum=info".into(),
        "debug" => "info,atryum=debug".into(),
        _ => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_the_gateway_and_a_filter_is_taken_as_it_is() {
        assert_eq!(directives("INFO"), "warn,atryum=info");
        assert_eq!(directives("sqlx=debug"), "sqlx=debug");
    }

    #[test]
    fn every_level_is_a_filter_and_nonsense_is_not() {
        for level in ["error", "warn", "info", "debug", "trace", "off", "atryum::gate=trace,warn"] {
            assert!(EnvFilter::try_new(directives(level)).is_ok(), "{level}");
        }
        let log = LogConfig { level: "atryum=loud".into(), format: LogFormat::Json };
        assert!(start(&log).unwrap_err().to_string().contains("is not a level"));
    }
}
