//! What an agent hears while a person is asked: progress, so that its client does not give up.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::stream::EventStream;
use crate::invocation::Watch;
use crate::mcp::envelope;

/// Clients that count progress as life wait from one to the next; this is well below the shortest patience known.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// An agent whose stream broke may come back within this time; after it the question is withdrawn, because a call that
/// nobody waits for must not be made.
const GRACE: Duration = Duration::from_secs(10);

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
}

impl Watch for Asking {
    fn asked(&self, approval_id: &str, _expires_at: i64) {
        self.stream.open();
        let Some(token) = self.progress_token.clone() else { return };
        let message = format!("Waiting for approval {approval_id}: {}/ui/", self.public_url);
        let stream = self.stream.clone();
        self.set_beat(Some(actix_rt::spawn(async move {
            for beat in 1_u64.. {
                let params = json!({ "progress": beat, "message": message });
                let params = crate::mcp::splice::set(&params.to_string(), &["progressToken"], &token);
                stream.push(envelope::notification("notifications/progress", Some(&params)));
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
        })));
    }

    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(self.stream.abandoned(GRACE))
    }

    fn answered(&self) {
        self.set_beat(None);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.set_beat(None);
    }
}
