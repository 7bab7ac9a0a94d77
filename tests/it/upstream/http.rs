//! Servers that are reached over HTTP.

mod faults;
mod fixture;
mod health;
mod isolation;
mod session;
mod stream;
