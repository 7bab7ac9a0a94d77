//! Servers that are reached over HTTP.

mod faults;
mod fixture;
mod health;
mod isolation;
mod login;
mod session;
mod stream;
