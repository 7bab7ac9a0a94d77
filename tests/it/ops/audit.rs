//! The audit told elsewhere, kept for as long as it should be, and without what must not be written down.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use atryum::audit::Line;
use atryum::trail::{Link, Verifier};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};

use crate::support::app::{App, Settings};
use crate::support::database::run_sql;
use crate::support::eventually;
use crate::support::http::Session;

/// What a sink was told, in its order.
type Told = Arc<Mutex<Vec<String>>>;

fn events(told: &Told) -> Vec<Link> {
    let lines = told.lock().unwrap().clone();
    let lines = lines.iter().map(|line| Line::parse(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter_map(|line| if let Line::Event(link) = line { Some(link) } else { None }).collect()
}

fn has(told: &Told, kind: &str) -> bool {
    told.lock().unwrap().iter().any(|line| line.contains(&format!("\"kind\":\"{kind}\"")))
}

/// Whether each event was told, in the order of the chain; and whether the signatures fit.
async fn holds(app: &App, told: &Told) {
    let key = app.operator().get("/api/v1/audit/checkpoint").await.json["public_key"].as_str().unwrap().to_owned();
    let links = events(told);
    assert!(links.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1 && pair[1].prev == pair[0].hash), "{links:#?}");
    assert_eq!(links[0].seq, 1, "from the beginning of a new gateway");
    let mut verifier = Verifier::new(key.parse().unwrap());
    for line in told.lock().unwrap().iter() {
        if let Ok(Line::Checkpoint(checkpoint)) = Line::parse(line) {
            verifier.checkpoint(&checkpoint);
        }
    }
    links.iter().for_each(|link| verifier.event(link));
    let report = verifier.finish();
    assert_eq!(report.findings, []);
    assert!(report.checkpoints > 0);
}

/// The message behind the head of RFC 5424, which is looked at.
fn of_syslog(message: &str) -> String {
    let (head, line) = message.split_once(" - {").unwrap_or_else(|| panic!("{message}"));
    let head: Vec<&str> = head.split(' ').collect();
    assert_eq!((head.len(), head[0], head[3]), (6, "<110>1", "atryum"), "{message}");
    assert_eq!(message.lines().count(), 1);
    format!("{{{line}")
}

#[actix_rt::test]
async fn syslog_is_told_every_event_and_every_signature_by_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for target in [format!("udp://{}", udp.local_addr().unwrap()), format!("unix:{}", path.display())] {
        let mut app = Settings::default().with("ATRYUM_AUDIT__SYSLOG", &target).start().await;
        app.allow_all().await;
        let signed = app.operator().post("/api/v1/audit/checkpoint", json!({})).await;
        let last = format!("\"signature\":{}", signed.json["checkpoint"]["signature"]);
        let told = Told::default();
        let mut buffer = vec![0; 65_536];
        while !(told.lock().unwrap().iter().any(|line| line.contains(&last))) {
            let length =
                if target.starts_with("udp") { udp.recv(&mut buffer).await } else { unix.recv(&mut buffer).await };
            let message = String::from_utf8(buffer[..length.unwrap()].to_vec()).unwrap();
            told.lock().unwrap().push(of_syslog(&message));
        }
        assert!(has(&told, "rule.created"));
        holds(&app, &told).await;
        assert_eq!(app.terminate().await, Some(0));
        let is_signature = |line: &String| line.contains("\"type\":\"checkpoint\"");
        while !has(&told, "gateway.stopped") || !told.lock().unwrap().last().is_some_and(is_signature) {
            let read = async {
                if target.starts_with("udp") { udp.recv(&mut buffer).await } else { unix.recv(&mut buffer).await }
            };
            let length = tokio::time::timeout(Duration::from_secs(10), read).await.expect("the end and its signature");
            let message = String::from_utf8(buffer[..length.unwrap()].to_vec()).unwrap();
            told.lock().unwrap().push(of_syslog(&message));
        }
    }
}

/// Reads messages with their length before them until the stream ends.
async fn read_counted(mut stream: TcpStream, told: &Told) {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let mut rest = text.as_str();
    while let Some((length, after)) = rest.split_once(' ') {
        let (message, next) = after.split_at(length.parse().unwrap());
        told.lock().unwrap().push(of_syslog(message));
        rest = next;
    }
}

