//! What every request passes before its handler, from the outside in.
//!
//! 1. [`request_id`]: a name for the request, its span, its line in the access log; and every answer, whoever made it,
//!    leaves with that name and with the headers that keep browsers strict.
//! 2. [`arrival`]: how long a body may take, whoever reads it.
//! 3. [`door`]: where the request may come from. Nothing behind the door is reached from a foreign page or under a
//!    foreign name, whatever credential it carries.

pub mod arrival;
pub mod door;
pub mod headers;
pub mod request_id;
