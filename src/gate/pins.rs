//! What servers' tools are held to be, as it is published, and what follows from a tool that is another by now.
//!
//! A definition is pinned as it is when the gateway sees it first. What differs from it later *holds* the tool: what the
//! rules allow is asked of a person, or denied, as is set; what they deny stays denied. Listings are compared when they
//! pass, so that a call needs only to look at what is published and at what its own connection was told last.
//!
//! Reading the store anew takes no input, like the rules. If it can't be read, what was published before stays: a tool is
//! held to an older pin then, and never to none.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::call::Call;
use super::error::GateError;
use super::rule::Action;
use crate::mcp::definition::Listed;
use crate::store::tool_pin::{self, Brief, PINS_MAX, RETURNS_MAX, Snapshot};
use crate::store::{Store, StoreError};

/// Longest name of a tool that is let through.
pub const NAME_BYTES_MAX: usize = 128;

/// What is known of a tool's definition where a call of it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'d> {
    /// Nobody has looked yet.
    NotYet,
    /// What the connection of the call was told last: the digest, if it was told anything.
    Last(Option<&'d str>),
}

/// Why a tool is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Its definition is not the pinned one.
    Changed,
    /// Its server does not list it now, or can't list.
    Unseen,
    /// Its server was known when it came.
    Added,
    /// Another tool of its server may be taken for it.
    LookAlike(Arc<str>),
    /// Its server has more tools than are pinned.
    TooMany,
    /// Its name is one that nobody may call.
    Unfit,
}

/// What was set for tools that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnHold {
    /// For those whose definition changed, can't be seen or can't be told from another's.
    pub changed: Action,
    /// For those that a known server added.
    pub added: Action,
}

impl OnHold {
    fn of(snapshot: &Snapshot) -> Self {
        // An unknown word in a setting is no reason to let calls through.
        let read = |word: &Option<String>, default| match word {
            Some(word) => Action::parse(word).unwrap_or(Action::Deny),
            None => default,
        };
        let changed = match read(&snapshot.on_changed, Action::Ask) {
            Action::Allow => Action::Ask,
            action => action,
        };
        Self { changed, added: read(&snapshot.on_added, Action::Allow) }
    }

    /// What becomes of a call that is allowed but for the hold.
    #[must_use]
    pub fn action(&self, hold: &Hold) -> Action {
        match hold {
            Hold::Unfit => Action::Deny,
            Hold::Added => self.added,
            Hold::Changed | Hold::Unseen | Hold::LookAlike(_) | Hold::TooMany => self.changed,
        }
    }
}

impl Hold {
    /// Why, in words for whoever is refused or asked.
    #[must_use]
    pub fn reason(&self) -> String {
        let look = "an operator has to look at it (`atryum server tools`) and review it";
        match self {
            Self::Changed => format!("the server says by now that this tool is another one than it was; {look}"),
            Self::Unseen => format!("the server does not say what this tool is now, so it can't be compared; {look}"),
            Self::Added => format!("the server has added this tool since it was registered; {look}"),
            Self::LookAlike(other) => {
                format!("the server has a tool {other:?}, which may be taken for this one; {look}")
            }
            Self::TooMany => {
                format!("the server has more than {PINS_MAX} tools, and this one is not among those that are known")
            }
            Self::Unfit => format!(
                "a tool's name has 1 to {NAME_BYTES_MAX} letters, digits, `_`, `-`, `.` and `/`; one with another name is \
                 never called"
            ),
        }
    }
}

#[derive(Debug)]
struct Pin {
    digest: Arc<str>,
    /// The definition that waits for a review.
    changed: Option<Arc<str>>,
    /// It was taken back so often that only a person lets it go.
    is_restless: bool,
    /// It came later, and nobody has looked at it.
    is_added: bool,
    look_alike: Option<Arc<str>>,
}

struct Published {
    on_hold: OnHold,
    /// By server's id and tool's name.
    servers: HashMap<String, HashMap<String, Pin>>,
}

/// The pins of all tools. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Pins(Arc<Inner>);

struct Inner {
    store: Store,
    published: ArcSwap<Published>,
    /// One reading at a time, so that an older one never takes the place of a newer one.
    turn: Mutex<()>,
}

impl Pins {
    /// Reads all pins.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn load(store: Store) -> Result<Self, GateError> {
        let published = ArcSwap::from_pointee(publish(&tool_pin::load(&store).await?));
        Ok(Self(Arc::new(Inner { store, published, turn: Mutex::default() })))
    }

    /// Reads all pins anew; returns when every later call is decided by what was read.
    ///
    /// # Errors
    /// The store can't be read; what was published stays.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        let snapshot = tool_pin::load(&self.0.store).await?;
        self.0.published.store(Arc::new(publish(&snapshot)));
        Ok(())
    }

    /// What is set for tools that are held.
    #[must_use]
    pub fn on_hold(&self) -> OnHold {
        self.0.published.load().on_hold
    }

    /// Why the tool is held; `None` when it isn't.
    #[must_use]
    pub fn hold(&self, server_id: &str, tool: &str, seen: Seen<'_>) -> Option<Hold> {
        self.0.published.load().hold(server_id, tool, seen)
    }

    /// Why the tool that the call is about is held, and what then becomes of the call if the rules allow it.
    pub(super) fn held(&self, call: &Call, server_id: &str, seen: Seen<'_>) -> Option<(Hold, Action)> {
        let tool = call.tool.as_deref().filter(|_| call.method == "tools/call")?;
        let published = self.0.published.load();
        let hold = published.hold(server_id, tool, seen)?;
        let action = published.on_hold.action(&hold);
        Some((hold, action))
    }

    /// Whether a tool of that name has a pin.
    #[must_use]
    pub fn is_pinned(&self, server_id: &str, tool: &str) -> bool {
        self.0.published.load().find(server_id, tool).is_some()
    }

    /// Compares a listing with what is known, and writes what is news. Costs nothing but the look where nothing is. Only
    /// what agents are told may take a change back (`may_restore`): a look of the gateway's own says nothing of what they
    /// have.
    ///
    /// # Errors
    /// It is news, and can't be written or read again.
    pub async fn note(&self, server_id: &str, seen: &[Listed], may_restore: bool) -> Result<(), StoreError> {
        if !self.0.published.load().is_news(server_id, seen, may_restore) {
            return Ok(());
        }
        tool_pin::note(&self.0.store, server_id, seen, may_restore).await?;
        // Where it was no news to the store, another gateway has noted it, and what is published here is older.
        self.reload().await
    }
}

