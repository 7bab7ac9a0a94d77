//! The gateway as a whole: every part built in the order in which they need each other, run, and taken down in reverse.

mod demo;
mod error;
mod replicas;
mod serving;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use serde_json::json;

pub use error::AppError;

use crate::audit::{Audit, Keep, Target};
use crate::clock;
use crate::config::Config;
use crate::connect::{Connect, Place};
use crate::downstream::{Bounds, Downstream};
use crate::gate::{Approvals, Gate, Terms};
use crate::http::gateway::Gateway;
use crate::http::server::Listening;
use crate::identity::{Keyring, Operators};
use crate::invocation::{Invocations, Pledges};
use crate::journal::{Journal, Redaction};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::store::{self, Store};
use crate::trail::Event;
use crate::upstream::{Arbiters, Limits, Registry};
use crate::vault::Vault;
use replicas::Replicas;

/// How long upstreams may take to be gone when the gateway stops.
const UPSTREAMS_GONE_WITHIN: Duration = Duration::from_secs(10);

/// A gateway that is built and listens, but does not serve yet.
pub struct App {
    gateway: Gateway,
    server: actix_web::dev::Server,
    /// Runs the upstreams; ends with the app.
    upstreams: Arbiter,
    replicas: Replicas,
    /// Printed when it listens.
    greeting: Vec<String>,
}

