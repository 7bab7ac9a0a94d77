//! A message for a topic of ntfy, published as JSON.
//!
//! Its text is plain, and the apps make links of whatever looks like one: so what others wrote can't look like one.

use serde_json::{Value, json};

use crate::notify::notice::Notice;
use crate::notify::text::unlinked;

/// The second highest: a phone makes a sound.
const PRIORITY: u8 = 4;

/// The body of the POST.
pub(super) fn message(topic: &str, notice: &Notice, now: i64) -> Value {
    let (title, text) = match &notice.asked {
        None => ("A test".to_owned(), format!("A test of the channel {}", notice.channel)),
        Some(asked) => {
            let title = format!("{} wants {} of {}", asked.agent, asked.what(), asked.server);
            let mut lines = Vec::new();
            if let Some(arguments) = &asked.arguments {
                lines.push(format!("Arguments: {arguments}"));
            }
            if let Some(rule) = asked.rule.as_ref().or(asked.rule_id.as_ref()) {
                lines.push(format!("Rule: {rule}"));
            }
            lines.push(format!("Expires {}. Open it to decide.", asked.left(now)));
            (title, lines.join("\n"))
        }
    };
    let (title, text) = (unlinked(&title), unlinked(&text));
    json!({
        "topic": topic,
        "title": title,
        "message": text,
        "click": notice.url,
        "priority": PRIORITY,
        "tags": ["raised_hand"],
    })
}
