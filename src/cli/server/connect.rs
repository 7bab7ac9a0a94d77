//! `atryum server connect` and `disconnect`: a login at a server that wants OAuth, begun here and made in a browser.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::{Named, PATH};
use crate::cli::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{Format, escape, pretty, print, remark, show, text},
};

/// How often it is asked how the login is.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// A login can be made within ten minutes, and what follows takes a while.
const WAIT_MAX: Duration = Duration::from_mins(12);

const AFTER_HELP: &str = "\
The address is printed and never opened: open it in a browser of yours, and log in there. The browser has to reach the
gateway at its public URL.

Exit code: 0 the server is connected, 1 it is not, 3 the login is still to be made.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Connect {
    /// The server's name
    name: String,
    /// Don't wait for the login to be made
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Connect {
    pub(in crate::cli) async fn run(self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        let path = format!("{PATH}/{}/connect", segment(&self.name));
        let flow = client.post(&path, &json!({})).await?;
        let url = escape(text(&flow, "/authorize_url"));
        if self.no_wait {
            show(self.remote.output, &flow, |_| url);
            return Err(CliError::Pending("open this address in a browser and log in there".into()));
        }
        match self.remote.output {
            Format::Table => print(&url),
            Format::Json => remark(&url),
        }
        remark("open this address in a browser and log in there; this command waits");
        let path = format!("{path}/{}", segment(text(&flow, "/flow_id")));
        let since = Instant::now();
        while since.elapsed() < WAIT_MAX {
            let progress = client.get(&path).await?;
            let status = text(&progress, "/status");
            if status != "pending" {
                if self.remote.output == Format::Json {
                    print(&pretty(&progress));
                }
                return self.ended(status == "succeeded", text(&progress, "/reason"));
            }
            actix_rt::time::sleep(ASK_EVERY).await;
        }
        Err(CliError::Pending(format!("nobody has logged in at {} yet", self.name)))
    }

    fn ended(&self, is_connected: bool, reason: &str) -> Result<(), CliError> {
        if is_connected {
            remark(&format!("{} is connected", self.name));
            return Ok(());
        }
        Err(CliError::Failed(format!("{} is not connected: {}", self.name, escape(reason))))
    }
}

impl Named {
    pub(super) async fn disconnect(&self) -> Result<(), CliError> {
        self.client().delete(&format!("{}/credential", self.path())).await?;
        remark(&format!("what was held to log in at {} is forgotten", self.name));
        Ok(())
    }
}
