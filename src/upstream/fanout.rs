//! One connection, many listeners: for connections that agents share.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::sink::Sink;

/// Gives each notification that belongs to no request to everyone who listens. Nobody can be asked through it.
#[derive(Default)]
pub(super) struct Fanout(Mutex<Vec<Weak<dyn Sink>>>);

impl Fanout {
    pub(super) fn add(&self, listener: &Arc<dyn Sink>) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|known| known.strong_count() > 0);
        // One that opens the same connection again still hears everything once.
        let listener = Arc::downgrade(listener);
        if !listeners.iter().any(|known| known.ptr_eq(&listener)) {
            listeners.push(listener);
        }
    }
}

impl Sink for Fanout {
    fn notify(&self, message: String) {
        let listeners: Vec<_> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        for listener in listeners {
            listener.notify(message.clone());
        }
    }

    fn ask(&self, _: String) -> bool {
        false
    }
}
