//! Measures what a call through the gateway costs.
//!
//! `atryum-bench run` starts the gateway's release binary with an empty directory as its state, lets agents call a tool
//! through it, and calls the same server without it in turn. `atryum-bench upstream` is that server, and
//! `atryum-bench upstream-http` is it, too.

mod direct;
mod gateway;
mod http;
mod journal;
mod load;
mod message;
mod options;
mod remote;
mod report;
mod run;
mod through;
mod upstream;

use std::process::ExitCode;

/// Whatever went wrong, in words: a benchmark that meets an error has no figures to give.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("upstream") => upstream::serve(arguments.next().as_deref() != Some("--legacy")).map_err(Into::into),
        Some("upstream-http") => block_on(remote::serve(arguments.next().as_deref() == Some("sse"))),
        Some("run") => options::parse(arguments).and_then(|options| block_on(run::run(&options))),
        _ => {
            eprintln!("{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
