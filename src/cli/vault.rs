//! `atryum vault …`: the master key, changed while no gateway runs.
//!
//! In come the gateway's configuration and its database; out go other envelopes in the same database, and another key.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    doctor::local::database_file,
    error::CliError,
    memory,
    output::{Format, escape, remark, show},
    serve::Serve,
};
use crate::{
    config::Config,
    store::{self, Store, StoreError},
    vault::{self, KeySource, Rotated, VaultError},
};

#[derive(Debug, Subcommand)]
pub(super) enum VaultNoun {
    /// Seal every secret with a new master key; the gateway has to be stopped
    Rotate(Rotate),
}

#[derive(Args, Debug)]
pub(super) struct Rotate {
    #[command(flatten)]
    flags: Serve,
    /// Where the new key is, or where to put it, when the present one comes from a variable
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
}

impl VaultNoun {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Rotate(rotate) => rotate.run().await,
        }
    }
}

impl Rotate {
    async fn run(self) -> Result<(), CliError> {
        if let Err(error) = memory::hide() {
            remark(&format!("other processes of this user may be able to read the keys in memory: {error}"));
        }
        let config = Config::load(&self.flags.flags()).map_err(|error| CliError::Failed(error.to_string()))?;
        let source = config.key_source();
        self.check(&source, &config)?;
        let store = open(&config).await?;
        let rotate = vault::rotate(&source, self.new_key_file, &store);
        let rotated = store::audit::acting_as("cli".to_owned(), rotate).await;
        let closed = store.close().await;
        let rotated = rotated.map_err(|error| failed(&error))?;
        show(self.output, &as_json(&rotated), |_| as_text(&rotated, &source));
        closed.map_err(|error| CliError::Failed(crate::chain(&error)))
    }

    /// What the arguments have against each other and the configuration.
    fn check(&self, source: &KeySource, config: &Config) -> Result<(), CliError> {
        let Some(file) = &self.new_key_file else { return Ok(()) };
        if let KeySource::File(_) | KeySource::Keyring(_) = source {
            let what = format!("the new key takes the place of the one in {source}; leave --new-key-file out");
            return Err(CliError::Usage(what));
        }
        if file.starts_with(&config.data_dir) {
            let what =
                "the new key file lies in the data directory; whoever copies that would have both: put it elsewhere";
            return Err(CliError::Usage(what.to_owned()));
        }
        Ok(())
    }
}

fn failed(error: &VaultError) -> CliError {
    let what = crate::chain(error);
    CliError::Failed(match error {
        VaultError::DoesNotOpen { .. } => {
            format!(
                "{what}: nothing was changed; set that secret anew or remove it, or restore a backup, and try again"
            )
        }
        _ => what,
    })
}

/// Opens the database of a gateway that does not run.
async fn open(config: &Config) -> Result<Store, CliError> {
    let url = config.database_url();
    if let Some(file) = database_file(&url).filter(|file| !file.exists()) {
        let what = format!("there is no database at {}: atryum serve makes it, and its master key", file.display());
        return Err(CliError::Failed(what));
    }
    Store::open_alone(&url, config.journal.durability).await.map_err(|error| {
        let what = crate::chain(&error);
        CliError::Failed(match error {
            StoreError::Locked { .. } => {
                format!("{what}: stop every gateway, change the master key, and start them again; nothing was changed")
            }
            _ => what,
        })
    })
}

fn as_json(rotated: &Rotated) -> Value {
    json!({ "secrets": rotated.secrets, "key": rotated.key, "key_before": rotated.key_before })
}

fn as_text(rotated: &Rotated, source: &KeySource) -> String {
    let key = escape(&rotated.key);
    let done = match rotated.secrets {
        Some(count) => format!("sealed anew with a new master key: the seed and {count} other secrets"),
        None => "an earlier change of the master key had sealed everything anew; it is finished".to_owned(),
    };
    let place = match source {
        KeySource::Value { name, .. } => {
            format!("the new key is in {key}: set ATRYUM_MASTER_KEY_FILE to that, in place of {}", escape(name))
        }
        KeySource::File(_) | KeySource::Keyring(_) => format!("the new key is in {key}"),
    };
    let before = match &rotated.key_before {
        Some(before) => format!("the key from before is in {}", escape(before)),
        None => "keep the key from before".to_owned(),
    };
    format!("{done}\n{place}\n{before}; backups from before need it: remove it when there are none")
}
