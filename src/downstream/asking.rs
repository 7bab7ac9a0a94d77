//! What an agent hears while a person is asked: progress, so that its client does not give up; and when that would not
//! help much longer, that the question stays open and how to come back to it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::call::{Said, Task, crossing_of_own};
use super::stream::EventStream;
use crate::clock;
use crate::invocation::{Patience, Pending, Watch};
use crate::mcp::{envelope, error};
use crate::store::approval;
use crate::upstream::Sink as _;

/// Clients that count progress as life wait from one to the next; this is well below the shortest patience known.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// An agent whose stream broke may come back within this time; after it the call ends, because one that nobody waits for
/// must not be made.
const GRACE: Duration = Duration::from_secs(10);

/// When it is worth while to ask again: a call that waits is told at once.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Opens the stream at once and beats until there is an answer.
pub(super) struct Asking {
    stream: Arc<EventStream>,
    progress_token: Option<String>,
    public_url: Arc<str>,
    beat: Mutex<Option<actix_rt::task::JoinHandle<()>>>,
}

impl Asking {
    pub(super) fn new(stream: Arc<EventStream>, progress_token: Option<String>, public_url: Arc<str>) -> Self {
        Self { stream, progress_token, public_url, beat: Mutex::default() }
    }

    fn set_beat(&self, beat: Option<actix_rt::task::JoinHandle<()>>) {
        let old = std::mem::replace(&mut *self.beat.lock().unwrap_or_else(PoisonError::into_inner), beat);
        if let Some(old) = old {
            old.abort();
        }
    }

    fn begin(&self, approval_id: &str) {
        self.stream.open();
        let Some(token) = self.progress_token.clone() else { return };
        let message = format!("Waiting for approval {approval_id}: {}", link(&self.public_url, approval_id));
        let stream = self.stream.clone();
        self.set_beat(Some(actix_rt::spawn(async move {
            for beat in 1_u64.. {
                let params = json!({ "progress": beat, "message": message });
                let params = crate::mcp::splice::set(&params.to_string(), &["progressToken"], &token);
                stream.notify(envelope::notification("notifications/progress", Some(&params)));
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
        })));
    }
}

impl Watch for Asking {
    fn asked<'w>(&'w self, question: &'w approval::Row, _: &'w str) -> Pin<Box<dyn Future<Output = Patience> + 'w>> {
        self.begin(&question.id);
        Box::pin(async { Patience::OfClient })
    }

    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(self.stream.abandoned(GRACE))
    }

    fn attended(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(self.stream.has_come())
    }

    fn answered(&self) {
        self.set_beat(None);
    }
}

/// Where a person finds the question. Nothing is decided by opening it.
pub(super) fn link(public_url: &str, approval_id: &str) -> String {
    format!("{public_url}/ui/#approval={approval_id}")
}

/// An answer that is none yet. Clients take it as an ordinary result, and the model is told what to do.
pub(super) fn pending(task: &Task, pending: &Pending, public_url: &str) -> Said {
    let url = link(public_url, &pending.approval_id);
    let what = task.call().tool.unwrap_or_else(|| task.method.clone());
    let left = Duration::from_millis(u64::try_from(pending.expires_at - clock::now_ms()).unwrap_or(0));
    let text = format!(
        "Approval pending: a person has not answered yet whether {what} on {} may be called this way. Nothing was sent to the \
         server. Approval {} is open for another {} s: {url}. Make this call again with the same arguments, to the letter, \
         to get the outcome: it goes on waiting, or runs once if it was approved, or says why it was denied.",
        task.upstream.spec.name,
        pending.approval_id,
        left.as_secs(),
    );
    let id = &pending.approval_id;
    if task.method != "tools/call" {
        let data = json!({
            "code": "approval_pending",
            "approval_id": id,
            "url": url,
            "retry": "safe",
            "retry_after_seconds": RETRY_AFTER_SECONDS,
            "invocation_id": pending.invocation_id,
        });
        return task.says_error(&error::object_with(error::DENIED, &text, &data));
    }
    let content = json!([{ "type": "text", "text": text }]);
    let result = if pending.has_output_schema {
        // This is not what the tool promised, and clients refuse a result without it unless it says that it is an error.
        json!({ "content": content, "isError": true })
    } else {
        let facts = json!({
            "status": "pending_approval",
            "approval_id": id,
            "url": url,
            "retry_after_s": RETRY_AFTER_SECONDS,
        });
        json!({ "content": content, "structuredContent": facts })
    };
    task.says(&crossing_of_own(task.era).result(&task.method, result.to_string()))
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.set_beat(None);
    }
}
