//! Whether the journal tells the truth: every call that was made is in it once, and ended.

use std::collections::HashSet;

use crate::Result;
use crate::gateway::Gateway;

/// Counts the calls of tools in the journal. All must have ended, and no row may come twice.
pub(crate) async fn completed_calls(gateway: &Gateway) -> Result<u64> {
    let mut ids = HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/api/v1/invocations?tool=echo&limit=200{cursor}")).await?;
        for row in page["items"].as_array().ok_or("the journal's page has no items")? {
            if row["state"] != "completed" {
                return Err(format!("a row of the journal is no completed call: {row}").into());
            }
            if !ids.insert(row["id"].to_string()) {
                return Err(format!("a row of the journal came twice: {}", row["id"]).into());
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids.len() as u64),
        }
    }
}
