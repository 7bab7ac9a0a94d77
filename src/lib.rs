pub mod clock;
pub mod journal;
pub mod store;
