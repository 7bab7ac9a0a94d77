//! The binary: hands the hidden commands to their doors before anything else starts, and everything else to the
//! command line.

use std::process::ExitCode;

use atryum::{cli, demo, guard};

fn main() -> ExitCode {
    let hidden = std::env::args_os().nth(1);
    let arguments = std::env::args_os().skip(2);
    match hidden.as_deref().and_then(|first| first.to_str()) {
        Some(guard::GUARD_ARGUMENT) => guard::run(arguments),
        Some(guard::PROGRAM_ARGUMENT) => guard::become_program(arguments),
        Some(demo::DEMO_ARGUMENT) => demo::run(arguments),
        _ => cli::run(std::env::args_os()),
    }
}
