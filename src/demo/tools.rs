//! The demo server's tools: a clock, a notebook, an account, and a button nobody should press.
//!
//! In comes a name and arguments, out goes structured content or a refusal in words. Nothing here knows JSON-RPC.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What the account holds at first, in whole coins.
const OPENING_BALANCE: u64 = 10_000;

/// Why a call brought no content.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no tool of that name.
    NoSuchTool,
    /// The tool would not, and says why.
    Because(String),
}

/// Everything the tools work on.
#[derive(Debug)]
pub(super) struct Shop {
    now_ms: fn() -> i64,
    notes: Vec<String>,
    balance: u64,
    transfers: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    to: String,
    amount: u64,
}

impl Shop {
    pub(super) fn new(now_ms: fn() -> i64) -> Self {
        Self { now_ms, notes: Vec::new(), balance: OPENING_BALANCE, transfers: 0 }
    }

    /// Runs one tool.
    pub(super) fn call(&mut self, name: &str, arguments: &Value) -> Result<Value, Refusal> {
        match name {
            "clock" => parse(arguments).map(|Nothing {}| self.clock()),
            "notes_list" => parse(arguments).map(|Nothing {}| json!({ "notes": self.notes })),
            "notes_add" => parse(arguments).map(|note| self.add(note)),
            "transfer_money" => parse(arguments).and_then(|transfer| self.transfer(&transfer)),
            "delete_everything" => parse(arguments).map(|Nothing {}| self.delete()),
            _ => Err(Refusal::NoSuchTool),
        }
    }

    fn clock(&self) -> Value {
        let now = DateTime::from_timestamp_millis((self.now_ms)()).unwrap_or_default();
        json!({ "now": now.to_rfc3339_opts(SecondsFormat::Millis, true) })
    }

    fn add(&mut self, note: Note) -> Value {
        self.notes.push(note.text);
        json!({ "count": self.notes.len() })
    }

    fn transfer(&mut self, transfer: &Transfer) -> Result<Value, Refusal> {
        if transfer.to.trim().is_empty() || transfer.amount == 0 {
            return Err(Refusal::Because("a transfer needs somebody to go to, and at least one coin".into()));
        }
        let Some(balance) = self.balance.checked_sub(transfer.amount) else {
            return Err(Refusal::Because(format!("the account holds {} coins only", self.balance)));
        };
        self.balance = balance;
        self.transfers += 1;
        Ok(json!({ "transfer": self.transfers, "to": transfer.to, "amount": transfer.amount, "balance": balance }))
    }

    fn delete(&mut self) -> Value {
        let deleted = self.notes.len();
        self.notes.clear();
        json!({ "deleted": deleted })
    }
}

/// The arguments as a tool wants them; what is wrong with them is told to the model, which can mend it.
fn parse<T: DeserializeOwned>(arguments: &Value) -> Result<T, Refusal> {
    T::deserialize(arguments).map_err(|error| Refusal::Because(format!("these arguments cannot be used: {error}")))
}

/// All tools, as `tools/list` shows them.
pub(super) fn definitions() -> Value {
    json!([clock(), notes_list(), notes_add(), transfer_money(), delete_everything()])
}

fn clock() -> Value {
    Tool { name: "clock", title: "Clock", description: "Tells the time, UTC.", hints: READ_ONLY }
        .described(&json!({}), &json!({ "now": { "type": "string" } }))
}

fn notes_list() -> Value {
    let notes = json!({ "type": "array", "items": { "type": "string" } });
    Tool { name: "notes_list", title: "List notes", description: "Lists the notes of this session.", hints: READ_ONLY }
        .described(&json!({}), &json!({ "notes": notes }))
}

fn notes_add() -> Value {
    let description = "Adds a note; it is kept until the server stops.";
    Tool { name: "notes_add", title: "Add a note", description, hints: ADDS }.described(
        &json!({ "text": { "type": "string", "description": "What to remember" } }),
        &json!({ "count": { "type": "integer" } }),
    )
}

fn transfer_money() -> Value {
    let description = "Sends make-believe coins to somebody. They do not come back.";
    let input = json!({
        "to": { "type": "string", "description": "Who receives the coins", "minLength": 1 },
        "amount": { "type": "integer", "description": "How many coins", "minimum": 1 },
    });
    let output = json!({
        "transfer": { "type": "integer" },
        "to": { "type": "string" },
        "amount": { "type": "integer" },
        "balance": { "type": "integer" },
    });
    Tool { name: "transfer_money", title: "Transfer money", description, hints: SPENDS }.described(&input, &output)
}

fn delete_everything() -> Value {
    let description = "Deletes every note. There is no way back.";
    Tool { name: "delete_everything", title: "Delete everything", description, hints: DESTROYS }
        .described(&json!({}), &json!({ "deleted": { "type": "integer" } }))
}

/// What a tool says of its own effects.
struct Hints {
    read_only: bool,
    destructive: bool,
    idempotent: bool,
}

const READ_ONLY: Hints = Hints { read_only: true, destructive: false, idempotent: true };
const ADDS: Hints = Hints { read_only: false, destructive: false, idempotent: false };
const SPENDS: Hints = Hints { read_only: false, destructive: true, idempotent: false };
const DESTROYS: Hints = Hints { read_only: false, destructive: true, idempotent: true };

/// A tool without its schemas.
struct Tool {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    hints: Hints,
}

impl Tool {
    /// The definition, with the properties that go in and those that come out.
    fn described(&self, input: &Value, output: &Value) -> Value {
        json!({
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": object(input),
            "outputSchema": object(output),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.hints.read_only,
                "destructiveHint": self.hints.destructive,
                "idempotentHint": self.hints.idempotent,
                "openWorldHint": false,
            },
        })
    }
}

/// The schema of an object that has these properties, all of them, and no others.
fn object(properties: &Value) -> Value {
    let names: Vec<&String> = properties.as_object().into_iter().flat_map(|members| members.keys()).collect();
    json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
}
