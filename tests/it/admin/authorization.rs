//! Who gets in where: every path with every method, tried by everyone.

use atryum::http::routes::{Access, INVENTORY, Route};
use serde_json::json;

use crate::support::app::App;
use crate::support::http::Client;
use crate::support::login::log_in;

async fn knock(client: &Client, route: &Route) -> u16 {
    let path =
        route.path.replace("{name:[a-z0-9][a-z0-9-]{0,62}}", "none").replace("{name}", "none").replace("{id}", "none");
    let client = client.clone().header("accept", "application/json, text/event-stream");
    match route.method {
        "GET" | "DELETE" => client.send(route.method, &path, String::new()).await.status,
        method => {
            client.header("content-type", "application/json").send(method, &path, json!({}).to_string()).await.status
        }
    }
}

#[actix_rt::test]
async fn only_operators_reach_what_is_theirs_and_only_agents_what_is_theirs() {
    let app = App::start().await;
    let login = log_in(&app).await;
    let cookie_alone = app.anonymous().header("cookie", &format!("atryum_session={}", login.token));
    let agent = app.agent("ann").await;
    for route in INVENTORY {
        let what = format!("{} {}", route.method, route.path);
        let operator_route = route.access == Access::Operator;
        let agent_route = route.access == Access::Agent;
        // What an agent's key is worth at operators' paths is tried elsewhere: here it would be slowed down.
        for (who, client) in [("anonymous", &app.anonymous()), ("cookie alone", &cookie_alone)] {
            let status = knock(client, route).await;
            assert_eq!(
                status == 401,
                operator_route || agent_route || (what == "POST /api/v1/login" && status == 401),
                "{who}: {what}: {status}"
            );
        }
        if agent_route {
            let status = knock(&agent, route).await;
            assert!(status != 401 && status != 403, "agent: {what}: {status}");
        }
    }
}

#[actix_rt::test]
async fn an_operator_reaches_every_path_of_operators() {
    let app = App::start().await;
    let login = log_in(&app).await;
    let logout = |route: &&Route| route.path != "/api/v1/logout";
    for route in INVENTORY.iter().filter(|route| route.access == Access::Operator).filter(logout) {
        for (who, client) in [("token", &app.operator()), ("login", &login.client(&app))] {
            let status = knock(client, route).await;
            assert!(
                !matches!(status, 401 | 403 | 405 | 429 | 500..),
                "{who}: {} {}: {status}",
                route.method,
                route.path
            );
        }
    }
}

#[test]
fn little_is_public_and_each_of_it_is_meant_to_be() {
    let public: Vec<_> =
        INVENTORY.iter().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
    let meant = [
        "/",
        "/ui",
        "/ui/",
        "/ui/page.js",
        "/ui/style.css",
        "/api/docs",
        "/api/docs.js",
        "/api/openapi.json",
        "/healthz",
        "/readyz",
        "/api/v1/login",
        "/oauth/callback",
        "/oauth/client-metadata.json",
    ];
    assert_eq!(public, meant);
}
