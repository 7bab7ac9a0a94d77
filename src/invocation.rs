//! The durable life of one call: decide, record, wait for a person if one is asked (for as long as the
//! agent has patience), dispatch, record, answer.
//!
//! [`Invocations::run`] is the heart of the house and reads top to bottom. Its promises: a call that goes out was decided
//! and its row was committed first; a call that was handed over is never sent again; and whatever happens, the row ends
//! in exactly one terminal state, even if the run is cut short. Where the outcome can't be known, the row says `unknown`.
//!
//! Never done here: choosing the words or codes that an agent sees, and anything about HTTP or SSE.

mod answer;
mod measure;
mod pipeline;
mod pledge;
mod question;
mod record;
mod run;

pub use answer::{Answer, Pending, Refusal};
pub use pipeline::{Invocations, Patience, Ready, Watch, Way};
pub use pledge::{Carried, Pledges};
pub use record::Request;
