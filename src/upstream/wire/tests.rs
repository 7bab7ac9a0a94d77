//! The wire, driven line by line without a process.

use std::time::Duration;

use super::*;
use crate::upstream::sink::NoSink;

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Heard {
    fn notify(&self, message: String) {
        self.0.lock().unwrap().push(message);
    }

    fn ask(&self, message: String) -> bool {
        self.0.lock().unwrap().push(message);
        true
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as a request takes it")]
fn ticket(sink: &Arc<Heard>, id: &str, token: Option<&str>) -> Option<Ticket> {
    Some(Ticket { sink: sink.clone(), progress_token: token.map(Into::into), id: id.into() })
}

fn wired(fallback: Arc<dyn Sink>, audience: Audience) -> (Arc<Wire>, tokio::sync::mpsc::Receiver<String>) {
    let (outlet, lines) = Outlet::queue();
    (Wire::new(outlet, fallback, audience), lines)
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Session);
    let first = wire.request("tools/call", Some("{}"), None).unwrap();
    let second = wire.request("tools/call", Some("{}"), None).unwrap();
    assert_eq!(lines.recv().await.unwrap(), r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#);
    assert!(wire.line(r#"{"jsonrpc":"2.0","id":2,"result":{"n":1.50}}"#));
    assert!(wire.line(r#"{"jsonrpc":"2.0","id":"1","result":{"wrong":"type of id"}}"#));
    assert!(wire.line(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#));
    assert!(wire.line(r#"{"jsonrpc":"2.0","id":1,"result":{"again":true}}"#));
    assert_eq!(second.reply(LONG, LONG).await.unwrap(), Reply::Result(r#"{"n":1.50}"#.into()));
    assert_eq!(first.reply(LONG, LONG).await.unwrap(), Reply::Error(r#"{"code":-1,"message":"no"}"#.into()));
    assert_eq!(wire.in_flight(), 0);
}

#[tokio::test]
async fn two_agents_with_the_same_token_each_hear_their_own_progress() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Session);
    let (ann, bob) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    let params = r#"{"name":"t","_meta":{"progressToken":"p"}}"#;
    let _a = wire.request("tools/call", Some(params), ticket(&ann, "0", Some("\"p\""))).unwrap();
    let _b = wire.request("tools/call", Some(params), ticket(&bob, "0", Some("\"p\""))).unwrap();
    assert!(lines.recv().await.unwrap().contains(r#""progressToken":1"#));
    assert!(lines.recv().await.unwrap().contains(r#""progressToken":2"#));
    wire.line(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}"#);
    assert!(ann.all().is_empty());
    assert_eq!(
        bob.all(),
        [r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#]
    );
}

#[tokio::test]
async fn a_question_of_the_server_is_answered_under_the_servers_own_id() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Session);
    let agent = Arc::new(Heard::default());
    let _call = wire.request("tools/call", None, ticket(&agent, "7", None)).unwrap();
    let _sent = lines.recv().await;
    // The server counts from 1 too: its id collides with ours and must not be taken for an answer.
    wire.line(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#);
    let asked = agent.all().pop().unwrap();
    let id: u64 = splice::find(&asked, &["id"]).unwrap().parse().unwrap();
    assert_eq!(asked, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#));
    assert!(!wire.answer(id + 1_000_000, &Reply::Result("{}".into())));
    assert!(wire.answer(id, &Reply::Result(r#"{"roots":[]}"#.into())));
    assert_eq!(lines.recv().await.unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#);
    assert_eq!(wire.in_flight(), 1);
}

#[tokio::test]
async fn a_question_during_an_agents_own_calls_is_about_the_one_that_does_not_wait_already() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Agent);
    let (first, second) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    let _first = wire.request("tools/call", None, ticket(&first, "1", None)).unwrap();
    wire.line(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#);
    wire.line(r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#);
    assert_eq!(first.all().len(), 2, "it is the only one");
    let _second = wire.request("tools/call", None, ticket(&second, "2", None)).unwrap();
    wire.line(r#"{"jsonrpc":"2.0","id":3,"method":"roots/list"}"#);
    assert_eq!((first.all().len(), second.all().len()), (2, 1), "the first one waits");
    let _third = wire.request("tools/call", None, ticket(&first, "3", None)).unwrap();
    let _fourth = wire.request("tools/call", None, ticket(&first, "4", None)).unwrap();
    wire.line(r#"{"jsonrpc":"2.0","id":4,"method":"roots/list"}"#);
    for _ in 0..4 {
        assert!(lines.recv().await.unwrap().contains("tools/call"));
    }
    let refusal = lines.recv().await.unwrap();
    assert!(refusal.contains(r#""id":4"#) && refusal.contains("-32601"), "it may be about either: {refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_waits_for_an_answer_is_not_silent() {
    let (wire, _lines) = wired(Arc::new(NoSink), Audience::Agent);
    let agent = Arc::new(Heard::default());
    let call = wire.request("tools/call", None, ticket(&agent, "1", None)).unwrap();
    wire.line(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#);
    let began = Instant::now();
    let mut reply = std::pin::pin!(call.reply(Duration::from_secs(1), LONG));
    assert!(tokio::time::timeout(Duration::from_secs(30), reply.as_mut()).await.is_err());
    let id = splice::find(&agent.all()[0], &["id"]).unwrap().parse().unwrap();
    assert!(wire.answer(id, &Reply::Result(r#"{"roots":[]}"#.into())));
    assert!(matches!(reply.await, Err(UpstreamError::TimedOut { .. })), "from then on it is");
    assert!(began.elapsed() < Duration::from_secs(33), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_question_that_nobody_can_hear_is_refused_and_a_ping_is_answered() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Session);
    wire.line(r#"{"jsonrpc":"2.0","id":"x","method":"sampling/createMessage","params":{}}"#);
    let refusal = lines.recv().await.unwrap();
    assert!(refusal.contains(r#""id":"x""#) && refusal.contains("-32601"), "{refusal}");
    wire.line(r#"{"jsonrpc":"2.0","id":"y","method":"ping"}"#);
    assert_eq!(lines.recv().await.unwrap(), r#"{"jsonrpc":"2.0","id":"y","result":{}}"#);
}

#[tokio::test]
async fn whoever_stops_waiting_cancels() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Session);
    let call = wire.request("tools/call", None, None).unwrap();
    let _sent = lines.recv().await;
    drop(call);
    let cancelled = lines.recv().await.unwrap();
    assert!(cancelled.contains("notifications/cancelled") && cancelled.contains(r#""requestId":1"#), "{cancelled}");
    wire.line(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(wire.in_flight(), 0);
}

#[tokio::test]
async fn the_end_is_told_to_everyone_who_waits() {
    let (wire, _lines) = wired(Arc::new(NoSink), Audience::Session);
    let call = wire.request("tools/call", None, None).unwrap();
    wire.end(Ended::Exited { exit: "exited with code 3".into(), stderr: vec!["boom".into()] });
    let error = call.reply(LONG, LONG).await.unwrap_err();
    assert!(error.was_sent() && error.to_string().contains("exited with code 3") && error.to_string().contains("boom"));
    let refused = wire.request("tools/call", None, None).err().unwrap();
    assert!(!refused.was_sent());
}

#[tokio::test(start_paused = true)]
async fn progress_keeps_a_request_alive_up_to_the_longest_time() {
    let (wire, _lines) = wired(Arc::new(NoSink), Audience::Session);
    let call = wire.request("tools/call", None, None).unwrap();
    let beat = tokio::spawn({
        let wire = wire.clone();
        async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(40)).await;
                wire.line(
                    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
                );
            }
        }
    });
    let started = Instant::now();
    let error = call.reply(Duration::from_mins(1), Duration::from_mins(10)).await.unwrap_err();
    assert!(matches!(error, UpstreamError::TimedOut { .. }));
    assert_eq!(started.elapsed().as_secs(), 600);
    beat.abort();
    let silent = wire.request("tools/call", None, None).unwrap();
    let started = Instant::now();
    assert!(silent.reply(Duration::from_mins(1), Duration::from_mins(10)).await.is_err());
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn noise_is_skipped_until_there_is_nothing_else() {
    let (wire, _lines) = wired(Arc::new(NoSink), Audience::Session);
    for _ in 0..50 {
        assert!(wire.line("Starting server…"));
    }
    assert!(wire.line(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#));
    for _ in 0..99 {
        assert!(wire.line("{not json"));
    }
    assert!(!wire.line("still not"));
}

#[tokio::test]
async fn an_answer_that_is_too_long_fails_its_own_request_only() {
    let (wire, _lines) = wired(Arc::new(NoSink), Audience::Session);
    let first = wire.request("tools/call", None, None).unwrap();
    let second = wire.request("tools/call", None, None).unwrap();
    wire.line_too_long(r#"{"jsonrpc":"2.0", "id": 2,"result":{"#, 100);
    assert!(matches!(second.reply(LONG, LONG).await, Err(UpstreamError::TooLarge { bytes_max: 100 })));
    wire.line(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert!(first.reply(LONG, LONG).await.is_ok());
}

#[tokio::test]
async fn a_listener_hears_its_own_subscription_under_its_own_id() {
    let (wire, _lines) = wired(Arc::new(NoSink), Audience::Session);
    let agent = Arc::new(Heard::default());
    let listen = wire.request("subscriptions/listen", Some("{}"), ticket(&agent, "\"listen:0\"", None)).unwrap();
    wire.line(
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
    );
    assert_eq!(
        agent.all(),
        [
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"listen:0"}}}"#
        ]
    );
    wire.line(r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#);
    assert_eq!(
        listen.reply(LONG, LONG).await.unwrap(),
        Reply::Result(r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"listen:0"}}"#.into())
    );
}

#[tokio::test]
async fn where_several_agents_use_a_process_none_hears_what_may_be_anothers() {
    let everyone = Arc::new(Heard::default());
    let (wire, mut lines) = wired(everyone.clone(), Audience::Everyone);
    let ann = Arc::new(Heard::default());
    let _call = wire.request("tools/call", None, ticket(&ann, "7", None)).unwrap();
    let _sent = lines.recv().await;
    wire.line(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"secret":"of bob"}}"#);
    assert!(lines.recv().await.unwrap().contains("-32601"));
    wire.line(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"about bob"}}"#);
    assert!(ann.all().is_empty() && everyone.all().is_empty());
    wire.line(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    assert_eq!(everyone.all().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_without_end_costs_bounded_memory() {
    let (wire, mut lines) = wired(Arc::new(NoSink), Audience::Session);
    let agent = Arc::new(Heard::default());
    let _call = wire.request("tools/call", None, ticket(&agent, "7", None)).unwrap();
    let _sent = lines.recv().await;
    for id in 0..65 {
        wire.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#));
    }
    let refused = lines.recv().await.unwrap();
    assert!(refused.contains(r#""id":0,"#) && refused.contains("too many"), "{refused}");
    let last = agent.all().pop().unwrap();
    let last = splice::find(&last, &["id"]).unwrap().parse().unwrap();
    assert!(wire.answer(last, &Reply::Result("{}".into())));
}
