//! The command line: what is typed, read and handed on.
//!
//! In come arguments, out go an exit code and text for a person or a program. Every noun speaks to a running gateway
//! through its REST API and knows nothing of its rooms; only `serve`, `config`, `vault`, `doctor` and `audit verify` look
//! at this machine.
//!
//! Exit codes: 0 done, 1 failed, 2 not understood, 3 a person is needed.

mod agent;
mod approval;
mod audit;
mod call;
mod channel;
mod client;
mod config;
mod doctor;
mod error;
mod login;
mod memory;
mod output;
mod rule;
mod serve;
mod server;
mod settings;
mod vault;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use error::CliError;
use output::{print, remark};

/// A permissions gateway for the Model Context Protocol
#[derive(Debug, Parser)]
#[command(name = "atryum", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    act: Act,
}

const AFTER_HELP: &str = "\
Commands other than serve, config, vault and audit verify speak to a running gateway: ATRYUM_URL names it, ATRYUM_TOKEN
lets you in.
Exit codes: 0 done, 1 failed, 2 not understood, 3 a person is needed.";

#[derive(Debug, Subcommand)]
enum Act {
    /// Run the gateway
    Serve(serve::Serve),
    /// The servers behind the gateway
    #[command(subcommand)]
    Server(server::Server),
    /// What the gateway decides by
    Rule(rule::Rule),
    /// The calls that wait for a person
    Approval(approval::Approval),
    /// How people are told that a call waits for them
    Channel(channel::Channel),
    /// What was done, and whether the record of it still holds
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Who may call, and with which keys
    Agent(agent::Agent),
    /// Call a tool, as an agent does
    Call(call::Call),
    /// What holds for the whole gateway
    Settings(settings::Settings),
    /// Exchange a one-time link for an operator's token
    Login(login::Login),
    /// What the gateway would run with
    #[command(subcommand)]
    Config(config::ConfigNoun),
    /// The master key that seals every secret
    #[command(subcommand)]
    Vault(vault::VaultNoun),
    /// Look at everything the gateway needs, and say what to do
    Doctor(doctor::Doctor),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Runs what the arguments ask for.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            // Help that was asked for goes to standard output, a complaint to standard error.
            let _ = message.print();
            return ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2));
        }
    };
    match cli.act {
        Act::Serve(serve) => serve.run(),
        Act::Config(noun) => conclude(noun.run().map(|()| ExitCode::SUCCESS)),
        Act::Completions { shell } => complete(shell),
        act => conclude(actix_rt::System::new().block_on(speak(act))),
    }
}

/// Runs a command that speaks to a gateway.
async fn speak(act: Act) -> Result<ExitCode, CliError> {
    match act {
        Act::Server(server) => server.run().await?,
        Act::Rule(rule) => rule.run().await?,
        Act::Approval(approval) => approval.run().await?,
        Act::Channel(channel) => channel.run().await?,
        Act::Agent(agent) => agent.run().await?,
        Act::Settings(settings) => settings.run().await?,
        Act::Login(login) => login.run().await?,
        Act::Audit(audit) => return audit.run().await,
        Act::Call(call) => return call.run().await,
        Act::Vault(noun) => noun.run().await?,
        Act::Doctor(doctor) => return doctor.run().await,
        Act::Serve(_) | Act::Config(_) | Act::Completions { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn conclude(outcome: Result<ExitCode, CliError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        complain(&error.to_string());
        error.exit_code()
    })
}

fn complete(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "atryum", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// Tells the operator what went wrong.
fn complain(what: &str) {
    remark(&format!("atryum: {what}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_gateway_can_be_named_after_the_noun_and_after_the_verb() {
        for line in [
            "atryum rule --url http://x list",
            "atryum rule list --url http://x -o json",
            "atryum server list --url http://x -o json",
            "atryum server add x --gateway-url http://y --url http://z",
            "atryum approval deny --url http://x ID --reason no",
            "atryum agent rotate x -o json",
            "atryum channel add x --kind command --delay 5 -- tell --loud",
            "atryum channel --url http://x deliveries ops -o json",
            "atryum call calc add --arguments {} --url http://x",
            "atryum server add x --env A=b -- npx -y thing --url not-ours",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_exit_code_two() {
        for line in ["atryum nonsense", "atryum rule add perhaps", "atryum server add x", "atryum approval approve"] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
