//! The doors: what operators, agents and browsers reach over HTTP.
//!
//! Requests come in, answers go out. A request passes [`middleware`] (a name, then the door), finds its handler in
//! [`routes`], is asked who it is ([`extract`]), and has its [`query`] and [`body`] read strictly. A handler asks the rooms
//! behind it through the [`gateway::Gateway`]; whatever they refuse becomes a [`problem`].
//!
//! Never done here: deciding, recording, and knowing a rule of any room.

pub mod admin;
pub mod answer;
pub mod body;
pub mod extract;
pub mod gateway;
pub mod if_match;
pub mod mcp;
pub mod middleware;
pub mod oauth;
pub mod openapi;
pub mod ops;
pub mod problem;
pub mod query;
pub mod routes;
pub mod server;
pub mod time;
pub mod ui;
