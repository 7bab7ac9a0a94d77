//! What a process has asked agents and waits to be answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::upstream::sink::Sink;

/// Most questions of one process that wait. An agent may leave some unanswered for ever, so the oldest make way.
const WAITING_MAX: usize = 64;

/// A request of the server that waits for an agent's answer.
pub(super) struct Question {
    pub(super) upstream_id: String,
    /// The request of ours that it is about, where that is known.
    pub(super) about: Option<u64>,
    pub(super) sink: Arc<dyn Sink>,
}

/// By the id that the agent knows; ids grow, so the oldest is the first.
#[derive(Default)]
pub(super) struct Questions(BTreeMap<u64, Question>);

impl Questions {
    /// Keeps one more; gives back the one that had to make way.
    pub(super) fn add(&mut self, id: u64, question: Question) -> Option<Question> {
        self.0.insert(id, question);
        if self.0.len() > WAITING_MAX { self.0.pop_first().map(|(_, oldest)| oldest) } else { None }
    }

    pub(super) fn take(&mut self, id: u64) -> Option<Question> {
        self.0.remove(&id)
    }

    /// The question that the server knows by that id, with the id that the agent knows.
    pub(super) fn take_of_upstream(&mut self, upstream_id: &str) -> Option<(u64, Question)> {
        let id = *self.0.iter().find(|(_, question)| question.upstream_id == upstream_id)?.0;
        self.0.remove_entry(&id)
    }

    /// Whether one waits that is about this request of ours.
    pub(super) fn are_about(&self, request: u64) -> bool {
        self.0.values().any(|question| question.about == Some(request))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
