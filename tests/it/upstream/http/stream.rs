//! Event streams of remote servers, and the two other ways in which they may be spoken to.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::{Session, modern};
use crate::support::program::Program;
use crate::support::remote::{Fault, Manner, On, Remote};

const STREAMING: Manner = Manner { is_modern: false, wants_stream: true, is_sessionful: true, lost_status: 404 };

async fn opened(app: &App, remote: &Remote, capabilities: Value) -> Session {
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    Session::open(&app.agent("ann").await, "n", "2025-11-25", capabilities).await
}

#[actix_rt::test]
async fn an_answer_that_is_a_stream_of_one_event_is_an_answer() {
    let (app, remote) = (App::start().await, Remote::with(STREAMING));
    let session = opened(&app, &remote, json!({})).await;
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
}

#[actix_rt::test]
async fn progress_arrives_event_by_event_before_the_answer_is_written() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let mut stream = session.open_call("held", json!({}), Some(json!("mine"))).await;
    let first = stream.message().await.expect("progress");
    assert_eq!((&first["params"]["progressToken"], &first["params"]["progress"]), (&json!("mine"), &json!(1)));
    // Only now does the server go on: the first event can't have waited for the second.
    remote.release();
    let second = stream.message().await.expect("progress");
    assert_eq!((&second["params"]["progressToken"], &second["params"]["progress"]), (&json!("mine"), &json!(2)));
    let answer = stream.message().await.expect("the answer");
    assert_eq!(answer["result"]["content"][0]["text"], "held", "{answer}");
    assert!(stream.message().await.is_none());
}

#[actix_rt::test]
async fn events_are_read_whatever_their_ends_of_lines_comments_and_unknown_fields() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let body = |end: &str| {
        let lines = [
            "\u{feff}: a comment",
            "",
            "event: weather",
            "data: {\"sun\":true}",
            "",
            "data",
            "",
            "unknown: field",
            "id: 7",
            "data: {\"jsonrpc\":\"2.0\",\"id\":THE-ID,",
            "data: \"result\":{\"content\":[{\"type\":\"text\",\"text\":\"in two lines\"}]}}",
            "",
            "",
        ];
        lines.join(end)
    };
    for end in ["\n", "\r\n", "\r"] {
        remote.heal();
        remote.fault(On::Method("tools/call"), Fault::stream(&body(end)));
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert_eq!(answer["result"]["content"][0]["text"], "in two lines", "{end:?}: {answer}");
    }
}

#[actix_rt::test]
async fn a_stream_that_ends_early_is_taken_up_again_where_it_ended() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let answer = session.call("early", json!({"text": "early"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "late", "{answer}");
    assert_eq!(remote.times_called("early"), 1, "the call is not made again");
    let resumed: Vec<_> = remote.seen("GET").into_iter().filter(|get| get.header("last-event-id").is_some()).collect();
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    assert!(resumed[0].header("last-event-id").unwrap().starts_with("event-"));
    let row = &app.invocations().await[0];
    assert_eq!(row["state"], "completed", "{row}");
}

#[actix_rt::test]
async fn a_stream_that_can_not_be_taken_up_again_leaves_its_call_unknown() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    remote.fault(On::Get, Fault::status(500));
    let answer = session.call("early", json!({"text": "early"})).await;
    assert_eq!(answer["error"]["data"]["retry"], "no", "{answer}");
    assert_eq!(remote.times_called("early"), 1);
    assert_eq!(app.invocations().await[0]["state"], "unknown");
}

#[actix_rt::test]
async fn what_the_server_tells_on_its_standing_stream_reaches_the_agents() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let mut standing = session.client.open("GET", "/mcp/n", String::new()).await;
    assert_eq!(standing.status, 200);
    eventually("a standing stream", async || (!remote.seen("GET").is_empty()).then_some(())).await;
    let count = async || {
        let list = session.request("tools/list", json!({})).await.reply();
        list["result"]["tools"].as_array().expect("tools").len()
    };
    let before = count().await;
    session.call("grow", json!({})).await;
    let told = standing.message().await.expect("a message");
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert_eq!(count().await, before + 1);
}

#[actix_rt::test]
async fn a_standing_stream_that_the_server_ended_is_opened_again() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let mut standing = session.client.open("GET", "/mcp/n", String::new()).await;
    eventually("a standing stream", async || (!remote.seen("GET").is_empty()).then_some(())).await;
    remote.end_streams();
    eventually("another one", async || (remote.seen("GET").len() > 1).then_some(())).await;
    session.call("grow", json!({})).await;
    let told = standing.message().await.expect("a message");
    assert_eq!(told["method"], "notifications/tools/list_changed", "the agent's own stream stayed open");
}

