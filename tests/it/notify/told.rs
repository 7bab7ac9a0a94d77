//! Who is told what, by which channel.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{SECRET, Scene, is_signed};
use crate::support::app::{Settings, repo};
use crate::support::eventually;
use crate::support::http::Session;
use crate::support::program::node;
use crate::support::provider::Said;

#[actix_rt::test]
async fn a_webhook_is_told_once_signed_and_with_a_link_that_decides_nothing() {
    let scene = Scene::start().await;
    scene.webhook("ops").await;
    let rule = json!({"action": "ask", "servers": ["n"], "description": "all of n"});
    let rule = scene.app.rule(rule).await.json;
    let approval = scene.ask("one").await;
    let request = scene.received("/hook", 1).await.remove(0);
    assert!(is_signed(&request), "{request:?}");
    assert_eq!(request.header("content-type"), Some("application/json"));
    let told = &request.json;
    assert_eq!(told["type"], "approval.pending");
    let data = &told["data"];
    let expected = json!({
        "agent": "ann", "server": "n", "method": "tools/call", "tool": "echo", "channel": "ops",
        "approval_id": approval["id"], "created_at": approval["created_at"], "expires_at": approval["expires_at"],
        "arguments_text": approval["arguments_text"], "rule_id": rule["id"], "rule_description": "all of n",
        "url": format!("{}/ui/#approval={}", scene.app.url, approval["id"].as_str().unwrap()),
    });
    assert_eq!(data, &expected);
    let delivery = scene.delivery("ops", "sent").await;
    assert_eq!(delivery["approval_id"], approval["id"]);
    assert_eq!((&delivery["tries"], &delivery["reason"]), (&json!(1), &Value::Null));
    assert_eq!(request.header("webhook-id"), delivery["id"].as_str());
    // opening the link is no answer, and the same call again is no other question
    let opened = scene.app.anonymous().get("/ui/").await;
    assert_eq!(opened.status, 200);
    assert_eq!(scene.ask("one").await["status"], "pending");
    let other = scene.ask("two").await;
    let requests = scene.received("/hook", 2).await;
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].json["data"]["approval_id"], other["id"]);
    let channel = scene.channel_named("ops").await;
    assert_eq!((&channel["status"], &channel["reason"]), (&json!("working"), &Value::Null), "{channel}");
    let metrics = scene.app.operator().get("/metrics").await.text;
    assert!(metrics.contains("atryum_notifications_total{channel=\"ops\",result=\"sent\"}"), "{metrics}");
}

#[actix_rt::test]
async fn the_library_of_standard_webhooks_takes_it_and_refuses_what_was_altered() {
    let scene = Scene::start().await;
    scene.webhook("ops").await;
    scene.ask("one").await;
    let request = scene.received("/hook", 1).await.remove(0);
    let verify = |body: &str, secret: &str| {
        let headers: serde_json::Map<String, Value> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let input = json!({"secret": secret, "headers": headers, "body": body}).to_string();
        let mut library = Command::new(node());
        library.arg(repo("tests/clients/webhook.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut library = library.stderr(Stdio::piped()).spawn().expect("node starts; run sh tests/setup.sh");
        library.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = library.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("ERR_MODULE_NOT_FOUND"), "run sh tests/setup.sh: {said}");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned(), said)
    };
    let (is_taken, kind, said) = verify(&request.body, SECRET);
    assert!(is_taken, "{said}");
    assert_eq!(kind, "approval.pending");
    let (is_taken, _, said) = verify(&request.body.replace("\"ann\"", "\"bob\""), SECRET);
    assert!(!is_taken && said.contains("No matching signature"), "{said}");
    let (is_taken, _, said) = verify(&request.body, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(!is_taken && said.contains("No matching signature"), "{said}");
}

#[actix_rt::test]
async fn slack_and_ntfy_are_told_in_their_own_forms() {
    let scene = Scene::start().await;
    scene.channel(json!({"name": "chat", "kind": "slack", "url": scene.url("/hook")})).await;
    let ntfy = json!({"name": "phone", "kind": "ntfy", "url": scene.url("/approvals-7"), "token": "tk_12345"});
    scene.channel(ntfy).await;
    let approval = scene.ask("one").await;
    let link = format!("{}/ui/#approval={}", scene.app.url, approval["id"].as_str().unwrap());
    let slack = scene.received("/hook", 1).await.remove(0);
    let text = slack.json["text"].as_str().unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "An approval waits: `ann` wants `echo` of `n`");
    let arguments = approval["arguments_text"].as_str().unwrap();
    assert_eq!(lines[1], format!("Arguments: `{arguments}`"));
    assert!(lines[2].starts_with("Expires in 9 min") || lines[2].starts_with("Expires in 10 min"), "{text}");
    assert_eq!(lines[3], format!("<{link}|Look at it and decide>"));
    assert_eq!(lines.len(), 4);
    let block = &slack.json["blocks"][0];
    assert_eq!(block["text"], json!({"type": "mrkdwn", "text": text, "verbatim": true}));
    assert_eq!(slack.header("webhook-signature"), None);
    let phone = scene.received("/", 1).await.remove(0);
    assert_eq!(phone.header("authorization"), Some("Bearer tk_12345"));
    assert_eq!(phone.json["topic"], "approvals-7");
    assert_eq!(phone.json["title"], "ann wants echo of n");
    assert_eq!(phone.json["click"], link);
    assert!(phone.json["message"].as_str().unwrap().starts_with("Arguments: {"), "{}", phone.json);
    assert_eq!(phone.json["markdown"], Value::Null, "plain text");
}

