//! The command line: what is typed, read and handed on.
//!
//! In come arguments, out go an exit code and text for a person or a program. Every noun speaks to a running gateway
//! through its REST API and knows nothing of its rooms; only `serve`, `config` and `doctor` look at this machine.
//!
//! Exit codes: 0 done, 1 failed, 2 not understood, 3 a person is needed.

mod serve;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// A permissions gateway for the Model Context Protocol.
#[derive(Debug, Parser)]
#[command(name = "atryum", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Run the gateway
    Serve(serve::Serve),
}

/// Runs what the arguments ask for.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match cli.act {
            Act::Serve(serve) => serve.run(),
        },
        Err(message) => {
            // Help that was asked for goes to standard output, a complaint to standard error.
            let _ = message.print();
            ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2))
        }
    }
}

/// Tells the operator what went wrong; a reader that is gone is no reason to fail.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "atryum: {what}");
}
