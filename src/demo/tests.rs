//! Line in, line out.

use super::*;

fn server() -> DemoServer {
    DemoServer::new(|| 1_795_392_000_123)
}

fn ask(server: &mut DemoServer, line: &Value) -> Value {
    serde_json::from_str(&server.answer(&line.to_string()).unwrap()).unwrap()
}

fn legacy(server: &mut DemoServer, method: &str, params: &Value) -> Value {
    ask(server, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

fn modern(server: &mut DemoServer, method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = json!({ meta::PROTOCOL_VERSION: "2026-07-28", meta::CLIENT_CAPABILITIES: {} });
    legacy(server, method, &params)
}

fn call(server: &mut DemoServer, tool: &str, arguments: &Value) -> Value {
    legacy(server, "tools/call", &json!({ "name": tool, "arguments": arguments }))["result"].clone()
}

#[test]
fn a_handshake_agrees_on_the_version_that_was_asked_for() {
    for asked in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let answer = legacy(&mut server(), "initialize", &json!({ "protocolVersion": asked }));
        assert_eq!(answer["result"]["protocolVersion"], asked);
        assert_eq!(answer["result"]["serverInfo"]["name"], "atryum-demo");
    }
    let answer = legacy(&mut server(), "initialize", &json!({ "protocolVersion": "2026-07-28" }));
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn an_id_comes_back_as_it_was_sent() {
    for id in ["0", "\"a\\u00e9\"", "12345678901234567890123", "1.50"] {
        let answer = server().answer(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).unwrap();
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[test]
fn notifications_answers_and_blank_lines_stay_unanswered() {
    for line in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        " ",
        "",
    ] {
        assert_eq!(server().answer(line), None, "{line}");
    }
}

#[test]
fn what_is_not_a_message_is_an_error_without_an_id() {
    let answer = server().answer("hello").unwrap();
    assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700"#), "{answer}");
}

#[test]
fn an_unknown_method_and_an_unknown_tool_have_their_codes() {
    assert_eq!(legacy(&mut server(), "server/discover", &json!({}))["error"]["code"], -32601);
    assert_eq!(modern(&mut server(), "initialize", &json!({}))["error"]["code"], -32601);
    assert_eq!(legacy(&mut server(), "tools/call", &json!({ "name": "nope" }))["error"]["code"], -32602);
    assert_eq!(modern(&mut server(), "tools/call", &json!({ "name": "nope" }))["error"]["code"], -32602);
}

#[test]
fn every_tool_has_both_schemas_and_all_four_hints() {
    let tools = legacy(&mut server(), "tools/list", &json!({}))["result"]["tools"].clone();
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clock", "notes_list", "notes_add", "transfer_money", "delete_everything"]);
    for tool in tools.as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert_eq!(tool["outputSchema"]["type"], "object");
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{} {hint}", tool["name"]);
        }
    }
}

#[test]
fn only_the_two_readers_call_themselves_readers_and_the_two_losers_destructive() {
    let tools = tools::definitions();
    let that_are = |hint: &str| {
        let tools = tools.as_array().unwrap().iter().filter(|tool| tool["annotations"][hint] == true);
        tools.map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(that_are("readOnlyHint"), ["clock", "notes_list"]);
    assert_eq!(that_are("destructiveHint"), ["transfer_money", "delete_everything"]);
}

#[test]
fn the_clock_tells_the_time_as_text_and_as_structure() {
    let result = call(&mut server(), "clock", &json!({}));
    assert_eq!(result["structuredContent"], json!({ "now": "2026-11-23T00:00:00.123Z" }));
    assert_eq!(result["content"][0]["text"], r#"{"now":"2026-11-23T00:00:00.123Z"}"#);
}

#[test]
fn notes_are_kept_until_everything_is_deleted() {
    let mut server = server();
    assert_eq!(call(&mut server, "notes_add", &json!({ "text": "milk" }))["structuredContent"]["count"], 1);
    assert_eq!(call(&mut server, "notes_list", &json!({}))["structuredContent"], json!({ "notes": ["milk"] }));
    assert_eq!(call(&mut server, "delete_everything", &json!({}))["structuredContent"], json!({ "deleted": 1 }));
    assert_eq!(call(&mut server, "notes_list", &json!({}))["structuredContent"], json!({ "notes": [] }));
}

#[test]
fn money_goes_until_there_is_none() {
    let mut server = server();
    let result = call(&mut server, "transfer_money", &json!({ "to": "Ada", "amount": 9_000 }));
    assert_eq!(result["structuredContent"], json!({ "transfer": 1, "to": "Ada", "amount": 9000, "balance": 1000 }));
    let result = call(&mut server, "transfer_money", &json!({ "to": "Ada", "amount": 1_001 }));
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0]["text"], "the account holds 1000 coins only");
}

#[test]
fn arguments_that_do_not_fit_are_told_to_the_model() {
    for (tool, arguments) in [
        ("transfer_money", json!({ "to": "Ada", "amount": -1 })),
        ("transfer_money", json!({ "to": "Ada", "amount": "5" })),
        ("transfer_money", json!({ "to": " ", "amount": 5 })),
        ("transfer_money", json!({ "to": "Ada", "amount": 0 })),
        ("notes_add", json!({})),
        ("clock", json!({ "zone": "CET" })),
    ] {
        assert_eq!(call(&mut server(), tool, &arguments)["isError"], true, "{tool} {arguments}");
    }
}

#[test]
fn a_modern_result_says_that_it_is_complete_and_how_long_it_holds() {
    for method in ["server/discover", "tools/list"] {
        let result = modern(&mut server(), method, &json!({}))["result"].clone();
        assert_eq!(result["resultType"], "complete", "{method}");
        assert!(result["ttlMs"].is_u64() && result["cacheScope"] == "public", "{method}");
        assert_eq!(result["_meta"][meta::SERVER_INFO]["name"], "atryum-demo", "{method}");
    }
    let result = modern(&mut server(), "tools/call", &json!({ "name": "clock" }))["result"].clone();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["ttlMs"], Value::Null);
}

#[test]
fn discovery_names_the_modern_revision_only() {
    let result = modern(&mut server(), "server/discover", &json!({}))["result"].clone();
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
}

#[test]
fn a_modern_request_that_lacks_what_it_must_carry_is_refused() {
    let params = json!({ "_meta": { meta::PROTOCOL_VERSION: "2099-01-01", meta::CLIENT_CAPABILITIES: {} } });
    let answer = legacy(&mut server(), "tools/list", &params);
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"]["supported"], json!(["2026-07-28"]));
    let params = json!({ "_meta": { meta::PROTOCOL_VERSION: "2026-07-28" } });
    assert_eq!(legacy(&mut server(), "tools/list", &params)["error"]["code"], -32602);
}

#[test]
fn the_lines_of_one_conversation_come_back_in_order() {
    let input =
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n";
    let mut output = Vec::new();
    serve(&input[..], &mut output).unwrap();
    let text = String::from_utf8(output).unwrap();
    assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n");
}