#[actix_rt::test]
async fn a_server_without_a_standing_stream_is_not_asked_again() {
    let (app, remote) = (App::start().await, Remote::start());
    remote.fault(On::Get, Fault::status(405));
    let session = opened(&app, &remote, json!({})).await;
    for n in 0..5 {
        assert!(session.call("echo", json!({"text": format!("{n}")})).await["result"].is_object());
    }
    let asked = remote.seen("GET").len();
    assert!(asked <= 1, "{asked} times");
    assert_eq!(app.operator().get("/api/v1/servers/n").await.json["connection"]["status"], "ready");
}

#[actix_rt::test]
async fn a_question_on_the_calls_stream_is_answered_by_the_agent_while_the_call_waits() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({"elicitation": {}})).await;
    let mut stream = session.open_call("ask", json!({}), None).await;
    let question = stream.message().await.expect("a question");
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let said = json!({"action": "accept", "content": {"name": "Ada"}});
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": said});
    assert_eq!(session.client.post("/mcp/n", reply).await.status, 202);
    let answer = stream.message().await.expect("the answer");
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("Ada"), "{answer}");
}

/// Two agents ask at once; the server numbers its questions for all of its sessions.
#[actix_rt::test]
async fn a_question_is_put_to_whoever_called_and_to_nobody_else() {
    let (app, remote) = (App::start().await, Remote::start());
    let ann = opened(&app, &remote, json!({"elicitation": {}})).await;
    let bob = Session::open(&app.agent("bob").await, "n", "2025-11-25", json!({"elicitation": {}})).await;
    let mut of_ann = ann.open_call("ask", json!({}), None).await;
    let mut of_bob = bob.open_call("ask", json!({}), None).await;
    let (asked_ann, asked_bob) = (of_ann.message().await.unwrap(), of_bob.message().await.unwrap());
    for (session, asked, name) in [(&bob, &asked_bob, "bob"), (&ann, &asked_ann, "ann")] {
        let said = json!({"action": "accept", "content": {"name": name}});
        let reply = json!({"jsonrpc": "2.0", "id": asked["id"], "result": said});
        assert_eq!(session.client.post("/mcp/n", reply).await.status, 202);
    }
    for (stream, name) in [(&mut of_ann, "ann"), (&mut of_bob, "bob")] {
        let answer = stream.message().await.unwrap().to_string();
        assert!(answer.contains(name), "{answer}");
    }
}

#[actix_rt::test]
async fn a_modern_server_is_called_with_headers_that_say_what_the_body_says() {
    let (app, remote) = (App::start().await, Remote::with(Manner { is_modern: true, ..Manner::default() }));
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let agent = app.agent("ann").await.header("mcp-param-place", "=?base64?ZMO2cmZsZQ==?=");
    let call = json!({"name": "echo", "arguments": {"text": "x", "place": "dörfle"}});
    let answer = modern(&agent, "n", "tools/call", call).await.reply();
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    for request in remote.ledger().iter().filter(|request| request.method == "POST" && !request.is("initialize")) {
        assert_eq!(request.header("mcp-protocol-version"), Some("2026-07-28"), "{request:?}");
        assert_eq!(request.header("mcp-method"), request.json["method"].as_str(), "{request:?}");
        assert!(request.header("mcp-session-id").is_none(), "{request:?}");
        let meta = &request.json["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28", "{request:?}");
    }
    let calls = remote.seen("tools/call");
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].header("mcp-name"), Some("echo"));
    assert_eq!(calls[0].header("mcp-param-place"), Some("=?base64?ZMO2cmZsZQ==?="));
}

