//! Stdio servers as real processes below a real guard.

mod descendants;
mod environment;
mod stop;
mod support;
