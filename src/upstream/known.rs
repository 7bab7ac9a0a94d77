//! What a connection's server last said of its tools, and who compares it with what the tools are held to be.
//!
//! A list that passes is read, whether an agent asked for it or the gateway: so a call needs no listing of its own. It
//! needs one where its connection has had none yet, after the server said that its tools changed, and after a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::catalog::{self, Items};
use super::connection::{Connection, ToolTraits};
use super::error::UpstreamError;
use crate::gate::Pins;
use crate::mcp::definition::{self, Definition, Listed};
use crate::mcp::splice;

/// A server that takes longer to list its tools does not say what they are.
const LISTS_WITHIN: Duration = Duration::from_secs(5);
/// A server that could not list is not asked for every call.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// How long a list is good that nothing was heard of since. A server may say that it is for less, but
const GOOD_FOR_MAX: Duration = Duration::from_mins(5);
/// not for less than this: it would be listed for every call.
const GOOD_FOR_MIN: Duration = Duration::from_secs(10);

/// Who is told what a server says of its tools.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) pins: Pins,
    pub(super) server_id: Arc<str>,
}

/// See the module.
pub(super) struct KnownTools {
    /// None of a trial: what is not stored is held to nothing.
    watch: Option<Watch>,
    /// No agent uses the connection.
    is_own: AtomicBool,
    state: Mutex<State>,
    /// One listing of the gateway's own at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    definitions: HashMap<String, Definition>,
    /// How often the server had said that its tools changed when it listed all of them, and until when that is good.
    whole: Option<(u64, Instant)>,
    /// The same of a listing that failed.
    failed: Option<(u64, Instant)>,
    traits: Option<(u64, Arc<ToolTraits>)>,
}

/// What is known of a tool.
enum Known {
    /// Its server has to be asked.
    NotNow,
    /// This, if it is listed at all.
    As(Option<Definition>),
}