impl Published {
    fn find(&self, server_id: &str, tool: &str) -> Option<&Pin> {
        self.servers.get(server_id)?.get(tool)
    }

    fn hold(&self, server_id: &str, tool: &str, seen: Seen<'_>) -> Option<Hold> {
        if !is_fit(tool) {
            return Some(Hold::Unfit);
        }
        let pins = self.servers.get(server_id)?;
        let Some(pin) = pins.get(tool) else {
            return (pins.len() >= PINS_MAX).then_some(Hold::TooMany);
        };
        let is_other = |seen: &str| *pin.digest != *seen;
        match seen {
            Seen::Last(None) => Some(Hold::Unseen),
            Seen::Last(Some(seen)) if is_other(seen) => Some(Hold::Changed),
            Seen::NotYet | Seen::Last(Some(_)) if pin.changed.is_some() => Some(Hold::Changed),
            Seen::NotYet | Seen::Last(Some(_)) => {
                let look_alike = pin.look_alike.clone().map(Hold::LookAlike);
                look_alike.or_else(|| pin.is_added.then_some(Hold::Added))
            }
        }
    }

    fn is_news(&self, server_id: &str, seen: &[Listed], may_restore: bool) -> bool {
        let pins = self.servers.get(server_id);
        let is_full = pins.is_some_and(|pins| pins.len() >= PINS_MAX);
        seen.iter().any(|listed| match pins.and_then(|pins| pins.get(&listed.tool)) {
            Some(pin) if pin.digest == listed.definition.digest => {
                may_restore && pin.changed.is_some() && !pin.is_restless
            }
            Some(pin) => pin.changed.as_ref() != Some(&listed.definition.digest),
            None => !is_full,
        })
    }
}

fn publish(snapshot: &Snapshot) -> Published {
    let mut by_server: HashMap<String, Vec<&Brief>> = HashMap::new();
    for pin in &snapshot.pins {
        by_server.entry(pin.server_id.clone()).or_default().push(pin);
    }
    let of_server = |pins: Vec<&Brief>| {
        let look_alikes = look_alikes(&pins);
        let pin = |brief: &Brief| Pin {
            digest: brief.digest.as_str().into(),
            changed: brief.changed_digest.as_deref().map(Into::into),
            is_restless: brief.returns >= RETURNS_MAX,
            is_added: brief.is_added && brief.reviewed_at.is_none(),
            look_alike: look_alikes.get(brief.tool.as_str()).map(|other| (*other).into()),
        };
        pins.iter().map(|brief| (brief.tool.clone(), pin(brief))).collect()
    };
    let servers = by_server.into_iter().map(|(server_id, pins)| (server_id, of_server(pins))).collect();
    Published { on_hold: OnHold::of(snapshot), servers }
}

/// For each tool that may be taken for another one, which that is; not once somebody has looked after both were there.
fn look_alikes<'b>(pins: &[&'b Brief]) -> HashMap<&'b str, &'b str> {
    let mut found = HashMap::new();
    for look in [folded, outline] {
        let mut alike: HashMap<String, Vec<&Brief>> = HashMap::new();
        for pin in pins.iter().filter(|pin| is_fit(&pin.tool)) {
            alike.entry(look(&pin.tool)).or_default().push(pin);
        }
        for group in alike.into_values().filter(|group| group.len() > 1) {
            let complete_at = group.iter().map(|pin| pin.first_seen_at).max().unwrap_or_default();
            for pin in group.iter().filter(|pin| pin.reviewed_at.is_none_or(|at| at < complete_at)) {
                if let Some(other) = group.iter().find(|other| other.tool != pin.tool) {
                    found.insert(pin.tool.as_str(), other.tool.as_str());
                }
            }
        }
    }
    found
}

/// Whether a tool of that name may be listed and called.
#[must_use]
pub fn is_fit(tool: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&tool.len())
        && tool.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

/// A name for those who take no notice of upper and lower case.
fn folded(tool: &str) -> String {
    tool.to_ascii_lowercase()
}

/// How a name looks at a glance: two that look the same may be taken for each other. Names have the letters of one alphabet
/// only, and of the pairs that Unicode holds to be confusable (UTS 39) these are all that are left.
fn outline(tool: &str) -> String {
    let mut outline = String::with_capacity(tool.len());
    for char in tool.chars() {
        match char {
            '0' => outline.push('O'),
            '1' | 'I' => outline.push('l'),
            'm' => outline.push_str("rn"),
            other => outline.push(other),
        }
    }
    outline
}

#[cfg(test)]
mod tests;
