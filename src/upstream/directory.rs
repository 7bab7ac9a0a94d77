//! The upstreams by name, as last published by the registry.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::actor::Upstream;

pub(super) type Upstreams = HashMap<Arc<str>, Arc<Upstream>>;

/// A snapshot that anyone reads without asking anyone.
#[derive(Clone, Default)]
pub struct Directory(Arc<ArcSwap<Upstreams>>);

impl Directory {
    /// The upstream of that name. A disabled server has one, too: it opens no connections.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Upstream>> {
        self.0.load().get(name).cloned()
    }

    /// All upstreams, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Upstream>> {
        self.0.load().values().cloned().collect()
    }

    pub(super) fn snapshot(&self) -> Arc<Upstreams> {
        self.0.load_full()
    }

    pub(super) fn publish(&self, upstreams: Upstreams) {
        self.0.store(Arc::new(upstreams));
    }
}
