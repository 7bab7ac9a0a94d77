//! Rules and approvals, from the agent's side and the operator's.

mod approvals;
mod closed;
mod conditions;
mod lasting;
mod meanwhile;
mod mutations;
mod pins;
mod rules;
mod smuggling;
