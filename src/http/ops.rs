//! For those who run the gateway: is it up, can it serve, what has it done.

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::find_operator;
use super::gateway::Gateway;
use super::problem::{Problem, ProblemBody};

/// What a proxy adds. A request that carries one of these comes from further away than its peer.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// That the process is up.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Says that the process is up. Asks nobody.
#[utoipa::path(get, path = "/healthz", operation_id = "read_health", tag = "Operations", security(()),
    responses((status = 200, description = "It is up.", body = Health)))]
pub async fn healthz() -> web::Json<Health> {
    web::Json(Health { status: "ok" })
}

/// Whether the gateway can serve, and what that was made from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    checks: Vec<Check>,
}

/// One thing that the gateway can't do without.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    #[schema(example = "store")]
    name: &'static str,
    ok: bool,
    /// In words.
    detail: String,
}

/// Says whether the gateway can serve. The servers behind it have no say in it.
#[utoipa::path(get, path = "/readyz", operation_id = "read_readiness", tag = "Operations", security(()),
    responses((status = 200, description = "It can.", body = Readiness),
              (status = 503, description = "It can't; `checks` says why.", body = Readiness)))]
pub async fn readyz(gateway: web::Data<Gateway>) -> HttpResponse {
    let store = match gateway.store.ping().await {
        Ok(()) => Check { name: "store", ok: true, detail: "the database answers".into() },
        Err(error) => {
            tracing::error!(error = %crate::chain(&error), "the database does not answer");
            Check { name: "store", ok: false, detail: error.to_string() }
        }
    };
    // The store opens only when every migration is in place, and the vault only with the key that sealed its secrets.
    let migrations = Check { name: "migrations", ok: true, detail: "all are in place".into() };
    let key = Check { name: "key", ok: true, detail: "it is the one that sealed the secrets".into() };
    let rules = match gateway.gate.rule_set() {
        Some(rules) => Check { name: "rules", ok: true, detail: format!("revision {} decides", rules.revision) },
        None => Check { name: "rules", ok: false, detail: "no rule set is loaded; every call is denied".into() },
    };
    let load = gateway.journal.load();
    let journal = Check {
        name: "journal",
        ok: load.kept == 0 && !load.is_away && load.is_running,
        detail: match (load.is_running, load.is_away, load.kept) {
            (false, ..) => "its writer has ended; restart the gateway".into(),
            (true, true, _) => "the database is away; calls are refused".into(),
            (true, false, 0) => "everything is written".into(),
            (true, false, kept) => format!("{kept} ends of calls wait for the database"),
        },
    };
    let is_stopping = gateway.downstream.is_stopping();
    let calls = Check {
        name: "calls",
        ok: !is_stopping,
        detail: if is_stopping { "the gateway is stopping and takes no new ones" } else { "new ones are taken" }.into(),
    };
    let checks = vec![store, migrations, key, rules, journal, audit_check(&gateway), calls];
    if checks.iter().all(|check| check.ok) {
        HttpResponse::Ok().json(Readiness { status: "ready", checks })
    } else {
        HttpResponse::ServiceUnavailable().json(Readiness { status: "not_ready", checks })
    }
}

/// Events are kept in any case; that a sink is away is told, and does not keep calls from being taken.
fn audit_check(gateway: &Gateway) -> Check {
    let health = gateway.audit.health();
    let sinks = health.sinks.iter().map(|sink| {
        let missed = match sink.missed {
            0 => String::new(),
            missed => format!(", and {missed} events were removed before it was told"),
        };
        match (&sink.failure, sink.behind) {
            (Some(why), _) => format!("{} is not told: {why}{missed}", sink.name),
            (None, 0) if missed.is_empty() => format!("{} is told everything", sink.name),
            (None, behind) => format!("{} is {behind} events behind{missed}", sink.name),
        }
    });
    let signed = match &health.unsigned {
        Some(why) => format!("its end can't be signed: {why}"),
        None => "its end is signed".to_owned(),
    };
    let detail = std::iter::once(signed).chain(sinks).collect::<Vec<_>>().join("; ");
    Check { name: "audit", ok: health.unsigned.is_none(), detail }
}

/// Gives out all metrics in the Prometheus text format, to this machine and to operators.
#[utoipa::path(get, path = "/metrics", operation_id = "read_metrics", tag = "Operations",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
              (status = 401, description = "Not from this machine, and not an operator.", body = ProblemBody)))]
pub async fn metrics(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    if !is_from_this_machine(&request) {
        find_operator(&request).await?;
    }
    gateway.metrics.audit_writes_failed(gateway.store.failed_commits());
    let text = gateway.metrics.text().map_err(|error| Problem::internal(&error))?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(text))
}

/// A proxy on this machine is a loopback peer, too; then the request says so, or is for another host than this machine.
fn is_from_this_machine(request: &HttpRequest) -> bool {
    let is_loopback = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    is_loopback
        && names_this_machine(request.headers())
        && !FORWARDING.iter().any(|name| request.headers().contains_key(*name))
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name.to_ascii_lowercase().as_str(), "localhost" | "127.0.0.1" | "[::1]")
}
