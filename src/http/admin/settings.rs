//! What holds for the whole gateway.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gate::Action;
use crate::http::body::{Body, Edit};
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::store;
use crate::store::tool_pin::Words;

/// The gateway's settings, as far as they are for operators to see.
#[derive(Debug, Serialize, ToSchema)]
pub struct Settings {
    /// Of the program.
    version: &'static str,
    /// What browsers and agents use.
    public_url: String,
    /// What happens to a call that no rule matches.
    default_action: Action,
    /// Counts the edits of the rule set that decides; 0 when none is loaded and everything is denied.
    rule_set_revision: i64,
    /// What becomes of calls of a tool whose definition changed, until somebody reviews it: `ask` or `deny`. What the rules
    /// deny stays denied.
    definition_changed: Action,
    /// The same of a tool that a known server added: `allow`, `ask` or `deny`.
    definition_added: Action,
}

/// Reads the settings.
#[utoipa::path(get, path = "/api/v1/settings", operation_id = "read_settings", tag = "Settings",
    responses((status = 200, description = "The settings.", body = Settings)))]
pub async fn read(gateway: web::Data<Gateway>) -> Result<web::Json<Settings>, Problem> {
    Ok(web::Json(present(&gateway).await?))
}

/// What is to change, as a JSON Merge Patch: what is absent stays, what is `null` is as at first.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// `ask` or `deny`; `ask` at first.
    #[serde(default)]
    #[schema(value_type = Option<Action>)]
    definition_changed: Edit<Action>,
    /// `allow`, `ask` or `deny`; `allow` at first.
    #[serde(default)]
    #[schema(value_type = Option<Action>)]
    definition_added: Edit<Action>,
}

/// Changes settings.
#[utoipa::path(patch, path = "/api/v1/settings", operation_id = "update_settings", tag = "Settings",
    request_body = SettingsPatch,
    responses((status = 200, description = "The settings as they hold from now on.", body = Settings),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn update(
    gateway: web::Data<Gateway>,
    Body(patch): Body<SettingsPatch>,
) -> Result<web::Json<Settings>, Problem> {
    let on_changed = patch.definition_changed.or_default(|| Action::Ask);
    if on_changed == Some(Action::Allow) {
        let what = "a tool that changed is never called without a look: `ask` or `deny` is expected";
        return Err(Problem::field("/definition_changed", what));
    }
    let on_added = patch.definition_added.or_default(|| Action::Allow);
    let word = |action: Option<Action>| action.map(|action| action.as_str().to_owned());
    let words = Words { on_changed: word(on_changed), on_added: word(on_added) };
    store::tool_pin::put_words(&gateway.store, &words).await?;
    gateway.publish_pins().await?;
    Ok(web::Json(present(&gateway).await?))
}

async fn present(gateway: &Gateway) -> Result<Settings, Problem> {
    let default_action = store::rule::find_default_action(&gateway.store).await?;
    let on_hold = gateway.gate.pins().on_hold();
    Ok(Settings {
        version: env!("CARGO_PKG_VERSION"),
        public_url: gateway.public_url.to_string(),
        default_action: Action::parse(&default_action).unwrap_or(Action::Deny),
        rule_set_revision: gateway.gate.rule_set().map_or(0, |rules| rules.revision),
        definition_changed: on_hold.changed,
        definition_added: on_hold.added,
    })
}
