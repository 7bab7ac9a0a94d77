//! `atryum serve`: configuration, log, data directory, gateway.
//!
//! In come flags, out goes a gateway that runs until it is told to stop. What the gateway is made of is not known here.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{complain, memory};
use crate::{
    app::App,
    config::{Config, Flags},
    telemetry,
};

/// The flags of `serve`, and of whatever else reads the gateway's configuration.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Serve {
    /// The configuration file [default: atryum.toml here, in ~/.config/atryum, in /etc/atryum]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Where the gateway keeps its state [default: ~/.local/share/atryum]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// sqlite:PATH or postgres://… [default: atryum.db in the data directory]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The base URL that browsers and agents use [default: the address listened on]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Start with a demo server, some rules and an agent
    #[arg(long)]
    demo: bool,
}

impl Serve {
    /// The flags that were given, by the keys they set.
    pub(super) fn flags(&self) -> Flags {
        let texts = [
            ("listen", &self.listen),
            ("data_dir", &self.data_dir),
            ("database_url", &self.database_url),
            ("public_url", &self.public_url),
        ];
        let given = texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?)));
        let demo = self.demo.then(|| ("demo", "true".to_owned()));
        Flags { file: self.config.clone(), values: given.chain(demo).collect() }
    }

    pub(super) fn run(&self) -> ExitCode {
        let config = match Config::load(&self.flags()) {
            Ok(config) => config,
            Err(error) => return give_up(&error.to_string()),
        };
        if let Err(error) = telemetry::start(&config.log) {
            return give_up(&crate::chain(&error));
        }
        if let Err(error) = memory::hide() {
            tracing::warn!(%error, "other processes of this user may be able to read the gateway's memory");
        }
        if let Err(error) = make_private_directory(&config.data_dir) {
            return give_up(&format!("cannot create the data directory {}: {error}", config.data_dir.display()));
        }
        actix_rt::System::new().block_on(serve(config))
    }
}

async fn serve(config: Config) -> ExitCode {
    let outcome = async { App::build(config).await?.run_until_stopped().await };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => give_up(&crate::chain(&error)),
    }
}

fn give_up(why: &str) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

/// Creates a directory that nobody else may look into; one that is there is left as it is.
fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
