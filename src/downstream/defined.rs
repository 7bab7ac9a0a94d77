//! What the tool of a call is: as its server says it, and as it was shown.

use std::sync::Arc;

use super::call::{Task, claimed};
use crate::mcp::definition::Definition;
use crate::store::approval;
use crate::upstream::{Claim, Connection, UpstreamError};

/// What the server says that the tool is: now, or last on this connection. `None` when it does not say it soon.
pub(super) async fn define(
    task: &Task,
    connection: &Connection,
    is_anew: bool,
) -> Result<Option<Definition>, UpstreamError> {
    let Some(tool) = task.subject().filter(|_| task.method == "tools/call") else { return Ok(None) };
    if is_anew { connection.definition(&tool).await } else { connection.last_definition(&tool).await }
}

/// A connection, and what its server says that the tool is. A session that the server has lost is begun anew, once.
pub(super) async fn claimed_and_defined(
    task: &Task,
    (connection, claim): (Arc<Connection>, Claim),
    open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
    is_anew: bool,
) -> Result<(Arc<Connection>, Claim, Option<Definition>), UpstreamError> {
    match define(task, &connection, is_anew).await {
        Err(UpstreamError::SessionLost(_)) => {
            let (connection, claim) = claimed(open).await?;
            let definition = define(task, &connection, is_anew).await?;
            Ok((connection, claim, definition))
        }
        defined => Ok((connection, claim, defined?)),
    }
}

/// Refuses a call whose tool is not the one that was decided on any more, as far as the server has said so.
pub(super) async fn demand(
    task: &Task,
    connection: &Connection,
    expected: Option<&Definition>,
) -> Result<(), UpstreamError> {
    if task.method != "tools/call" {
        return Ok(());
    }
    let now = define(task, connection, false).await?;
    let digest = |definition: &Definition| definition.digest.clone();
    if now.as_ref().map(digest) == expected.map(digest) { Ok(()) } else { Err(UpstreamError::Redefined) }
}

/// The connection that was found before, if it still takes calls.
pub(super) async fn claimed_or(
    found: Arc<Connection>,
    open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
) -> Result<(Arc<Connection>, Claim), UpstreamError> {
    match found.claim() {
        Some(claim) => {
            found.look()?;
            Ok((found, claim))
        }
        None => claimed(open).await,
    }
}

/// What the tool was when a person was asked. Whether it still is, is looked at before the call is made.
pub(super) fn as_shown(question: &approval::Row) -> Option<Definition> {
    let digest = question.definition_digest.as_deref()?.into();
    Some(Definition { digest, has_output_schema: false })
}