impl KnownTools {
    pub(super) fn new(watch: Option<Watch>) -> Self {
        let (is_own, state, turn) = (AtomicBool::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self { watch, is_own, state, turn }
    }

    /// The connection is for a look of the gateway's own: what it is told says nothing of what agents are told.
    pub(super) fn is_for_a_look(&self) {
        self.is_own.store(true, Ordering::Relaxed);
    }

    /// What is known of the tool.
    fn find(&self, tool: &str, generation: u64) -> Known {
        let state = self.state();
        let holds = |since: &Option<(u64, Instant)>| {
            since.is_some_and(|(seen, until)| seen == generation && Instant::now() < until)
        };
        if holds(&state.failed) {
            Known::As(None)
        } else if holds(&state.whole) {
            Known::As(state.definitions.get(tool).cloned())
        } else {
            Known::NotNow
        }
    }

    fn has_failed(&self, generation: u64) {
        self.state().failed = Some((generation, Instant::now() + FAILED_FOR));
    }

    fn has_listed(&self, listed: &[Listed], traits: ToolTraits, generation: u64, ttl: Option<Duration>) {
        let good_for = ttl.map_or(GOOD_FOR_MAX, |ttl| ttl.clamp(GOOD_FOR_MIN, GOOD_FOR_MAX));
        let mut state = self.state();
        state.definitions = by_tool(listed).collect();
        state.whole = Some((generation, Instant::now() + good_for));
        state.failed = None;
        state.traits = Some((generation, Arc::new(traits)));
    }

    fn has_shown(&self, listed: &[Listed]) {
        self.state().definitions.extend(by_tool(listed));
    }

    /// Has the list compared. While that can't be done, nothing counts as known.
    async fn compare(&self, listed: &[Listed]) {
        let Some(watch) = &self.watch else { return };
        if let Err(error) = watch.pins.note(&watch.server_id, listed, !self.is_own.load(Ordering::Relaxed)).await {
            tracing::error!(error = %crate::chain(&error), "what a server says of its tools could not be noted");
            self.state().whole = None;
        }
    }

    fn knows_all(&self, listed: &[Listed]) -> bool {
        let is_pinned = |watch: &Watch, tool: &str| watch.pins.is_pinned(&watch.server_id, tool);
        self.watch.as_ref().is_none_or(|watch| listed.iter().all(|listed| is_pinned(watch, &listed.tool)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_tool(listed: &[Listed]) -> impl Iterator<Item = (String, Definition)> {
    listed.iter().map(|listed| (listed.tool.clone(), listed.definition.clone()))
}

impl Connection {
    /// What the server last said over this connection that `tool` is; `None` when it does not list it, or does not list at
    /// all. It is asked where it has not said it yet, or may have come to say something else.
    ///
    /// # Errors
    /// It could not be asked, and a call would fare no better.
    pub async fn last_definition(&self, tool: &str) -> Result<Option<Definition>, UpstreamError> {
        if let Known::As(known) = self.known.find(tool, self.tools_generation()) {
            return Ok(known);
        }
        // On the heap: this is rare, and every call would carry its size.
        let listed = Box::pin(async {
            let _turn = self.known.turn.lock().await;
            // Somebody else may have asked meanwhile.
            match self.known.find(tool, self.tools_generation()) {
                Known::As(known) => Ok(known),
                Known::NotNow => self.listed_anew(tool).await,
            }
        });
        self.within_bounds(listed).await
    }

    /// What the server says now that `tool` is. Asked anew each time: a server may change a tool without telling.
    ///
    /// # Errors
    /// It could not be asked, and a call would fare no better.
    pub async fn definition(&self, tool: &str) -> Result<Option<Definition>, UpstreamError> {
        self.within_bounds(Box::pin(self.listed_anew(tool))).await
    }

    async fn within_bounds(
        &self,
        listed: impl Future<Output = Result<Option<Definition>, UpstreamError>>,
    ) -> Result<Option<Definition>, UpstreamError> {
        tokio::time::timeout(LISTS_WITHIN, listed).await.unwrap_or_else(|_| {
            self.known.has_failed(self.tools_generation());
            Ok(None)
        })
    }

    async fn listed_anew(&self, tool: &str) -> Result<Option<Definition>, UpstreamError> {
        let generation = self.tools_generation();
        match self.list_tools().await {
            Ok(_) => Ok(self.known.state().definitions.get(tool).cloned()),
            // It answers, and can't say what its tools are.
            Err(UpstreamError::Unusable { .. } | UpstreamError::TooLarge { .. } | UpstreamError::TimedOut { .. }) => {
                self.known.has_failed(generation);
                Ok(None)
            }
            // What was sent was not the call.
            Err(error) => Err(error.of_opening()),
        }
    }

    /// All tools, as the server lists them now.
    pub(super) async fn list_tools(&self) -> Result<Items, UpstreamError> {
        let generation = self.tools_generation();
        let (items, ttl) = catalog::list_all(self, "tools/list", "tools").await?;
        let listed = definition::listed(items.iter().map(|item| item.get()));
        self.known.has_listed(&listed, catalog::tool_traits(&items), generation, ttl);
        self.known.compare(&listed).await;
        Ok(items)
    }

    /// What is needed to call the tools; listed when they were not yet, or when the list has changed.
    pub(super) async fn tool_traits(&self) -> Result<Arc<ToolTraits>, UpstreamError> {
        if let Some(traits) = self.present_traits() {
            return Ok(traits);
        }
        let _turn = self.known.turn.lock().await;
        if let Some(traits) = self.present_traits() {
            return Ok(traits);
        }
        let items = self.list_tools().await?;
        Ok(self.present_traits().unwrap_or_else(|| Arc::new(catalog::tool_traits(&items))))
    }

    fn present_traits(&self) -> Option<Arc<ToolTraits>> {
        let generation = self.tools_generation();
        self.known.state().traits.as_ref().filter(|(seen, _)| *seen == generation).map(|(_, traits)| traits.clone())
    }

    /// Reads a list that passes on its way to the agent who asked for it. `generation` is of the moment of the question.
    pub(super) async fn tools_pass(&self, params: Option<&str>, result: &str, generation: u64) {
        let Some(items) = splice::find(result, &["tools"]).and_then(|list| serde_json::from_str::<Items>(list).ok())
        else {
            return;
        };
        let listed = definition::listed(items.iter().map(|item| item.get()));
        let begins = params.is_none_or(|params| splice::find(params, &["cursor"]).is_none());
        if begins && splice::find(result, &["nextCursor"]).is_none() {
            self.known.has_listed(&listed, catalog::tool_traits(&items), generation, catalog::ttl(result));
        } else if !self.known.knows_all(&listed) {
            // A part shows tools that nobody knows: all of them are read together, so that they are pinned together. What
            // the agent is shown is compared all the same.
            let all = async {
                let _turn = self.known.turn.lock().await;
                self.list_tools().await.is_ok()
            };
            let _is_listed = tokio::time::timeout(LISTS_WITHIN, all).await.unwrap_or(false);
            self.known.has_shown(&listed);
        } else {
            self.known.has_shown(&listed);
        }
        self.known.compare(&listed).await;
    }

    pub(super) fn tools_generation(&self) -> u64 {
        self.tools_changed().load(Ordering::Acquire)
    }
}
