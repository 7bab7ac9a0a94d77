//! Whether a remote server is asked at all, and what is learnt from its answer.

use std::sync::Arc;

use super::breaker::Admitted;
use super::error::HttpError;
use super::remote::Remote;
use crate::upstream::core::Core;
use crate::upstream::error::UpstreamError;

/// A request was let through. If it went to look and is dropped without news, the next one may look.
pub(in crate::upstream) struct Admission {
    core: Option<Arc<Core>>,
    /// Others wait for what becomes of it.
    is_looking: bool,
}

impl Remote {
    /// Whether the server's circuit would let a request out now.
    pub(in crate::upstream) fn look(&self) -> Result<(), HttpError> {
        self.core.upgrade().map_or(Ok(()), |core| core.breaker.look())
    }

    /// Asks the server's circuit.
    pub(in crate::upstream) fn admit(&self) -> Result<Admission, HttpError> {
        let core = self.core.upgrade();
        let admitted = core.as_ref().map_or(Ok(Admitted::AsUsual), |core| core.breaker.admit())?;
        Ok(Admission { core, is_looking: admitted == Admitted::ToLook })
    }
}

impl Admission {
    /// Tells what came of it. `method` is that of the request.
    pub(in crate::upstream) fn observed(&self, method: &str, outcome: &Result<(), UpstreamError>) {
        let Some(core) = &self.core else { return };
        match outcome {
            Err(UpstreamError::Http(error)) => core.exchange_failed(method, error),
            // Whatever was wrong with the request, the server is there.
            Ok(()) | Err(_) => core.exchange_succeeded(method),
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let (Some(core), true) = (&self.core, self.is_looking) {
            core.breaker.learnt_nothing();
        }
    }
}
