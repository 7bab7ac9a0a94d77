//! `GET /api/v1/servers`

use serde_json::{Value, json};

use crate::support::app::App;

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("items").iter().map(|server| server["name"].as_str().expect("a name")).collect()
}

#[actix_rt::test]
async fn servers_are_listed_by_name_and_narrowed() {
    let app = App::start().await;
    for (name, enabled) in [("github", true), ("calc", true), ("gitlab", false)] {
        app.server_from(json!({"name": name, "command": "cat", "enabled": enabled, "env": {"FOR": name}})).await;
    }
    let list = async |query: &str| app.operator().get(&format!("/api/v1/servers{query}")).await.json;
    assert_eq!(names(&list("").await), ["calc", "github", "gitlab"]);
    assert_eq!(names(&list("?enabled=true").await), ["calc", "github"]);
    assert_eq!(names(&list("?enabled=false").await), ["gitlab"]);
    assert_eq!(names(&list("?q=GIT").await), ["github", "gitlab"]);
    assert_eq!(names(&list("?q=git&enabled=false").await), ["gitlab"]);
    assert_eq!(names(&list("?q=%25").await), Vec::<&str>::new(), "a wildcard of the database means itself");
    assert_eq!(list("?q=calc").await["items"][0]["env_names"], json!(["FOR"]));
}

#[actix_rt::test]
async fn a_long_list_comes_in_pages_that_hold_each_server_once() {
    let app = App::start().await;
    for n in 0..7 {
        app.server(&format!("s{n}"), "cat", &[]).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/servers?limit=3".to_owned();
    loop {
        let page = app.operator().get(&path).await.json;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/servers?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, (0..7).map(|n| format!("s{n}")).collect::<Vec<_>>());
}

#[actix_rt::test]
async fn a_server_that_is_not_there_is_named() {
    let app = App::start().await;
    for (method, path) in [
        ("GET", "/api/v1/servers/none"),
        ("DELETE", "/api/v1/servers/none"),
        ("POST", "/api/v1/servers/none/test"),
        ("GET", "/api/v1/servers/none/tools"),
        ("GET", "/api/v1/servers/none/logs"),
        ("POST", "/api/v1/servers/none/restart"),
    ] {
        let answer = app.operator().send(method, path, String::new()).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("not_found")), "{method} {path}");
        assert!(answer.json["detail"].as_str().unwrap().contains("none"), "{method} {path}: {answer:?}");
    }
    assert_eq!(app.operator().patch("/api/v1/servers/none", json!({})).await.status, 404);
}
