//! What every request meets, whatever its path.

mod body;
mod credential;
mod header;
mod host;
mod origin;
mod path;
