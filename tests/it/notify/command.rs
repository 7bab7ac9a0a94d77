//! A program on the gateway's machine.

use serde_json::{Value, json};

use super::Scene;
use crate::support::eventually;

#[actix_rt::test]
async fn a_command_gets_the_notice_on_its_input_and_nothing_of_it_among_its_arguments() {
    let scene = Scene::start().await;
    let told = scene.app.dir().join("told");
    let line = format!("cat > {0}/input.part; env > {0}/env; mv {0}/input.part {0}/input", told.display());
    std::fs::create_dir(&told).unwrap();
    scene.command("bell", &line).await;
    let approval = scene.ask_with(json!({"text": "$(touch pwned) `id`"})).await;
    let input = eventually("it was told", async || std::fs::read_to_string(told.join("input")).ok()).await;
    let notice: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(notice["type"], "approval.pending");
    assert_eq!(notice["data"]["approval_id"], approval["id"]);
    assert!(notice["data"]["arguments_text"].as_str().unwrap().contains("$(touch pwned)"));
    let env = std::fs::read_to_string(told.join("env")).unwrap();
    let sent = scene.delivery("bell", "sent").await;
    for (name, value) in [
        ("ATRYUM_NOTICE_ID", sent["id"].as_str().unwrap()),
        ("ATRYUM_NOTICE_TYPE", "approval.pending"),
        ("ATRYUM_CHANNEL", "bell"),
        ("ATRYUM_APPROVAL_ID", approval["id"].as_str().unwrap()),
        ("ATRYUM_APPROVAL_URL", notice["data"]["url"].as_str().unwrap()),
    ] {
        assert!(env.lines().any(|line| line == format!("{name}={value}")), "{name} in {env}");
    }
    assert!(!env.contains("pwned") && !env.contains("ADMIN_TOKEN"), "{env}");
    assert!(!scene.app.dir().join("pwned").exists());
}

#[actix_rt::test]
async fn a_command_that_fails_says_why_and_is_run_again() {
    let scene = Scene::start().await;
    let flag = scene.app.dir().join("flag");
    let line = format!(
        "head -c 100000 /dev/zero; test -e {0} && exit 0; touch {0}; echo 'no bell' >&2; exit 3",
        flag.display()
    );
    scene.command("bell", &line).await;
    let tested = scene.app.operator().post("/api/v1/channels/bell/test", json!({})).await.json;
    assert_eq!(tested["reason"], "the command exited with code 3: no bell", "{tested}");
    assert_eq!(scene.channel_named("bell").await["status"], "failing");
    scene.ask("one").await;
    scene.delivery("bell", "sent").await;
    assert_eq!(scene.channel_named("bell").await["status"], "working");
    scene.channel(json!({"name": "none", "kind": "command", "command": ["/no/such/bell"]})).await;
    let tested = scene.app.operator().post("/api/v1/channels/none/test", json!({})).await.json;
    assert!(tested["reason"].as_str().unwrap().contains("command not found: /no/such/bell"), "{tested}");
}

#[actix_rt::test]
async fn a_command_that_hangs_is_stopped_with_all_it_started_and_holds_nobody_up() {
    let scene = Scene::start().await;
    let pids = scene.app.dir().join("pids");
    let line = format!("trap '' TERM; sleep 1000 & echo $! >> {0}; echo $$ >> {0}; sleep 1000", pids.display());
    scene.command("hung", &line).await;
    scene.webhook("ops").await;
    scene.ask("one").await;
    scene.received("/hook", 1).await;
    let reason = eventually("it was given up", async || {
        let delivery = scene.deliveries("hung").await.pop()?;
        delivery["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(reason, "the command did not end within 30 s and was stopped");
    let first: Vec<u32> =
        std::fs::read_to_string(&pids).unwrap().lines().take(2).map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(first.len(), 2);
    for pid in first {
        eventually("it is gone", async || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()))
            .await;
    }
}
