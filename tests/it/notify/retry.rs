//! Whoever can't be told is told later, and holds nobody up.

use serde_json::{Value, json};

use super::{SECRET, Scene, is_signed};
use crate::support::eventually;
use crate::support::provider::Said;

#[actix_rt::test]
async fn a_receiver_that_fails_is_told_again_with_the_same_id_until_it_takes_it() {
    let scene = Scene::start().await;
    let failing = || Said::json(500, &json!({"error": "canary of a receiver"}));
    scene.receiver.says_in_turn("POST /hook", vec![failing(), failing(), Said::json(204, &json!({}))]);
    scene.webhook("ops").await;
    scene.ask("one").await;
    let requests = scene.received("/hook", 3).await;
    assert!(requests.iter().all(is_signed));
    let first = &requests[0];
    assert!(requests.iter().all(|request| request.header("webhook-id") == first.header("webhook-id")));
    let sent = scene.delivery("ops", "sent").await;
    assert_eq!((&sent["tries"], &sent["reason"]), (&json!(3), &Value::Null));
    let channel = scene.channel_named("ops").await;
    assert_eq!((&channel["status"], &channel["failing_since"]), (&json!("working"), &Value::Null));
    let log = eventually("it is logged that it works again", async || {
        let log = scene.app.log();
        log.contains("this channel works again").then_some(log)
    })
    .await;
    assert_eq!(log.matches("nobody is told by this channel").count(), 1, "once for each change: {log}");
    let audit = scene.app.operator().get("/api/v1/audit?limit=200").await.text;
    assert!(audit.contains("channel.failing") && audit.contains("channel.recovered"), "{audit}");
    assert!(!audit.contains("canary") && !log.contains("canary"), "what a receiver says is not kept");
}

#[actix_rt::test]
async fn what_nobody_takes_is_seen_and_an_answer_ends_it() {
    let scene = Scene::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = closed.local_addr().unwrap();
    drop(closed);
    let url = format!("http://{dead}/T0/secret-path");
    scene.channel(json!({"name": "dead", "kind": "slack", "url": url})).await;
    scene.webhook("ops").await;
    let approval = scene.ask("one").await;
    scene.received("/hook", 1).await;
    let waiting = eventually("it was tried twice", async || {
        scene.deliveries("dead").await.into_iter().find(|delivery| delivery["tries"].as_i64() >= Some(2))
    })
    .await;
    assert_eq!(waiting["state"], "waiting");
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("no connection to http://{dead}")) && !reason.contains("secret-path"), "{reason}");
    let channel = scene.channel_named("dead").await;
    assert_eq!((&channel["status"], &channel["reason"]), (&json!("failing"), &waiting["reason"]), "{channel}");
    scene.deny(&approval).await;
    let failed = scene.delivery("dead", "failed").await;
    assert_eq!((&failed["next_try_at"], &failed["reason"]), (&Value::Null, &waiting["reason"]));
}

#[actix_rt::test]
async fn a_receiver_that_is_gone_for_good_is_left_alone() {
    let scene = Scene::start().await;
    scene.receiver.says("POST /hook", Said::json(410, &json!({})));
    let made = scene.webhook("ops").await;
    scene.ask("one").await;
    let failed = scene.delivery("ops", "failed").await;
    assert_eq!(failed["tries"], 1);
    let channel = scene.channel_named("ops").await;
    assert_eq!((&channel["enabled"], &channel["status"]), (&json!(false), &json!("disabled")), "{channel}");
    assert!(channel["reason"].as_str().unwrap().contains("410"), "{channel}");
    assert_eq!(channel["revision"], made["revision"].as_i64().unwrap() + 1);
    let told = scene.app.operator().get("/api/v1/audit?kind=channel.disabled").await.json;
    assert_eq!(told["items"][0]["actor"], "gateway", "{told}");
}