#[actix_rt::test]
async fn a_legacy_agents_call_to_a_modern_server_carries_the_modern_headers() {
    let (app, remote) = (App::start().await, Remote::with(Manner { is_modern: true, ..Manner::default() }));
    let session = opened(&app, &remote, json!({})).await;
    let answer = session.call("echo", json!({"text": "x", "place": "here"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    let calls = remote.seen("tools/call");
    let sent = (calls[0].header("mcp-method"), calls[0].header("mcp-name"), calls[0].header("mcp-param-place"));
    assert_eq!(sent, (Some("tools/call"), Some("echo"), Some("here")), "{calls:?}");
}

#[actix_rt::test]
async fn a_modern_agent_that_goes_away_ends_its_call_at_a_modern_server() {
    let (app, remote) = (App::start().await, Remote::with(Manner { is_modern: true, ..Manner::default() }));
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let agent = app.agent("ann").await;
    let mut params = json!({"name": "held", "arguments": {}, "_meta": {"progressToken": 1}});
    let (client, body) = crate::support::http::modern_request(&agent, "tools/call", &mut params);
    let mut stream = client.open("POST", "/mcp/n", body).await;
    stream.message().await.expect("it runs");
    drop(stream);
    eventually("it is recorded that nobody waited", async || {
        app.invocations().await.iter().any(|row| row["tool"] == "held" && row["state"] == "unknown").then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_modern_agent_that_goes_away_closes_the_connection_to_a_modern_server() {
    let (app, remote) = (App::start().await, Remote::with(Manner { is_modern: true, ..Manner::default() }));
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let mut params = json!({"name": "held", "arguments": {}, "_meta": {"progressToken": 1}});
    let (client, body) = crate::support::http::modern_request(&app.agent("ann").await, "tools/call", &mut params);
    let mut stream = client.open("POST", "/mcp/n", body).await;
    stream.message().await.expect("it runs");
    drop(stream);
    eventually("the server sees that nobody waits", async || (remote.abandoned() == 1).then_some(())).await;
}

#[actix_rt::test]
async fn a_legacy_call_is_cancelled_by_a_message_that_names_it_as_the_server_knows_it() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let id = session.next_id();
    let params = json!({"name": "held", "arguments": {}, "_meta": {"progressToken": 1}});
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    let client = session.client.clone().header("content-type", "application/json");
    let mut stream = client.open("POST", "/mcp/n", call.to_string()).await;
    stream.message().await.expect("it runs");
    session.notify("notifications/cancelled", json!({"requestId": id, "reason": "enough"})).await;
    let told = eventually("the server is told", async || remote.seen("notifications/cancelled").pop()).await;
    assert_eq!(told.json["params"]["requestId"], remote.seen("tools/call")[0].json["id"], "{told:?}");
    assert_eq!(told.header("mcp-session-id"), remote.seen("tools/call")[0].header("mcp-session-id"));
}

/// A legacy agent that only loses its connection has cancelled nothing.
#[actix_rt::test]
async fn a_legacy_agent_that_goes_away_leaves_its_call_running() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let mut stream = session.open_call("held", json!({}), Some(json!(1))).await;
    stream.message().await.expect("it runs");
    drop(stream);
    remote.release();
    eventually("it ends as it would have", async || {
        app.invocations().await.iter().any(|row| row["tool"] == "held" && row["state"] == "completed").then_some(())
    })
    .await;
    assert_eq!(remote.abandoned(), 0);
}

#[actix_rt::test]
async fn progress_is_a_sign_of_life_and_keeps_a_slow_call_from_being_given_up() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let definition = json!({"name": "n", "mode": "http", "base_url": remote.url, "timeout_seconds": 1});
    app.server_from(definition).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("steady", json!({}), Some(json!("t"))).await;
    let mut last = None;
    while let Some(message) = stream.message().await {
        last = Some(message);
    }
    assert_eq!(last.expect("an answer")["result"]["content"][0]["text"], "steady");
}

#[actix_rt::test]
async fn messages_that_come_in_one_array_are_each_taken() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote, json!({})).await;
    let told = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"both"}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":THE-ID,"result":{"content":[{"type":"text","text":"of two"}]}}"#;
    remote.fault(On::Method("tools/call"), Fault::json(&format!("[{told},{answer}]")));
    let answer = session.request("tools/call", json!({"name": "echo", "arguments": {"text": "x"}})).await;
    assert_eq!(answer.reply()["result"]["content"][0]["text"], "of two", "{answer:?}");
    assert!(answer.messages().iter().any(|message| message["params"]["data"] == "both"), "{answer:?}");
}

#[actix_rt::test]
async fn any_success_will_do_for_a_notification() {
    for taken in [Fault::says(200, &[], ""), Fault::says(204, &[], ""), Fault::json("{}")] {
        let (app, remote) = (App::start().await, Remote::start());
        remote.fault(On::Method("notifications/initialized"), taken);
        let session = opened(&app, &remote, json!({})).await;
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    }
}

/// A real server of the oldest kind: events on one stream, messages posted elsewhere.
#[actix_rt::test]
async fn a_server_of_the_older_sse_pair_is_found_out_and_works() {
    let server = Program::everything("sse").await;
    let app = App::start().await;
    app.allow_all().await;
    app.remote("n", &server.url("/sse")).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let answer = session.call("echo", json!({"message": "old but well"})).await;
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap_or_default().contains("old but well"), "{answer}");
    let again = modern(&app.agent("bob").await, "n", "tools/list", json!({})).await.reply();
    assert!(again["result"]["tools"].is_array(), "{again}");
}
