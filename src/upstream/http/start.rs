//! A connection to a remote server, from its first request to its farewell.

use std::sync::Arc;

use super::pair::Pair;
use super::remote::Remote;
use crate::mcp::version::Era;
use crate::upstream::sink::{Audience, Sink};
use crate::upstream::wire::{Ended, Outlet, Wire};

/// Makes the wire of a connection and looks after it until it is stopped.
///
/// `ended` is called once, when the server was told that it is over.
pub(in crate::upstream) fn start(
    remote: &Arc<Remote>,
    pair: Option<Pair>,
    (fallback, audience): (Arc<dyn Sink>, Audience),
    ended: impl FnOnce() + 'static,
) -> Arc<Wire> {
    match pair {
        None => streamable(remote.clone(), (fallback, audience), ended),
        Some(pair) => paired(remote.clone(), pair, (fallback, audience), ended),
    }
}

fn streamable(
    remote: Arc<Remote>,
    (fallback, audience): (Arc<dyn Sink>, Audience),
    ended: impl FnOnce() + 'static,
) -> Arc<Wire> {
    let wire = Wire::new(Outlet::Posts(remote.clone()), fallback, audience);
    let watched = wire.clone();
    actix_rt::spawn(async move {
        let listening = async {
            if remote.era() == Era::Legacy {
                remote.announced().await;
                remote.listen(&watched).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = watched.stop.notified() => {}
            () = listening => {}
        }
        watched.end(Ended::Stopped);
        remote.farewell().await;
        ended();
    });
    wire
}

fn paired(
    remote: Arc<Remote>,
    pair: Pair,
    (fallback, audience): (Arc<dyn Sink>, Audience),
    ended: impl FnOnce() + 'static,
) -> Arc<Wire> {
    let (outlet, messages) = Outlet::queue();
    let wire = Wire::new(outlet, fallback, audience);
    let watched = wire.clone();
    actix_rt::spawn(async move {
        tokio::select! {
            () = watched.stop.notified() => {}
            () = remote.carry(&watched, pair, messages) => {}
        }
        watched.end(Ended::Stopped);
        ended();
    });
    wire
}
