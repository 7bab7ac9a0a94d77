//! All that a remote server can do wrong, one row each.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::{Answer, Client, Session, modern};
use crate::support::remote::{Authority, Fault, Manner, On, Remote};

/// A fault, and what must be told of it.
struct Row {
    name: &'static str,
    fault: Fault,
    /// `error.data.code`
    code: &'static str,
    /// `error.data.retry`: `no` if the call may have run
    retry: &'static str,
    /// what `connection.reason` names, in some form
    reason: &'static str,
}

fn row(name: &'static str, fault: Fault, code: &'static str, retry: &'static str, reason: &'static str) -> Row {
    Row { name, fault, code, retry, reason }
}

/// What can become of a request that was taken.
fn rows(elsewhere: &str) -> Vec<Row> {
    vec![
        row("reset", Fault::reset(), "connection_reset", "no", "broke before it answered"),
        row("close", Fault::close(), "connection_reset", "no", "broke before it answered"),
        row("hang", Fault::hang(), "timed_out", "no", "within 2 s"),
        row("head-then-hang", Fault::head_then_hang(), "timed_out", "no", "within 2 s"),
        row("early", Fault::early(), "connection_reset", "no", "interim status 103"),
        row("html", Fault::html(), "web_page", "no", "text/html"),
        row("other-type", Fault::other_type(), "wrong_content_type", "no", "application/octet-stream"),
        row("invalid-json", Fault::invalid_json(), "not_json_rpc", "no", "not a JSON-RPC message"),
        row("other-id", Fault::other_id(), "no_answer", "no", "without a reply"),
        row("cut-body", Fault::cut_body(), "answer_truncated", "no", "broke off"),
        row("cut-chunks", Fault::cut_chunks(), "answer_truncated", "no", "broke off"),
        row("no-length", Fault::no_length(), "answer_unbounded", "no", "its length"),
        row("comments", Fault::comments(), "timed_out", "no", "within 2 s"),
        row("silent-stream", Fault::silent_stream(), "no_answer", "no", "without a reply"),
        row("cut-stream", Fault::cut_stream(), "no_answer", "no", "without a reply"),
        row("big-body", Fault::big_body(), "answer_too_large", "no", "longer than"),
        row("big-line", Fault::big_line(), "answer_too_large", "no", "longer than"),
        row("gzip-bomb", Fault::gzip_bomb(), "answer_encoded", "no", "gzip"),
        row("moved-301", Fault::redirect(301, elsewhere), "redirected", "safe", "301"),
        row("moved-302", Fault::redirect(302, elsewhere), "redirected", "safe", "302"),
        row("moved-303", Fault::redirect(303, elsewhere), "redirected", "no", "303"),
        row("moved-307", Fault::redirect(307, elsewhere), "redirected", "safe", "307"),
        row("moved-308", Fault::redirect(308, elsewhere), "redirected", "safe", "308"),
        row("unauthorized", Fault::unauthorized(), "unauthorized", "safe", "401"),
        row("forbidden", Fault::status(403), "forbidden", "safe", "403"),
        row("not-allowed", Fault::status(405), "endpoint_not_found", "safe", "405"),
        row("too-many", Fault::too_many(7), "rate_limited", "safe", "429"),
        row("error-500", Fault::status(500), "server_error", "no", "500"),
        row("error-502", Fault::status(502), "server_error", "no", "502"),
        row("error-503", Fault::status(503), "server_error", "no", "503"),
    ]
}

