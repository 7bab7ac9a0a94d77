//! A channel as operators write it, and the row that comes of it.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::egress;
use crate::http::body::Edit;
use crate::http::gateway::Gateway;
use crate::http::problem::{Code, FieldError, Problem};
use crate::notify::{ChannelError, Definition, Given, Kind};
use crate::store;
use crate::store::channel::Row;
use crate::upstream;
use crate::vault::SecretText;

/// A channel that is to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChannelWrite)]
pub struct ChannelDraft {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    #[schema(example = "ops")]
    name: String,
    kind: Kind,
    /// Whether anything is told by it; true when left out.
    enabled: Option<bool>,
    /// Globs over the names of the agents that it is for; any when left out.
    agents: Option<Vec<String>>,
    /// Globs over the names of the servers that it is for; any when left out.
    servers: Option<Vec<String>>,
    /// It tells what nobody has answered for so long, 0 to 86400; 0 when left out.
    #[schema(minimum = 0, maximum = 86_400)]
    delay_seconds: Option<i64>,
    /// Whether it tells with which arguments, secrets masked; true when left out.
    with_arguments: Option<bool>,
    /// All but command: where to. Of ntfy, the server and the topic. It goes in and never comes out.
    #[schema(value_type = Option<String>, write_only, example = "https://hooks.example.com/T0/B0/x")]
    url: Option<SecretText>,
    /// webhook: what messages are signed with, `whsec_` and base64.
    #[schema(value_type = Option<String>, write_only)]
    secret: Option<SecretText>,
    /// ntfy: an access token, where one is needed.
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretText>,
    /// command: the program and its arguments, passed as they are: no shell.
    #[schema(value_type = Option<Vec<String>>, example = json!(["/usr/local/bin/tell", "--loud"]))]
    command: Option<Vec<String>>,
}

/// What is to change, as a JSON Merge Patch: what is absent stays, what is `null` is as if it had been left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelPatch {
    /// Only the name that it has.
    #[serde(default)]
    #[schema(ignore)]
    name: Edit<String>,
    /// Only the kind that it has.
    #[serde(default)]
    #[schema(ignore)]
    kind: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Edit<bool>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    agents: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    servers: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 86_400)]
    delay_seconds: Edit<i64>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    with_arguments: Edit<bool>,
    /// When it moves to another origin (scheme, host or port), a token that is kept is removed unless the same patch gives
    /// it anew.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    url: Edit<SecretText>,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    secret: Edit<SecretText>,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    token: Edit<SecretText>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    command: Edit<Vec<String>>,
}

fn any() -> Vec<String> {
    vec!["*".to_owned()]
}

impl ChannelDraft {
    /// Judges the draft whole, and seals its secrets.
    ///
    /// # Errors
    /// Every field that can't be used; the vault can't seal.
    pub fn into_row(self, gateway: &Gateway) -> Result<Row, Problem> {
        let given = |text: Option<SecretText>| text.map_or(Given::None, Given::New);
        let definition = Definition {
            kind: self.kind,
            agents: self.agents.unwrap_or_else(any),
            servers: self.servers.unwrap_or_else(any),
            delay_seconds: self.delay_seconds.unwrap_or_default(),
            command: self.command.unwrap_or_default(),
            url: given(self.url),
            secret: given(self.secret),
            token: given(self.token),
        };
        let mut errors = faults_of(gateway, &definition);
        if !upstream::is_name(&self.name) {
            let detail = "a name is 1 to 63 of a-z, 0-9 and -, and starts with a letter or digit".into();
            errors.push(FieldError { pointer: "/name".into(), detail });
        }
        if !errors.is_empty() {
            return Err(Problem::fields(errors));
        }
        let mut row = Row {
            id: store::new_id(),
            name: self.name,
            kind: self.kind.word().to_owned(),
            enabled: self.enabled.unwrap_or(true),
            agents: String::new(),
            servers: String::new(),
            delay_seconds: 0,
            wants_arguments: self.with_arguments.unwrap_or(true),
            command: None,
            origin: None,
            url: None,
            secret: None,
            problem: None,
            failing_since: None,
            last_sent_at: None,
            revision: 0,
            created_at: 0,
            updated_at: 0,
        };
        definition.put(&gateway.vault, &mut row)?;
        Ok(row)
    }
}

impl ChannelPatch {
    /// Applies the patch to a row, and judges what comes of it.
    ///
    /// # Errors
    /// Every field that can't be used; the row can't be read; the vault can't seal.
    pub fn apply(self, gateway: &Gateway, row: &mut Row) -> Result<(), Problem> {
        immutable("name", &self.name, &row.name)?;
        immutable("kind", &self.kind, &row.kind)?;
        let list = |text: &str| serde_json::from_str(text).map_err(|error| Problem::internal(&error));
        let kind = Kind::parse(&row.kind).ok_or_else(|| Problem::internal(&ChannelError::NotWhole))?;
        let (mut agents, mut servers): (Vec<String>, Vec<String>) = (list(&row.agents)?, list(&row.servers)?);
        let mut command: Vec<String> = row.command.as_deref().map(list).transpose()?.unwrap_or_default();
        self.agents.apply_or_default(&mut agents, any());
        self.servers.apply_or_default(&mut servers, any());
        self.command.apply_or_default(&mut command, Vec::new());
        self.enabled.apply_or_default(&mut row.enabled, true);
        self.with_arguments.apply_or_default(&mut row.wants_arguments, true);
        let mut delay_seconds = row.delay_seconds;
        self.delay_seconds.apply_or_default(&mut delay_seconds, 0);
        let has_moved = match &self.url {
            Edit::Set(url) => egress::origin(url.expose()) != row.origin,
            Edit::Keep | Edit::Clear => false,
        };
        // A token is for one origin.
        let keeps_token = row.secret.is_some() && kind == Kind::Ntfy && !has_moved;
        let definition = Definition {
            kind,
            agents,
            servers,
            delay_seconds,
            command,
            url: edited(self.url, row.url.is_some()),
            secret: edited(self.secret, row.secret.is_some() && kind == Kind::Webhook),
            token: edited(self.token, keeps_token),
        };
        let errors = faults_of(gateway, &definition);
        if !errors.is_empty() {
            return Err(Problem::fields(errors));
        }
        Ok(definition.put(&gateway.vault, row)?)
    }
}

fn edited(edit: Edit<SecretText>, is_stored: bool) -> Given {
    match edit {
        Edit::Keep if is_stored => Given::Stored,
        Edit::Keep | Edit::Clear => Given::None,
        Edit::Set(text) => Given::New(text),
    }
}

fn faults_of(gateway: &Gateway, definition: &Definition) -> Vec<FieldError> {
    let faults = definition.faults(gateway.address, &gateway.public_url).into_iter();
    faults.map(|fault| FieldError { pointer: fault.pointer.to_owned(), detail: fault.detail }).collect()
}

fn immutable(field: &str, edit: &Edit<String>, stored: &str) -> Result<(), Problem> {
    match edit {
        Edit::Keep => Ok(()),
        Edit::Set(value) if value == stored => Ok(()),
        _ => {
            let detail = format!("the {field} of a channel can't be changed; add a new channel and delete this one");
            Err(Problem::new(Code::Immutable, detail).about(&format!("/{field}"), "can't be changed"))
        }
    }
}
