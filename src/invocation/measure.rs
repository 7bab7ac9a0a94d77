//! What the figures tell of a call.

use std::time::Duration;

use super::answer::Answer;
use super::pipeline::Invocations;
use super::record::Request;
use crate::gate::Action;
use crate::journal::JournalError;
use crate::metrics::Outcome;
use crate::upstream::Reply;

impl Invocations {
    pub(super) fn count(&self, request: &Request, action: Action, answer: &Answer, took: Duration) {
        if request.call.method == "tools/call" {
            self.metrics.call_finished(&request.call.server, action.as_str(), outcome(answer), took);
        }
    }

    pub(super) fn count_unrecorded(&self, error: &JournalError) {
        tracing::error!(error = %crate::chain(error), "a call could not be recorded");
        self.metrics.journal_write_failed();
    }
}

fn outcome(answer: &Answer) -> Outcome {
    match answer {
        Answer::Reply(Reply::Result(result)) if super::run::says_error(result) => Outcome::ToolError,
        Answer::Reply(Reply::Result(_)) => Outcome::Ok,
        Answer::Reply(Reply::Error(_)) | Answer::Failed(_) => Outcome::UpstreamError,
        Answer::Denied(refusal) if refusal.code == "approval_expired" => Outcome::Expired,
        Answer::Denied(_) | Answer::Refused(_) => Outcome::Denied,
        Answer::Pending(_) => Outcome::Pending,
        Answer::Cancelled => Outcome::Cancelled,
    }
}
