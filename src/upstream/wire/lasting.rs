//! Tasks whose call was answered while they go on: their progress is told under the call's token until they are over.

use std::collections::BTreeMap;

use super::Ticket;
use crate::mcp::promise::{self, Promise};
use crate::mcp::splice;
use crate::mcp::version::Era;

/// Most tasks of one connection whose progress is passed on; the oldest make way.
const COUNT_MAX: usize = 256;

/// By the id of the call, which is its progress token, too.
#[derive(Default)]
pub(super) struct Lasting(BTreeMap<u64, (String, Ticket)>);

impl Lasting {
    /// Takes note of an answer: of a task that it makes, and of one that it tells to be over.
    pub(super) fn answered(&mut self, id: u64, result: &str, ticket: Option<Ticket>) {
        if !result.contains("taskId") {
            return;
        }
        let made = Promise::made_by(result, Era::Legacy).or_else(|| Promise::made_by(result, Era::Modern));
        match (made, ticket) {
            (Some(promise), Some(ticket)) if ticket.progress_token.is_some() && !promise.is_over() => {
                self.0.insert(id, (promise.id, ticket));
                if self.0.len() > COUNT_MAX {
                    self.0.pop_first();
                }
            }
            (Some(_), _) => {}
            // The result of a task says only whose it is.
            (None, _) => match splice::find_string(result, &["_meta", promise::RELATED, "taskId"]) {
                Some(over) => self.forget(&over),
                None => self.told(result),
            },
        }
    }

    /// Takes note of how a task is said to be.
    pub(super) fn told(&mut self, text: &str) {
        if !self.0.is_empty()
            && let Some(promise) = Promise::read(text).filter(Promise::is_over)
        {
            self.forget(&promise.id);
        }
    }

    /// Who hears of the progress under that token.
    pub(super) fn ticket(&self, token: u64) -> Option<&Ticket> {
        self.0.get(&token).map(|(_, ticket)| ticket)
    }

    fn forget(&mut self, task: &str) {
        self.0.retain(|_, (id, _)| id != task);
    }
}
