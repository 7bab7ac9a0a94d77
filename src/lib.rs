//! Atryum, a permissions gateway for the Model Context Protocol.

pub mod child;
pub mod guard;