impl App {
    /// Builds every part. Whatever is wrong is found here, before anything is served.
    ///
    /// # Errors
    /// The configuration, the key, the database or the address can't be used; the error says which and why.
    pub async fn build(config: Config) -> Result<Self, AppError> {
        let config = Arc::new(config);
        let store = Store::open_with(&config.database_url(), config.journal.durability).await?;
        let vault = Vault::unlock(config.key_source(), &store).await?;
        let metrics = Metrics::new()?;
        let audit = Audit::new(store.clone(), &vault, metrics.clone(), keep(&config), targets(&config)).await?;
        store::audit::tell(&store, [started()]).await?;
        recover(&store).await?;
        let keyring = Keyring::load(store.clone(), &vault).await?;
        let operators = Operators::new(store.clone(), config.admin_token.as_ref())?;
        let journal = Journal::start_with(store.clone(), redaction(&config, &vault)?);
        audit.start(&operators, &Arbiter::current()).await;
        let gate = Gate::start(store.clone(), Arbiter::current()).await?;
        let approvals = Approvals::new(store.clone(), metrics.clone(), terms(&config));
        approvals.start_sweep().await?;
        let upstreams = Arbiter::new();
        let arbiters = Arbiters { control: Arbiter::current(), upstreams: upstreams.handle() };
        let pins = gate.pins().clone();
        let registry =
            Registry::start(store.clone(), vault.clone(), metrics.clone(), pins, limits(&config), arbiters).await;
        let waits = config.gate.waits.clone();
        let invocations = Invocations::new(gate.clone(), approvals.clone(), journal.clone(), metrics.clone(), waits);
        let listening = Listening::on(config.listen)?;
        let address = listening.address();
        let public_url = config.public_url(address);
        let notifier = Notifier::new(store.clone(), vault.clone(), metrics.clone(), &public_url);
        notifier.start(approvals.watch(), &Arbiter::current()).await;
        let place = Place { public_url: public_url.clone(), metadata_url: config.oauth.client_metadata_url.clone() };
        let connect = Connect::new(store.clone(), vault.clone(), operators.clone(), registry.clone(), place);
        let pledges = Pledges::new(store.clone(), terms(&config));
        pledges.start_sweep();
        let downstream = Downstream::new((invocations, pledges), registry.directory(), bounds(&config), &public_url);
        let gateway = Gateway {
            directory: registry.directory(),
            address,
            public_url: public_url.clone().into(),
            config,
            store,
            vault,
            keyring,
            operators,
            gate,
            approvals,
            notifier,
            registry,
            connect,
            journal,
            audit,
            metrics,
            downstream,
            attempts: Arc::default(),
            refusals: Arc::default(),
        };
        gateway.refusals.start_telling(gateway.store.clone());
        let greeting = greeting(&gateway).await?;
        let replicas = Replicas::follow(&gateway).await;
        let server = listening.serve(gateway.clone()).map_err(AppError::Broken)?;
        Ok(Self { gateway, server, upstreams, replicas, greeting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    /// Serves until SIGTERM or SIGINT, then finishes what is in flight and takes everything down.
    ///
    /// # Errors
    /// The server broke off, or the store could not be closed.
    pub async fn run_until_stopped(self) -> Result<(), AppError> {
        // Before anybody is told that it listens: who is told may ask it to stop at once.
        let signals = serving::Signals::new()?;
        announce(self.gateway.address, &self.greeting);
        serving::serve_until_stopped(self.server, &self.gateway, signals).await?;
        if tokio::time::timeout(UPSTREAMS_GONE_WITHIN, self.gateway.registry.stop()).await.is_err() {
            tracing::warn!("a server's processes were not gone in time; their guards end them");
        }
        self.upstreams.stop();
        self.replicas.stop();
        self.gateway.notifier.stop();
        self.gateway.keyring.flush().await?;
        self.gateway.gate.flush().await?;
        self.gateway.journal.close().await;
        self.gateway.refusals.tell(&self.gateway.store).await?;
        store::audit::tell(&self.gateway.store, [Event::new("gateway.stopped", "gateway", &json!({}))]).await?;
        self.gateway.audit.stop().await;
        self.gateway.store.close().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Every call that an earlier process left unfinished gets its end before anybody can ask, and so does every refresh.
async fn recover(store: &Store) -> Result<(), AppError> {
    let recovered = store::invocation::recover(store, clock::now_ms()).await?;
    if recovered.unknown + recovered.cancelled > 0 {
        tracing::warn!(?recovered, "an earlier process left calls unfinished; they are ended as what is known of them");
    }
    if recovered.approvals > 0 {
        tracing::info!(count = recovered.approvals, "approvals of an earlier process still wait for a person");
    }
    let refreshes = store::credential::end_leases(store).await?;
    if refreshes > 0 {
        tracing::warn!(
            refreshes,
            "an earlier process stopped while it renewed logins of servers; they are renewed anew"
        );
    }
    Ok(())
}

/// The first thing that this process tells.
fn started() -> Event {
    let data = json!({ "process": std::process::id(), "version": env!("CARGO_PKG_VERSION") });
    Event::new("gateway.started", "gateway", &data)
}

/// What the journal does not write down.
fn redaction(config: &Config, vault: &Vault) -> Result<Redaction, AppError> {
    let key = vault.subkey("redaction");
    Ok(Redaction::parse(&config.journal.redact, Arc::new(move |text| key.digest(text)))?)
}

fn keep(config: &Config) -> Keep {
    let days = |days: u64| i64::try_from(days).unwrap_or(i64::MAX);
    Keep {
        call_days: days(config.journal.keep_days),
        event_days: days(config.audit.keep_days),
        event_bytes: days(config.audit.keep_bytes),
    }
}

/// Who is told the audit elsewhere.
fn targets(config: &Config) -> Vec<Target> {
    let syslog = config.audit.syslog.clone().map(Target::Syslog);
    let secret = config.audit.webhook_secret.clone();
    let webhook = config.audit.webhook_url.clone().map(|url| Target::Webhook { url, secret });
    syslog.into_iter().chain(webhook).collect()
}

fn terms(config: &Config) -> Terms {
    Terms {
        open: Duration::from_secs(config.gate.approval_timeout_seconds),
        holds: Duration::from_secs(config.gate.approval_holds_seconds),
        agent_max: config.gate.approvals_per_agent,
    }
}

fn limits(config: &Config) -> Limits {
    let upstream = &config.upstream;
    Limits {
        start_timeout: Duration::from_secs(upstream.spawn_timeout_seconds),
        request_timeout: Duration::from_secs(upstream.request_timeout_seconds),
        request_timeout_max: Duration::from_secs(upstream.request_timeout_max_seconds),
        processes_max: upstream.max_processes,
        idle: Duration::from_secs(upstream.idle_seconds),
        line_bytes_max: upstream.line_bytes_max,
    }
}

fn bounds(config: &Config) -> Bounds {
    Bounds { idle: Duration::from_secs(config.http.session_idle_seconds), count_max: config.http.sessions_max }
}

async fn greeting(gateway: &Gateway) -> Result<Vec<String>, AppError> {
    let mut lines = Vec::new();
    if gateway.config.admin_token.is_none() {
        let code = gateway.operators.begin_link(clock::now_ms()).await?;
        lines.push(format!(
            "operator: {}/ui/#code={} (works once, within 10 minutes)",
            gateway.public_url,
            code.expose()
        ));
    }
    if gateway.config.demo {
        lines.extend(demo::prepare(gateway).await?);
    }
    Ok(lines)
}

fn announce(address: SocketAddr, greeting: &[String]) {
    let mut out = std::io::stdout().lock();
    let mut text = format!("listening on http://{address}\n");
    for line in greeting {
        text.push_str(line);
        text.push('\n');
    }
    // Nobody may be reading; the gateway serves all the same.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
