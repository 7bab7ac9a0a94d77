//! A message for incoming webhooks of Slack, and of those who took their form over.
//!
//! Blocks are shown by Slack, the text by all others and in Slack's own notifications; both say the same. What others
//! wrote stands in pieces of code, in which nothing is a link, a mention or markup, wherever it is shown.

use serde_json::{Value, json};

use crate::notify::notice::{Notice, moment};
use crate::notify::text::{code, escaped};

/// The body of the POST.
pub(super) fn message(notice: &Notice, now: i64) -> Value {
    let lines = lines(notice, now);
    let text = lines.join("\n");
    json!({
        "text": text,
        "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }],
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn lines(notice: &Notice, now: i64) -> Vec<String> {
    // The public URL is the operator's; what would end the link in it is written as in a URL.
    let url = escaped(&notice.url.replace('|', "%7C"));
    let Some(asked) = &notice.asked else {
        return vec![format!("A test of the channel {}. <{url}|Open Atryum>", code(&notice.channel))];
    };
    let what = format!("{} wants {} of {}", code(&asked.agent), code(asked.what()), code(&asked.server));
    let mut lines = vec![format!("An approval waits: {what}")];
    if let Some(arguments) = &asked.arguments {
        lines.push(format!("Arguments: {}", code(arguments)));
    }
    if let Some(rule) = asked.rule.as_ref().or(asked.rule_id.as_ref()) {
        lines.push(format!("Rule: {}", code(rule)));
    }
    lines.push(format!("Expires {} ({})", asked.left(now), moment(asked.expires_at)));
    lines.push(format!("<{url}|Look at it and decide>"));
    lines
}
