//! What a list shows: all that the agent would not be denied. The decision is the one that a call would get.

use serde_json::value::RawValue;

use crate::clock;
use crate::gate::{Call, Gate, RuleSet};
use crate::mcp::{method, splice};

/// The listing's result without the items that the agent may not use; unchanged, byte for byte, when that is none. `call`
/// is one without known arguments.
pub(super) fn filter(gate: &Gate, call: &Call, server_id: &str, result: String) -> String {
    let Some((member, name, used_by)) = method::listed(&call.method) else { return result };
    let Some(items) =
        splice::find(&result, &[member]).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list).ok())
    else {
        return result;
    };
    let named = |item: &'_ RawValue| splice::find_string(item.get(), &[name]);
    if call.method == "tools/list" {
        let tools = items.iter().filter_map(|item| Some((named(item)?, splice::find(item.get(), &["annotations"]))));
        gate.keep_hints(&call.server, tools);
    }
    // With no rule set nothing can be called, so nothing is shown.
    let rule_set = gate.rule_set();
    let now_ms = clock::now_ms();
    let shown: Vec<&str> = items
        .iter()
        .filter(|item| {
            let question = Call { method: used_by.into(), tool: named(item), ..call.clone() };
            // What the item claims is read as a call would read it.
            let shows =
                |rule_set: &RuleSet| gate.shows(rule_set, &gate.informed(rule_set, &question), server_id, now_ms);
            rule_set.as_deref().is_some_and(shows)
        })
        .map(|item| item.get())
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
