//! What requests in flight want to be told of a legacy server's log. The server knows one level for its connection: it is
//! set to the least severe that any of them wants, and who wants less is told less.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::connection::{Connection, Setting};
use super::wire::Reply;
use crate::mcp::log_level::LogLevel;

/// Of one connection.
#[derive(Default)]
pub(super) struct LogLevels {
    /// How many requests want each level.
    wanted: Mutex<[usize; LogLevel::COUNT]>,
    /// What the server was told.
    told: tokio::sync::Mutex<Option<LogLevel>>,
}

impl LogLevels {
    fn count(&self, level: LogLevel, change: impl Fn(usize) -> usize) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = wanted.get_mut(level.place()) {
            *count = change(*count);
        }
    }

    fn least_severe(&self) -> Option<LogLevel> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.iter().position(|count| *count > 0).and_then(LogLevel::at)
    }
}

/// Held while a request wants to be told of the log.
pub struct LogWanted {
    connection: Arc<Connection>,
    level: LogLevel,
}

impl Drop for LogWanted {
    fn drop(&mut self) {
        // The server goes on telling what nobody wants any more: it is dropped, until another level is wanted.
        self.connection.log_levels.count(self.level, |count| count.saturating_sub(1));
    }
}

impl Connection {
    /// Sees to it that a legacy server tells its log from `level` on, for as long as what this gives is held. A server that
    /// does not take the level is left as it is. Whether the rules let the level be set is asked by the caller.
    pub async fn want_log(self: &Arc<Self>, level: LogLevel) -> LogWanted {
        self.log_levels.count(level, |count| count + 1);
        let wanted = LogWanted { connection: self.clone(), level };
        let mut told = self.log_levels.told.lock().await;
        let least_severe = self.log_levels.least_severe();
        if let Some(level) = least_severe
            && *told != least_severe
        {
            let params = json!({ "level": level.name() }).to_string();
            if let Ok(Reply::Result(_)) = self.restore(Setting::LogLevel, &params).await {
                *told = least_severe;
            }
        }
        wanted
    }
}