#[actix_rt::test]
async fn a_receiver_that_asks_for_a_pause_gets_it_for_all_that_is_to_be_told() {
    let scene = Scene::start().await;
    let busy = Said::Whole(429, vec![("retry-after", "3000".into())], String::new());
    scene.receiver.says_in_turn("POST /hook", vec![busy, Said::json(200, &json!({}))]);
    scene.webhook("ops").await;
    let first = scene.ask("one").await;
    let waiting = eventually("it was tried", async || {
        scene
            .deliveries("ops")
            .await
            .into_iter()
            .find(|delivery| delivery["tries"] == 1 && !delivery["reason"].is_null())
    })
    .await;
    let at = |text: &Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap().timestamp();
    let pause = at(&waiting["next_try_at"]) - at(&first["created_at"]);
    assert!((2_900..=3_100).contains(&pause), "{pause}");
    // another channel is the clock: what it was told of, the first one has not been told
    let other = json!({"name": "other", "kind": "webhook", "url": scene.url("/other"), "secret": SECRET});
    scene.receiver.says("POST /other", Said::json(200, &json!({})));
    scene.channel(other).await;
    scene.ask("two").await;
    scene.received("/other", 2).await;
    assert!(scene.deliveries("ops").await.iter().all(|delivery| delivery["state"] == "waiting"));
    assert_eq!(scene.receiver.asked().iter().filter(|asked| *asked == "POST /hook").count(), 1);
}

#[actix_rt::test]
async fn a_redirect_is_not_followed_and_says_so() {
    let scene = Scene::start().await;
    scene.receiver.says("POST /hook", Said::redirect(&scene.url("/elsewhere")));
    scene.webhook("ops").await;
    let tested = scene.app.operator().post("/api/v1/channels/ops/test", json!({})).await.json;
    assert_eq!(tested["ok"], false);
    assert!(tested["reason"].as_str().unwrap().contains("redirects are not followed"), "{tested}");
    assert_eq!(scene.receiver.asked(), ["POST /hook"]);
}

#[actix_rt::test]
async fn one_that_hangs_delays_neither_calls_nor_other_channels() {
    let scene = Scene::start().await;
    scene.receiver.says("POST /hung", Said::Held(Box::new(Said::json(200, &json!({})))));
    for at in 0..5 {
        let url = scene.url("/hung");
        scene.channel(json!({"name": format!("hung-{at}"), "kind": "slack", "url": url})).await;
    }
    scene.webhook("ops").await;
    for at in 0..10 {
        scene.ask(&format!("{at}")).await;
    }
    scene.received("/hook", 10).await;
    // each has its places filled, and no more than those
    let hung = scene.received("/hung", 20).await;
    assert_eq!(hung.len(), 20);
    for at in 0..5 {
        assert!(scene.deliveries(&format!("hung-{at}")).await.iter().all(|delivery| delivery["state"] == "waiting"));
    }
}

#[actix_rt::test]
async fn what_a_gateway_died_with_is_told_by_the_next_one_with_the_same_id() {
    let mut scene = Scene::start().await;
    scene.receiver.says("POST /hook", Said::Held(Box::new(Said::json(200, &json!({})))));
    scene.webhook("ops").await;
    scene.ask("one").await;
    let before = scene.received("/hook", 1).await.remove(0);
    // it is claimed and on its way, and nobody knows whether it was taken
    let app = scene.app.kill_and_restart().await;
    scene.app = app;
    scene.receiver.says("POST /hook", Said::json(200, &json!({})));
    let requests = scene.received("/hook", 2).await;
    assert_eq!(requests[1].header("webhook-id"), before.header("webhook-id"));
    let sent = scene.delivery("ops", "sent").await;
    assert_eq!((&sent["id"], &sent["tries"]), (&json!(before.header("webhook-id")), &json!(2)));
}

#[actix_rt::test]
async fn what_was_asked_while_nobody_could_tell_is_told_after_a_restart() {
    let mut scene = Scene::start().await;
    let approval = scene.ask("one").await;
    let app = scene.app.kill_and_restart().await;
    scene.app = app;
    scene.webhook("ops").await;
    let request = scene.received("/hook", 1).await.remove(0);
    assert_eq!(request.json["data"]["approval_id"], approval["id"]);
}

#[actix_rt::test]
async fn a_mended_channel_is_tried_at_once() {
    let scene = Scene::start().await;
    let busy = Said::Whole(500, Vec::new(), String::new());
    scene.receiver.says("POST /broken", busy);
    let broken = json!({"name": "ops", "kind": "slack", "url": scene.url("/broken")});
    scene.channel(broken).await;
    scene.ask("one").await;
    eventually("it is failing", async || (scene.channel_named("ops").await["status"] == "failing").then_some(())).await;
    let mended = scene.app.operator().patch("/api/v1/channels/ops", json!({"url": scene.url("/hook")})).await;
    assert_eq!(mended.status, 200, "{mended:?}");
    scene.received("/hook", 1).await;
    scene.delivery("ops", "sent").await;
}
