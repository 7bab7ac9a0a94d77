//! Arguments that a tool wants mirrored in headers (`x-mcp-header`, 2026-07-28). In front of a stdio server only the
//! gateway can hold the two together.

use std::sync::Arc;

use serde_json::Value;

use super::call::Task;
use super::modern::decoded;
use super::response::Headers;
use crate::mcp::{error, splice};
use crate::upstream::{Connection, UpstreamError};

/// Refuses a call whose `Mcp-Param-*` headers don't say what its arguments say. The error object's text.
pub(super) async fn check(
    task: &Task,
    headers: &Headers,
    open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
) -> Result<(), String> {
    let params = task.params.as_deref().unwrap_or("{}");
    let Some(tool) = splice::find_string(params, &["name"]) else { return Ok(()) };
    // A server that can't be reached or lists nothing is told about by the call itself.
    let Ok(connection) = open().await else { return Ok(()) };
    let Ok(mirrored) = connection.mirrored_arguments(&tool).await else { return Ok(()) };
    if mirrored.is_empty() {
        return Ok(());
    }
    let arguments: Value =
        splice::find(params, &["arguments"]).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    for (header, path) in mirrored.iter() {
        let argument = path.iter().try_fold(&arguments, |value, step| value.get(step)).filter(|value| !value.is_null());
        let said = headers.params.iter().find(|(name, _)| name == header).map(|(_, value)| value.as_str());
        if !agree(argument, said) {
            let what = format!("the header Mcp-Param-{header} does not say what the argument {} says", path.join("."));
            return Err(error::object(error::HEADER_MISMATCH, &what));
        }
    }
    Ok(())
}

fn agree(argument: Option<&Value>, said: Option<&str>) -> bool {
    match (argument, said) {
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => false,
        (Some(argument), Some(said)) => decoded(said).is_some_and(|said| match argument {
            Value::String(text) => *text == said,
            // Integers are compared as such: a client may write one in another way than the body has it.
            Value::Number(number) => {
                number.to_string() == said || number.as_i64().is_some_and(|number| said.parse::<i64>() == Ok(number))
            }
            Value::Bool(truth) => said == if *truth { "true" } else { "false" },
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }),
    }
}
