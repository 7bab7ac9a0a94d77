//! The binary: hands the hidden commands to their doors before anything else starts, and everything else to the
//! command line.

use std::process::ExitCode;

use atryum::guard;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|first| first.to_str()) {
        Some(guard::GUARD_ARGUMENT) => guard::run(arguments),
        Some(guard::PROGRAM_ARGUMENT) => guard::become_program(arguments),
        _ => ExitCode::SUCCESS,
    }
}
