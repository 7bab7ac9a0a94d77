//! The tables, as sea-orm entities: data only, no logic.
//!
//! Times are milliseconds since the Unix epoch, UTC. Ids are UUIDv7 in their text form, so that they sort by age.
//! JSON columns hold text, so that SQLite and PostgreSQL keep the same bytes.

pub mod agent;
pub mod agent_key;
pub mod approval;
pub mod audit_checkpoint;
pub mod audit_event;
pub mod channel;
pub mod credential;
pub mod delivery;
pub mod invocation;
pub mod login;
pub mod login_link;
pub mod news;
pub mod oauth_flow;
pub mod pledge;
pub mod rule;
pub mod seat;
pub mod secret;
pub mod server;
pub mod setting;
pub mod tool_pin;
