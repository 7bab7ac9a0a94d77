//! What holds for the whole gateway.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::gate::Action;
use crate::http::gateway::Gateway;
use crate::http::problem::Problem;
use crate::store;

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
}

/// Reads the settings.
#[utoipa::path(get, path = "/api/v1/settings", operation_id = "read_settings", tag = "Settings",
    responses((status = 200, description = "The settings.", body = Settings)))]
pub async fn read(gateway: web::Data<Gateway>) -> Result<web::Json<Settings>, Problem> {
    let default_action = store::rule::find_default_action(&gateway.store).await?;
    Ok(web::Json(Settings {
        version: env!("CARGO_PKG_VERSION"),
        public_url: gateway.public_url.to_string(),
        default_action: Action::parse(&default_action).unwrap_or(Action::Deny),
        rule_set_revision: gateway.gate.rule_set().map_or(0, |rules| rules.revision),
    }))
}