/// What an agent and an operator saw of a fault; empty when it is as the row says.
fn told(row: &Row, answer: &Answer, server: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(format!("{}: {what}", row.name));
        }
    };
    let reply = answer.messages().pop().unwrap_or(Value::Null);
    let data = &reply["error"]["data"];
    check(answer.status == 200, format!("the agent's answer has status {}: {}", answer.status, answer.text));
    check(answer.header("www-authenticate").is_none(), "the agent was shown a challenge".into());
    check(!answer.text.contains("upstream-canary"), format!("the challenge is in the text: {}", answer.text));
    check(data["code"] == row.code, format!("the code is {} and not {}: {reply}", data["code"], row.code));
    check(data["retry"] == row.retry, format!("retry is {} and not {}: {reply}", data["retry"], row.retry));
    // That one answer was long says nothing of the server.
    let is_of_the_call = row.code == "answer_too_large" && server["connection"]["status"] == "ready";
    let reason = format!("{} {}", server["connection"]["reason"], server["credentials"]["reason"]);
    check(is_of_the_call || reason.contains(row.reason), format!("the reason names no {:?}: {server}", row.reason));
    wrong
}

async fn server(app: &App, name: &str) -> Value {
    app.operator().get(&format!("/api/v1/servers/{name}")).await.json
}

