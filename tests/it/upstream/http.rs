//! Servers that are reached over HTTP.

mod faults;
mod fixture;
mod isolation;
mod session;
mod stream;
