//! A real MCP server that wants a login, and the certified provider that gives it out: `tests/clients/provider.mjs`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::Client;
use super::program::Program;

/// A running pair. Dropping it kills it.
pub struct Guarded {
    program: Program,
    client: Client,
}

/// What was done there so far.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Counts {
    /// Clients that registered themselves.
    pub registrations: u64,
    /// Persons that were sent back with a code.
    pub authorizations: u64,
    /// Codes that became tokens.
    pub exchanges: u64,
    /// Refresh tokens that became others.
    pub refreshes: u64,
    /// What the token endpoint refused.
    pub refusals: u64,
    /// Tool calls that the MCP server took.
    pub calls: u64,
    /// Requests to the MCP server whose token was missing, over or too small.
    pub refused: u64,
}

impl Guarded {
    pub async fn start() -> Self {
        let program = Program::provider().await;
        let client = Client::new(&program.url(""));
        Self { program, client }
    }

    /// The base URL of the MCP server.
    pub fn mcp(&self) -> String {
        self.program.url("/mcp")
    }

    /// Who gives out the tokens.
    pub fn issuer(&self) -> String {
        self.program.url("")
    }

    pub async fn counts(&self) -> Counts {
        self.control(json!({})).await
    }

    /// What is to be different from now on, or is done at once; the script's head lists the words.
    pub async fn control(&self, wanted: Value) -> Counts {
        let answer = self.client.post("/control", wanted).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_value(answer.json).expect("counts")
    }

    /// A person opens the address and agrees; the callback that they are sent to.
    pub async fn agree(&self, authorize_url: &str) -> String {
        self.browse(authorize_url, "").await
    }

    /// A person opens the address and says no.
    pub async fn refuse(&self, authorize_url: &str) -> String {
        self.browse(authorize_url, "&refuse=1").await
    }

    async fn browse(&self, authorize_url: &str, how: &str) -> String {
        let url = url::form_urlencoded::byte_serialize(authorize_url.as_bytes()).collect::<String>();
        let answer = self.client.get(&format!("/browser?url={url}{how}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text
    }
}
