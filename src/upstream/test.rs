//! Trying a server: a real handshake and real listings, told step by step.

use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::catalog;
use super::connection::Connection;
use super::core::Core;
use super::error::UpstreamError;
use super::http::HttpError;
use super::spec::Transport;
use super::status::Status;
use crate::egress;
use crate::mcp::splice;

/// What a test saw.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TestReport {
    /// Whether the server can be used.
    pub ok: bool,
    /// The status after it.
    pub status: Status,
    /// In all.
    pub duration_ms: u64,
    /// How many tools are listed; absent when the server does not offer any.
    pub tools: Option<u64>,
    /// How many prompts are listed.
    pub prompts: Option<u64>,
    /// How many resources are listed.
    pub resources: Option<u64>,
    /// One after the other, up to the first that failed.
    pub steps: Vec<TestStep>,
}

/// One step of a test.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TestStep {
    /// What was tried.
    pub name: &'static str,
    /// Whether it worked.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
}

impl TestReport {
    pub(super) fn failed(status: &Status, error: &UpstreamError) -> Self {
        Self {
            ok: false,
            status: status.clone(),
            duration_ms: 0,
            tools: None,
            prompts: None,
            resources: None,
            steps: vec![TestStep { name: "start", ok: false, detail: error.to_string(), duration_ms: 0 }],
        }
    }
}

/// Runs the test on a process or session of its own, and ends that. What failed before is no reason not to try.
pub(super) async fn run(core: &Arc<Core>) -> TestReport {
    let started = Instant::now();
    core.forgive();
    let mut steps: Vec<_> = connect(core).await.into_iter().collect();
    let mut counts = [None, None, None];
    let opened = if steps.iter().all(|step| step.ok) { Some(handshake(core, &mut steps).await) } else { None };
    if let Some(Ok(connection)) = &opened {
        let listings = [("tools/list", "tools"), ("prompts/list", "prompts"), ("resources/list", "resources")];
        for ((method, member), count) in listings.into_iter().zip(&mut counts) {
            if splice::find(connection.handshake.capabilities(), &[member]).is_none() {
                continue;
            }
            let asked = Instant::now();
            let listed = match method {
                "tools/list" => connection.list_tools().await,
                _ => catalog::list_all(connection, method, member).await.map(|(items, _)| items),
            };
            *count = listed.as_ref().ok().map(|items| items.len() as u64);
            let outcome = listed.map(|items| format!("{} {member}", items.len()));
            steps.push(step(method, asked, outcome.map_err(|error| core.tail.scrub(&error.to_string()))));
        }
    }
    let [tools, prompts, resources] = counts;
    TestReport {
        ok: steps.iter().all(|step| step.ok),
        status: Status::clone(&core.status.load()),
        duration_ms: elapsed_ms(started),
        tools,
        prompts,
        resources,
        steps,
    }
}

/// Of a remote server, whether it can be connected to at all.
async fn connect(core: &Core) -> Option<TestStep> {
    let Transport::Http(endpoint) = &core.spec.transport else { return None };
    if !core.spec.enabled {
        return None;
    }
    let started = Instant::now();
    let connected = egress::connect(&endpoint.url).await.map_err(HttpError::from);
    if let Err(error) = &connected {
        core.exchange_failed("", error);
    }
    Some(step("connect", started, connected.map_err(|error| core.tail.scrub(&error.to_string()))))
}

async fn handshake(core: &Arc<Core>, steps: &mut Vec<TestStep>) -> Result<Arc<Connection>, UpstreamError> {
    let started = Instant::now();
    let opened = core.open_own().await;
    let outcome = opened.as_ref().map(|connection| greeting(connection));
    steps.push(step("handshake", started, outcome.map_err(|error| core.tail.scrub(&error.to_string()))));
    opened
}

fn greeting(connection: &Connection) -> String {
    let info = connection.handshake.server_info().unwrap_or("{}");
    let part = |member| splice::find_string(info, &[member]).unwrap_or_else(|| "unnamed".into());
    format!("{} {} speaks {}", part("name"), part("version"), connection.handshake.version)
}

fn step(name: &'static str, since: Instant, outcome: Result<String, String>) -> TestStep {
    let ok = outcome.is_ok();
    TestStep { name, ok, detail: outcome.unwrap_or_else(|error| error), duration_ms: elapsed_ms(since) }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