/// Calls it over and over until the future is done; each call must succeed.
async fn while_calling<T>(calm: &Session, work: impl Future<Output = T>) -> T {
    let calls = async {
        for n in 0.. {
            let answer = calm.call("echo", json!({"text": format!("calm {n}")})).await;
            assert_eq!(answer["result"]["content"][0]["text"], format!("calm {n}"), "{answer}");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = calls => unreachable!("it never ends"),
        done = work => done,
    }
}

/// What the matrix is played on.
struct Stage {
    app: App,
    agent: Client,
    /// Where redirects lead.
    elsewhere: Remote,
    /// With a server that has no part in the play.
    calm: Session,
    _calm_server: Remote,
}

impl Stage {
    async fn set() -> Self {
        let app = App::start().await;
        app.allow_all().await;
        let calm_server = Remote::start();
        app.remote("calm", &calm_server.url).await;
        let agent = app.agent("ann").await;
        let calm = Session::open(&agent, "calm", "2025-11-25", json!({})).await;
        Self { app, agent, elsewhere: Remote::start(), calm, _calm_server: calm_server }
    }
}

/// In a session that is open: the fault is in the answer to the call itself.
async fn in_a_session(app: &App, agent: &Client, row: &Row) -> Vec<String> {
    let remote = Remote::start();
    app.remote(row.name, &remote.url).await;
    let session = Session::open(agent, row.name, "2025-11-25", json!({})).await;
    remote.fault(On::Method("tools/call"), row.fault.clone());
    let answer = session.request("tools/call", json!({"name": "echo", "arguments": {"text": row.name}})).await;
    let mut wrong = told(row, &answer, &server(app, row.name).await);
    let times = remote.times_called(row.name);
    if times != 1 {
        wrong.push(format!("{}: the call arrived {times} times", row.name));
    }
    remote.heal();
    if answer.reply()["error"]["data"]["retry_after_seconds"].is_null() {
        let healed = session.call("echo", json!({"text": "well again"})).await;
        if healed["result"]["content"][0]["text"] != "well again" {
            wrong.push(format!("{}: the session does not go on: {healed}", row.name));
        }
        let server = server(app, row.name).await;
        if (&server["connection"]["status"], &server["credentials"]["status"]) != (&json!("ready"), &json!("ready")) {
            wrong.push(format!("{}: it is well again and not told as such: {server}", row.name));
        }
    }
    wrong
}

#[actix_rt::test]
async fn each_fault_of_an_answer_is_told_apart_and_no_call_is_made_twice() {
    let Stage { app, agent, elsewhere, calm, _calm_server } = Stage::set().await;
    let rows = rows(&elsewhere.url);
    let played = futures_util::future::join_all(rows.iter().map(|row| in_a_session(&app, &agent, row)));
    let mut wrong = while_calling(&calm, played).await.concat();
    let states: BTreeMap<_, _> = app
        .invocations()
        .await
        .iter()
        .filter(|call| call["tool"] == "echo" && call["state"] != "completed")
        .map(|call| (call["server"].as_str().unwrap().to_owned(), call["state"].as_str().unwrap().to_owned()))
        .collect();
    for row in &rows {
        let expected = if row.retry == "no" { "unknown" } else { "failed" };
        let state = states.get(row.name).map(String::as_str);
        if state != Some(expected) {
            wrong.push(format!("{}: the journal says {state:?} and not {expected}", row.name));
        }
    }
    assert_eq!(elsewhere.ledger().len(), 0, "nobody follows anywhere");
    assert!(wrong.is_empty(), "{} rows of the matrix are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// From the first request on: nothing of the call was sent.
async fn from_the_beginning(app: &App, agent: &Client, row: &Row) -> Vec<String> {
    let remote = Remote::start();
    remote.fault(On::Every, row.fault.clone());
    app.remote(row.name, &remote.url).await;
    let mut wrong = unopened(app, agent, row).await;
    if remote.times_called(row.name) != 0 {
        wrong.push(format!("{}: the call was sent", row.name));
    }
    wrong
}

async fn unopened(app: &App, agent: &Client, row: &Row) -> Vec<String> {
    let call = json!({"name": "echo", "arguments": {"text": row.name}});
    let answer = modern(agent, row.name, "tools/call", call).await;
    told(row, &answer, &server(app, row.name).await)
}

#[actix_rt::test]
async fn each_fault_of_a_handshake_is_told_apart_and_the_call_is_never_sent() {
    let Stage { app, agent, elsewhere, calm, _calm_server } = Stage::set().await;
    let mut rows = rows(&elsewhere.url);
    rows.push(row("not-found", Fault::status(404), "endpoint_not_found", "safe", "404"));
    for row in &mut rows {
        row.retry = "safe";
        if row.code == "timed_out" {
            row.code = "start_timed_out";
        }
    }
    let played = futures_util::future::join_all(rows.iter().map(|row| from_the_beginning(&app, &agent, row)));
    let mut wrong = while_calling(&calm, played).await.concat();
    for call in app.invocations().await.iter().filter(|call| call["server"] != "calm" && call["tool"] == "echo") {
        if call["state"] != "refused" {
            wrong.push(format!("{}: the journal says {} and not refused", call["server"], call["state"]));
        }
    }
    assert_eq!(elsewhere.ledger().len(), 0, "nobody follows anywhere");
    assert!(wrong.is_empty(), "{} rows of the matrix are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[actix_rt::test]
async fn a_server_that_can_not_be_connected_to_is_told_by_what_stands_in_the_way() {
    let app = App::start().await;
    app.allow_all().await;
    let agent = app.agent("ann").await;
    let (plain, secure, resets) = (Remote::start(), Remote::tls(&Authority::new()), Remote::start());
    resets.fault(On::Accept, Fault::reset());
    let refused = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}/mcp", gone.local_addr().expect("an address"))
    };
    let none = Fault::hang;
    let rows = [
        (refused, row("refused", none(), "connect_failed", "safe", "refused")),
        (
            "http://no-such-host.invalid/mcp".into(),
            row("dns", none(), "host_not_found", "safe", "no-such-host.invalid"),
        ),
        (
            plain.url.replace("http:", "https:"),
            row("tls-to-plain", none(), "tls_failed", "safe", "no secure connection"),
        ),
        (secure.url.clone(), row("unknown-authority", none(), "tls_failed", "safe", "certificate")),
    ];
    let mut wrong = Vec::new();
    for (url, row) in &rows {
        app.remote(row.name, url).await;
        wrong.extend(unopened(&app, &agent, row).await);
        let status = server(&app, row.name).await["connection"]["status"].clone();
        if status != "unreachable" {
            wrong.push(format!("{}: the status is {status} and not unreachable", row.name));
        }
    }
    assert!(secure.ledger().is_empty(), "nothing is said to whom nobody vouches for");
    // Whether it is noticed while connecting or just after is a matter of luck.
    app.remote("resets", &resets.url).await;
    let call = json!({"name": "echo", "arguments": {}});
    let data = modern(&agent, "resets", "tools/call", call).await.reply()["error"]["data"].clone();
    let is_told = data["code"] == "connect_failed" || data["code"] == "connection_reset";
    assert!(is_told && data["retry"] == "safe", "{data}");
    assert_eq!(server(&app, "resets").await["connection"]["status"], "unreachable");
    assert!(wrong.is_empty(), "{} rows of the matrix are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// So that the row above says something of the certificate, and not of TLS as such.
#[actix_rt::test]
async fn a_server_whose_certificate_is_of_a_trusted_authority_is_called_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, file) = (Authority::new(), folder.path().join("authority.pem"));
    authority.write(&file);
    let remote = Remote::tls(&authority);
    let app = Settings::default().with("SSL_CERT_FILE", file.to_str().unwrap()).start().await;
    app.allow_all().await;
    app.remote("secure", &remote.url).await;
    let session = Session::open(&app.agent("ann").await, "secure", "2025-11-25", json!({})).await;
    let answer = session.call("echo", json!({"text": "sealed"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "sealed", "{answer}");
}

#[actix_rt::test]
async fn a_server_that_asks_for_patience_is_given_it_by_everybody() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let (ann, bob) = (app.agent("ann").await, app.agent("bob").await);
    let ann = Session::open(&ann, "n", "2025-11-25", json!({})).await;
    let bob = Session::open(&bob, "n", "2025-11-25", json!({})).await;
    remote.fault_times(1, On::Method("tools/call"), Fault::too_many(300));
    let first = ann.call("echo", json!({"text": "first"})).await;
    assert_eq!(first["error"]["data"]["retry_after_seconds"], 300, "{first}");
    let other = bob.call("echo", json!({"text": "second"})).await;
    let wait = other["error"]["data"]["retry_after_seconds"].as_u64().unwrap_or_else(|| panic!("{other}"));
    assert!((200..=300).contains(&wait), "{other}");
    assert_eq!(other["error"]["data"]["retry"], "safe", "{other}");
    assert_eq!(remote.times_called("second"), 0, "nobody asks again before the time");
}

#[actix_rt::test]
async fn after_five_failures_in_a_row_calls_are_refused_at_once_with_the_time_until_then() {
    let (app, remote, calm) = (App::start().await, Remote::start(), Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    app.remote("calm", &calm.url).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    remote.fault(On::Method("tools/call"), Fault::status(500));
    for n in 0..5 {
        let failed = session.call("echo", json!({"text": format!("call {n}")})).await;
        assert_eq!(failed["error"]["data"]["code"], "server_error", "{failed}");
    }
    let refused = session.call("echo", json!({"text": "too late"})).await;
    let data = &refused["error"]["data"];
    assert_eq!((&data["code"], &data["retry"]), (&json!("circuit_open"), &json!("safe")), "{refused}");
    assert!(data["retry_after_seconds"].as_u64().is_some_and(|seconds| seconds > 0), "{refused}");
    assert_eq!(remote.times_called("too late"), 0);
    let row = &app.invocations().await[0];
    assert_eq!(row["state"], "refused", "{row}");
    let state = server(&app, "n").await;
    assert_eq!(state["connection"]["status"], "backoff", "{state}");
    let calm = Session::open(&agent, "calm", "2025-11-25", json!({})).await;
    assert!(calm.call("echo", json!({"text": "x"})).await["result"].is_object(), "others are as they were");
}

#[actix_rt::test]
async fn when_the_time_is_over_one_call_tries_and_its_success_lets_all_others_through() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    remote.fault(On::Method("tools/call"), Fault::status(500));
    for n in 0..6 {
        session.call("echo", json!({"text": format!("call {n}")})).await;
    }
    remote.heal();
    eventually("it is tried again", async || {
        let answer = session.call("echo", json!({"text": "again"})).await;
        answer["result"].is_object().then_some(())
    })
    .await;
    for n in 0..5 {
        let answer = session.call("echo", json!({"text": format!("well {n}")})).await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    assert_eq!(server(&app, "n").await["connection"]["status"], "ready");
}

#[actix_rt::test]
async fn a_line_that_never_ends_costs_bounded_memory_and_its_connection() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let before = crate::upstream::resident_kib(app.pid);
    remote.fault(On::Method("tools/call"), Fault::endless_line());
    for n in 0..3 {
        let answer = session.call("echo", json!({"text": format!("endless {n}")})).await;
        assert_eq!(answer["error"]["data"]["code"], "answer_too_large", "{answer}");
    }
    // Each is read up to the bound of 16 MiB, and none is kept.
    let grown = crate::upstream::resident_kib(app.pid).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more than before");
}

#[actix_rt::test]
async fn a_server_that_answers_nothing_is_no_longer_waited_for() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let silent = json!({"name": "n", "mode": "http", "base_url": remote.url, "timeout_seconds": 1});
    app.server_from(silent).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    remote.fault(On::Method("tools/call"), Fault::hang());
    let calls = (0..5).map(|_| session.call("echo", json!({"text": "x"})));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer["error"]["data"]["code"], "timed_out", "{answer}");
    }
    let refused = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(refused["error"]["data"]["code"], "circuit_open", "{refused}");
    let state = server(&app, "n").await;
    assert!(state["connection"]["reason"].as_str().is_some_and(|reason| reason.contains("within 1 s")), "{state}");
}

#[actix_rt::test]
async fn calls_that_hang_at_one_server_take_nothing_from_another() {
    let (app, hanging, calm) = (App::start().await, Remote::start(), Remote::start());
    app.allow_all().await;
    app.server_from(json!({"name": "hangs", "mode": "http", "base_url": hanging.url, "timeout_seconds": 60})).await;
    app.remote("calm", &calm.url).await;
    let agent = app.agent("ann").await;
    let hung = Session::open(&agent, "hangs", "2025-11-25", json!({})).await;
    let calm = Session::open(&agent, "calm", "2025-11-25", json!({})).await;
    hanging.fault(On::Method("tools/call"), Fault::hang());
    let hang = futures_util::future::join_all((0..120).map(|_| hung.call("echo", json!({"text": "x"}))));
    let others = async {
        eventually("all hang", async || (hanging.seen("tools/call").len() == 120).then_some(())).await;
        for n in 0..20 {
            let answer = calm.call("echo", json!({"text": format!("{n}")})).await;
            assert_eq!(answer["result"]["content"][0]["text"], format!("{n}"), "{answer}");
        }
    };
    tokio::select! {
        _ = hang => panic!("they ended before they were given up"),
        () = others => {}
    }
}

#[actix_rt::test]
async fn answers_that_say_no_are_no_failures_of_the_server() {
    let (app, remote) = (App::start().await, Remote::with(Manner { wants_stream: true, ..Manner::default() }));
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for _ in 0..8 {
        let unknown = session.call("no-such-tool", json!({})).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        let failed = session.call("lost", json!({})).await;
        assert_eq!(failed["result"]["isError"], true, "{failed}");
    }
    assert_eq!(server(&app, "n").await["connection"]["status"], "ready");
}

#[actix_rt::test]
async fn an_address_that_no_server_may_have_is_refused_when_it_is_registered() {
    let app = App::start().await;
    for url in [
        "http://169.254.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/mcp",
        "http://[::ffff:169.254.169.254]/mcp",
        "http://2852039166/mcp",
        "http://0xa9.0xfe.0xa9.0xfe/mcp",
        "http://user:password@example.com/mcp",
        "http://example.com/mcp#part",
        "ftp://example.com/mcp",
        "example.com/mcp",
        "",
    ] {
        let definition = json!({"name": "n", "mode": "http", "base_url": url});
        let answer = app.operator().post("/api/v1/servers", definition).await;
        let pointer = &answer.json["errors"][0]["pointer"];
        assert_eq!((answer.status, pointer), (422, &json!("/base_url")), "{url:?}: {answer:?}");
        assert!(!answer.text.contains("password@"), "{answer:?}");
    }
}