#[actix_rt::test]
async fn each_channel_is_told_of_its_own_agents_and_servers_alone() {
    let scene = Scene::start().await;
    for (name, agents, servers) in [
        ("all", json!(["*"]), json!(["*"])),
        ("bob", json!(["b*"]), json!(["*"])),
        ("other", json!(["*"]), json!(["m"])),
    ] {
        let command = json!(["/bin/true"]);
        let channel =
            json!({"name": name, "kind": "command", "command": command, "agents": agents, "servers": servers});
        scene.channel(channel).await;
    }
    let of_ann = scene.ask("one").await;
    let bob = Session::open(&scene.app.agent("bob").await, "n", "2025-11-25", json!({})).await;
    bob.call("echo", json!({"text": "x", "nonce": "two"})).await;
    eventually("both are told", async || {
        let all = scene.deliveries("all").await;
        (all.len() == 2 && all.iter().all(|delivery| delivery["state"] == "sent")).then_some(())
    })
    .await;
    let of_bob = scene.deliveries("bob").await;
    assert_eq!(of_bob.len(), 1);
    assert_ne!(of_bob[0]["approval_id"], of_ann["id"]);
    assert_eq!(scene.deliveries("other").await, Vec::<Value>::new());
}

#[actix_rt::test]
async fn a_channel_that_waits_first_tells_only_what_nobody_has_answered() {
    let scene = Scene::start().await;
    let later = |seconds| {
        json!({"name": format!("after-{seconds}"), "kind": "webhook", "url": scene.url("/hook"), "secret": SECRET,
            "delay_seconds": seconds})
    };
    scene.channel(later(3600)).await;
    scene.channel(later(1)).await;
    let (answered, open) = (scene.ask("one").await, scene.ask("two").await);
    eventually("both are waited for", async || (scene.deliveries("after-3600").await.len() == 2).then_some(())).await;
    scene.deny(&answered).await;
    eventually("the other one tells what is open", async || {
        let told = scene.receiver.ledger();
        told.iter().any(|request| request.json["data"]["approval_id"] == open["id"]).then_some(())
    })
    .await;
    let withdrawn = scene.delivery("after-3600", "withdrawn").await;
    assert_eq!(withdrawn["approval_id"], answered["id"]);
    let waiting = scene.delivery("after-3600", "waiting").await;
    assert_eq!((&waiting["approval_id"], &waiting["tries"]), (&open["id"], &json!(0)));
    assert!(waiting["next_try_at"].as_str().unwrap() > open["created_at"].as_str().unwrap());
}

#[actix_rt::test]
async fn what_waited_before_a_channel_was_there_is_told_by_it_and_nothing_by_one_that_is_disabled() {
    let scene = Scene::start().await;
    let approval = scene.ask("one").await;
    let off = json!({"name": "off", "kind": "webhook", "url": scene.url("/off"), "secret": SECRET, "enabled": false});
    scene.channel(off).await;
    scene.webhook("ops").await;
    let request = scene.received("/hook", 1).await.remove(0);
    assert_eq!(request.json["data"]["approval_id"], approval["id"]);
    assert_eq!(scene.deliveries("off").await, Vec::<Value>::new());
    assert_eq!(scene.channel_named("off").await["status"], "disabled");
    scene.receiver.says("POST /off", Said::json(200, &json!({})));
    let on = scene.app.operator().patch("/api/v1/channels/off", json!({"enabled": true})).await;
    assert_eq!(on.status, 200, "{on:?}");
    scene.received("/off", 1).await;
}

#[actix_rt::test]
async fn links_begin_with_the_public_url() {
    let scene = Scene::with(Settings::default().with("ATRYUM_PUBLIC_URL", "https://gate.example/")).await;
    scene.webhook("ops").await;
    let approval = scene.ask("one").await;
    let request = scene.received("/hook", 1).await.remove(0);
    let link = format!("https://gate.example/ui/#approval={}", approval["id"].as_str().unwrap());
    assert_eq!(request.json["data"]["url"], link);
}
