//! The doors.

pub mod body;
pub mod middleware;
pub mod problem;
pub mod query;
pub mod time;
