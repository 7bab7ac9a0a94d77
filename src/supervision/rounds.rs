//! The actor behind a task that goes on for as long as the gateway runs: it runs one job, and is made again by its
//! supervisor when that ends.

use std::future::Future;
use std::pin::Pin;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context};

use super::Sentinel;

/// What an actor does for as long as it lives.
pub type Job = Pin<Box<dyn Future<Output = ()>>>;

/// See the module.
pub struct Rounds {
    begin: Box<dyn Fn() -> Job>,
    _sentinel: Sentinel,
}

impl Rounds {
    /// An actor that runs what `begin` begins.
    pub fn new(sentinel: Sentinel, begin: impl Fn() -> Job + 'static) -> Self {
        Self { begin: Box::new(begin), _sentinel: sentinel }
    }
}

impl Actor for Rounds {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // a job has no end: one that ends all the same is begun anew by the supervisor
        let job = wrap_future::<_, Self>((self.begin)());
        context.spawn(job.map(|(), _, context: &mut Self::Context| context.stop()));
    }
}
