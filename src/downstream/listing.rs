//! What a list shows: all that the agent would not be denied. The decision is the one that a call would get.

use serde_json::value::RawValue;

use crate::gate::{Call, RuleSet};
use crate::mcp::{method, splice};

/// The listing's result without the items that `agent` may not use; unchanged, byte for byte, when that is none.
pub(super) fn filter(rule_set: Option<&RuleSet>, call: &Call, result: String) -> String {
    let Some((member, name, used_by)) = method::listed(&call.method) else { return result };
    let Some(items) =
        splice::find(&result, &[member]).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list).ok())
    else {
        return result;
    };
    let shown: Vec<&str> = items
        .iter()
        .map(|item| item.get())
        .filter(|item| {
            let question = Call { method: used_by.into(), tool: splice::find_string(item, &[name]), ..call.clone() };
            // With no rule set nothing can be called, so nothing is shown.
            rule_set.is_some_and(|rule_set| rule_set.shows(&question))
        })
        .collect();
    if shown.len() == items.len() {
        return result;
    }
    let filtered = splice::set(&result, &[member], &format!("[{}]", shown.join(",")));
    if splice::find(&filtered, &["cacheScope"]).is_some() {
        // What one agent may see is not another's to keep.
        splice::set(&filtered, &["cacheScope"], "\"private\"")
    } else {
        filtered
    }
}
