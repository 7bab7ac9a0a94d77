//! The tests from outside: one binary, one folder for each room.

mod store;
mod support;
