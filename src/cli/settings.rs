//! `atryum settings …`: what holds for the whole gateway.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    client::{Client, Remote},
    error::CliError,
    output::{sheet, show},
};

const PATH: &str = "/api/v1/settings";

#[derive(Args, Debug)]
pub(super) struct Settings {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the settings
    Show,
    /// Change a setting
    Set {
        /// What becomes of calls of a tool whose definition changed, until somebody reviews it
        #[arg(long, value_name = "WORD", required_unless_present = "definition_added")]
        definition_changed: Option<OnChanged>,
        /// What becomes of calls of a tool that a known server added, until somebody reviews it
        #[arg(long, value_name = "WORD")]
        definition_added: Option<OnAdded>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnChanged {
    Ask,
    Deny,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnAdded {
    Allow,
    Ask,
    Deny,
}

impl Settings {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        let settings = match self.act {
            Act::Show => client.get(PATH).await?,
            Act::Set { definition_changed, definition_added } => {
                let mut patch = Map::new();
                let words = [
                    ("definition_changed", definition_changed.and_then(|word| word.to_possible_value())),
                    ("definition_added", definition_added.and_then(|word| word.to_possible_value())),
                ];
                for (name, word) in words {
                    patch.extend(word.map(|word| (name.to_owned(), json!(word.get_name()))));
                }
                client.patch(PATH, &Value::Object(patch)).await?
            }
        };
        show(self.remote.output, &settings, describe);
        Ok(())
    }
}

fn describe(settings: &Value) -> String {
    let lines = [
        ("version", "/version"),
        ("public url", "/public_url"),
        ("default action", "/default_action"),
        ("rule set revision", "/rule_set_revision"),
        ("definition changed", "/definition_changed"),
        ("definition added", "/definition_added"),
    ];
    sheet(settings, &lines)
}
