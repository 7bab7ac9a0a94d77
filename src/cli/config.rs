//! `atryum config …`: what the gateway would run with, and where each value comes from.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    error::CliError,
    output::{Format, pretty, print, show, table},
    serve::Serve,
};
use crate::config::{self, Config};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigNoun {
    /// Say whether the configuration holds
    Check(Seen),
    /// Show every key with its value and its source; secrets are masked
    Show(Seen),
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Print a configuration file with every key and its default
    Example,
}

#[derive(Args, Debug)]
pub(super) struct Seen {
    #[command(flatten)]
    flags: Serve,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
}

impl ConfigNoun {
    pub(super) fn run(self) -> Result<(), CliError> {
        match self {
            Self::Check(seen) => {
                let config = seen.load()?;
                print(&format!("the configuration holds; the gateway would listen on {}", config.listen));
            }
            Self::Show(seen) => {
                let settings = described(&seen.load()?);
                let columns = [("KEY", "/key"), ("VALUE", "/value"), ("SOURCE", "/source")];
                show(seen.output, &settings, |settings| table(settings, &columns));
            }
            Self::Schema => print(&pretty(&config::schema())),
            Self::Example => print(&config::example()),
        }
        Ok(())
    }
}

impl Seen {
    fn load(&self) -> Result<Config, CliError> {
        Config::load(&self.flags.flags()).map_err(|error| CliError::Failed(error.to_string()))
    }
}

fn described(config: &Config) -> Value {
    let settings = config.settings().iter();
    settings
        .map(|setting| json!({ "key": setting.key, "value": setting.shown, "source": setting.source.to_string() }))
        .collect()
}
