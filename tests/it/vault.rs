//! The vault: when it opens, what it gives out, and how its master key is changed.

mod attack;
mod changing;
mod kept;
mod keyring;
mod killed;
mod serving;
mod starting;
mod unlocking;
