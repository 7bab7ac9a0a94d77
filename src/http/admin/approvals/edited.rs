//! Arguments that a person puts in place of the agent's: read as strictly as an agent's, and fitting the tool.

use std::time::Duration;

use actix_web::web;

use crate::http::gateway::Gateway;
use crate::http::problem::{Code, Problem};
use crate::journal::Part;
use crate::mcp::definition::Definition;
use crate::mcp::{schema, splice, strict};
use crate::store::approval::Row;

/// What stands in the place of what is not written down.
const REDACTED: &str = "\"redacted:hmac-sha256:";
/// A schema that takes longer is refused: it is a server's, and may be made to take for ever.
const FITS_WITHIN: Duration = Duration::from_secs(5);

/// What is to go out in place of the agent's arguments; `None` when it is the very same. `field` is where it stands.
///
/// # Errors
/// It can't be used for this approval; the problem says why.
pub(super) async fn accepted(
    gateway: &Gateway,
    row: &Row,
    text: String,
    field: &str,
) -> Result<Option<String>, Problem> {
    if row.arguments.as_ref() == Some(&text) {
        return Ok(None);
    }
    if row.method != "tools/call" || row.other_params.is_some() {
        let what = "only a plain call of a tool can be edited; approve this as it is, or deny it with a reason";
        return Err(Problem::field(field, what));
    }
    // As deep in a message as the agent's own were.
    if let Err(refused) = strict::check(&format!(r#"{{"params":{{"arguments":{text}}}}}"#)) {
        return Err(Problem::field(field, format!("it is not strict JSON: {refused}")));
    }
    if splice::members(&text).is_none() || strict::check(&text).is_err() {
        return Err(Problem::field(field, "a JSON object is expected"));
    }
    let redaction = gateway.journal.redaction();
    let is_redacted = redaction.apply(&row.server, row.tool.as_deref(), Part::Arguments, &text).is_some()
        || row.arguments.as_ref().is_some_and(|shown| shown.contains(REDACTED));
    if is_redacted {
        let what = "parts of these arguments are not written down, so they can't be edited; deny it with a reason";
        return Err(Problem::field(field, what));
    }
    let schema = input_schema(gateway, row).await?;
    let checked = web::block({
        let text = text.clone();
        move || schema.map_or(Ok(()), |schema| schema::check(&schema, &text))
    });
    match tokio::time::timeout(FITS_WITHIN, checked).await {
        Ok(Ok(Ok(()))) => Ok(Some(text)),
        Ok(Ok(Err(what))) => Err(Problem::field(field, format!("it does not fit the tool: {what}"))),
        Ok(Err(_)) | Err(_) => {
            Err(Problem::field(field, "whether it fits the tool can't be told: its schema is too much"))
        }
    }
}

/// The schema that the tool has by now. One that is not what was shown is no measure.
async fn input_schema(gateway: &Gateway, row: &Row) -> Result<Option<String>, Problem> {
    let changed = |what: &str| Problem::new(Code::Conflict, format!("{what}; deny it, so that the agent asks anew"));
    let upstream = gateway.directory.find(&row.server).filter(|upstream| *upstream.spec.id == *row.server_id);
    let upstream = upstream.ok_or_else(|| changed("the server is gone"))?;
    let tools = upstream.catalog().await?;
    let is_it = |text: &&str| splice::find_string(text, &["name"]) == row.tool;
    let texts: Vec<_> = tools.iter().map(|text| text.get()).filter(is_it).collect();
    let digest = Definition::of(&texts).map(|definition| definition.digest);
    if digest.as_deref() != row.definition_digest.as_deref() {
        return Err(changed("the server says by now that the tool is another one"));
    }
    Ok(texts.first().and_then(|text| splice::find(text, &["inputSchema"])).map(Into::into))
}