#[actix_rt::test]
async fn a_sink_that_is_away_is_seen_and_is_told_all_of_it_when_it_is_back() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let app = Settings::default().with("ATRYUM_AUDIT__SYSLOG", &format!("tcp://{address}")).start().await;
    app.allow_all().await;
    eventually("the failure is counted", async || {
        let text = app.operator().get("/metrics").await.text;
        text.lines().any(|line| line.starts_with("atryum_audit_sink_failures_total{sink=\"syslog\"} ")).then_some(())
    })
    .await;
    let ready = app.anonymous().get("/readyz").await;
    let check = ready.json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "audit").unwrap().clone();
    assert!(check["detail"].as_str().unwrap().contains("syslog is not told"), "{check}");
    assert_eq!(ready.status, 200, "calls are taken all the same");
    let listener = TcpListener::bind(address).await.unwrap();
    let told = Told::default();
    app.operator().post("/api/v1/audit/checkpoint", json!({})).await;
    while !has(&told, "rule.created") || told.lock().unwrap().iter().all(|line| line.contains("\"type\":\"event\"")) {
        let (stream, _) = listener.accept().await.unwrap();
        read_counted(stream, &told).await;
    }
    holds(&app, &told).await;
}

/// Answers one request with `status`, and returns its head and its body.
async fn answer(listener: &TcpListener, status: &str) -> (String, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        bytes.extend(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
        if body.len() == length {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head, body.to_owned());
        }
    }
}

#[actix_rt::test]
async fn a_webhook_is_posted_signed_lines_and_is_asked_again_until_it_takes_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let settings = Settings::default().with("ATRYUM_AUDIT__WEBHOOK_URL", &url);
    let app = settings.with("ATRYUM_AUDIT__WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").start().await;
    let id = |head: &str| head.lines().find(|line| line.starts_with("webhook-id: ")).unwrap().to_owned();
    let (head, refused) = answer(&listener, "500 Internal Server Error").await;
    let (again, body) = answer(&listener, "204 No Content").await;
    assert!(head.starts_with("post /hook ") && head.contains("\r\nwebhook-signature: v1,"), "{head}");
    assert!(body.starts_with(&refused) || id(&head) == id(&again), "nothing is left out: {refused}");
    let told = Told::default();
    told.lock().unwrap().extend(body.lines().map(str::to_owned));
    app.allow_all().await;
    app.operator().post("/api/v1/audit/checkpoint", json!({})).await;
    while !has(&told, "rule.created") || told.lock().unwrap().iter().all(|line| line.contains("\"type\":\"event\"")) {
        let (_, body) = answer(&listener, "200 OK").await;
        told.lock().unwrap().extend(body.lines().map(str::to_owned));
    }
    holds(&app, &told).await;
}

#[actix_rt::test]
async fn what_a_webhook_does_not_take_comes_again_as_it_was_and_in_halves_when_it_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = Settings::default().with("ATRYUM_AUDIT__WEBHOOK_URL", &url).start().await;
    let id = |head: &str| head.lines().find(|line| line.starts_with("webhook-id: ")).unwrap().to_owned();
    let (head, body) = answer(&listener, "500 Internal Server Error").await;
    app.allow_all().await;
    app.operator().post("/api/v1/audit/checkpoint", json!({})).await;
    let (again, same) = answer(&listener, "429 Too Many Requests").await;
    assert_eq!((id(&head), &body), (id(&again), &same), "though there is more to tell by now");
    let told = Told::default();
    let mut events_at_once = events_of(&body);
    while events_at_once > 1 {
        let (_, body) = answer(&listener, "413 Payload Too Large").await;
        assert!(events_of(&body) <= events_at_once, "{body}");
        events_at_once = events_of(&body);
    }
    eventually("the one that is not taken is named", async || {
        let ready = app.anonymous().get("/readyz").await.text;
        ready.contains("it answered with 413 (events 1 to 1)").then_some(())
    })
    .await;
    while !has(&told, "rule.created") || told.lock().unwrap().iter().all(|line| line.contains("\"type\":\"event\"")) {
        let (_, body) = answer(&listener, "200 OK").await;
        told.lock().unwrap().extend(body.lines().map(str::to_owned));
    }
    holds(&app, &told).await;
}

fn events_of(body: &str) -> usize {
    body.lines().filter(|line| line.contains("\"type\":\"event\"")).count()
}

