//! Two gateways on one database: what is done at one holds at the other, and what waits at one is answered at the other.

mod approvals;
mod edits;