#[actix_rt::test]
async fn what_is_named_is_not_written_down_anywhere_and_reaches_the_server_all_the_same() {
    let rules = "n echo arguments /nonce,n ec* result /content/*/text";
    let app = Settings::default().with("ATRYUM_JOURNAL__REDACT", rules).start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for text in ["canary-in-a-result", "other"] {
        let answer = session.call("echo", json!({"text": text, "nonce": "canary-in-arguments"})).await;
        assert_eq!(answer["result"]["content"][0]["text"], text, "{answer}");
    }
    session.call("grow", json!({"nonce": "kept"})).await;
    let rows: Vec<Value> = app.invocations().await.into_iter().filter(|row| row["method"] == "tools/call").collect();
    assert_eq!(rows[0]["arguments"]["nonce"], "kept");
    let hash = rows[1]["arguments"]["nonce"].as_str().unwrap();
    assert!(hash.starts_with("redacted:hmac-sha256:"), "{hash}");
    assert_eq!(rows[2]["arguments"]["nonce"], hash, "equal values are seen to be equal");
    assert_ne!(rows[2]["outcome"]["result"]["content"][0]["text"], rows[1]["outcome"]["result"]["content"][0]["text"]);
    assert!(rows[1]["arguments_digest"].as_str().unwrap().starts_with("hmac-sha256:"), "no digest to guess with");
    assert_eq!(rows[1]["arguments"]["text"], "other");
    for file in ["atryum.db", "atryum.db-wal"] {
        let bytes = std::fs::read(app.dir().join("data").join(file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary-in-arguments"), "{file}");
        assert!(!text.contains("\"text\":\"canary-in-a-result\"}]"), "{file}");
    }
}

#[actix_rt::test]
async fn what_stands_beside_such_arguments_is_not_written_down_either() {
    let app = Settings::default().with("ATRYUM_JOURNAL__REDACT", "n echo arguments /nonce").start().await;
    app.nasty("n", &["both"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let shown = async |tool: &str| {
        let answers = json!({"q": {"action": "accept", "content": {"pin": "canary-4711"}}});
        let params = json!({"name": tool, "arguments": {"text": "x"}, "inputResponses": answers});
        let body = json!({"jsonrpc": "2.0", "id": session.next_id(), "method": "tools/call", "params": params});
        let asked = session
            .client
            .clone()
            .header("content-type", "application/json")
            .open("POST", "/mcp/n", body.to_string())
            .await;
        let approval = app.pending_approval().await;
        let path = format!("/api/v1/approvals/{}/deny", approval["id"].as_str().unwrap());
        app.operator().post(&path, json!({"digest": approval["digest"]})).await;
        drop(asked);
        approval
    };
    let approval = shown("echo").await;
    let beside = approval["other_params_text"].as_str().unwrap();
    assert!(beside.starts_with("\"redacted:hmac-sha256:"), "{beside}");
    for file in ["atryum.db", "atryum.db-wal"] {
        let bytes = std::fs::read(app.dir().join("data").join(file)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary-4711"), "{file}");
    }
    let other = shown("grow").await;
    assert!(other["other_params_text"].as_str().unwrap().contains("canary-4711"), "no rule is about it: {other}");
}

#[actix_rt::test]
async fn a_rule_that_can_not_be_understood_keeps_the_gateway_from_starting() {
    use crate::cli::run::{atryum, done};
    let folder = tempfile::tempdir().unwrap();
    let mut command = atryum(&["config", "check"]);
    command.env("HOME", folder.path()).env("ATRYUM_JOURNAL__REDACT", "n echo /x").current_dir(folder.path());
    let refused = done(&mut command);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("ATRYUM_JOURNAL__REDACT") && refused.err.contains("four words"), "{refused:?}");
}

#[actix_rt::test]
async fn what_is_old_is_removed_and_that_is_told() {
    let app = Settings::default().with("ATRYUM_JOURNAL__KEEP_DAYS", "30").start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    session.call("echo", json!({"text": "old"})).await;
    let url = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    run_sql(&url, "UPDATE invocation SET received_at = received_at - 31 * 86400000").await;
    run_sql(&url, "UPDATE login_link SET expires_at = 1").await;
    session.call("echo", json!({"text": "new"})).await;
    assert!(app.invocations().await.len() >= 2);
    let app = app.kill_and_restart().await;
    eventually("the old call is gone", async || (app.invocations().await.len() == 1).then_some(())).await;
    assert_eq!(app.invocations().await[0]["arguments"]["text"], "new");
    let told = app.operator().get("/api/v1/audit?kind=calls.removed").await.json["items"][0].clone();
    assert_eq!(
        (&told["actor"], &told["data"]["count"].as_i64().map(|count| count > 0)),
        (&json!("gateway"), &Some(true))
    );
    let metrics = app.operator().get("/metrics").await.text;
    assert!(metrics.contains("atryum_removed_total{what=\"calls\"}"), "{metrics}");
}
