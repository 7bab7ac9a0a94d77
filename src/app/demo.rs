//! The demo: a server inside the binary, rules that show all three answers, and an agent with a key to paste.
//!
//! What is there already is left as it is; only the key is new at each start, because an old one can't be shown again.

use super::error::AppError;
use crate::clock;
use crate::http::gateway::Gateway;
use crate::identity::AgentKey;
use crate::store::{self, StoreError};

/// Name of the server and of the agent.
const NAME: &str = "demo";
/// A key of the demo lasts a day.
const KEY_MS: i64 = 24 * 60 * 60 * 1000;

/// Makes what is missing; gives the lines that tell how to try it.
pub(super) async fn prepare(gateway: &Gateway) -> Result<Vec<String>, AppError> {
    let binary = std::env::current_exe().map_err(|error| AppError::Demo(format!("where the binary is: {error}")))?;
    let binary = binary.to_string_lossy().into_owned();
    register(gateway, &binary).await?;
    if store::rule::list(&gateway.store).await?.is_empty() {
        write_rules(gateway).await?;
    }
    let key = new_key(gateway).await?;
    gateway.registry.nudge().await;
    gateway.gate.reload().await?;
    gateway.keyring.reload().await?;
    let call = format!("ATRYUM_URL={} ATRYUM_AGENT_KEY={key} {binary} call {NAME}", gateway.public_url);
    Ok(vec![
        format!("try it:   {call} clock"),
        format!("denied:   {call} delete_everything"),
        format!("asks you: {call} transfer_money --arguments '{{\"to\": \"Ann\", \"amount\": 900}}'"),
    ])
}

async fn register(gateway: &Gateway, binary: &str) -> Result<(), AppError> {
    match store::server::find(&gateway.store, NAME).await? {
        // Somebody's own, or ours as it should be.
        Some(row) if row.mode != "stdio" || row.command.as_deref() == Some(binary) => {}
        Some(_) => {
            // The binary was moved since.
            let moved = |row: &mut store::server::Row, _| -> Result<_, StoreError> {
                row.command = Some(binary.to_owned());
                Ok(store::server::Changes::default())
            };
            store::server::update(&gateway.store, NAME, None, moved).await?;
        }
        None => {
            let new = store::server::NewServer {
                id: store::new_id(),
                name: NAME.into(),
                mode: "stdio".into(),
                enabled: true,
                command: Some(binary.to_owned()),
                args: r#"["__demo-server"]"#.into(),
                ..store::server::NewServer::default()
            };
            store::server::insert(&gateway.store, new, Vec::new()).await?;
        }
    }
    Ok(())
}

async fn write_rules(gateway: &Gateway) -> Result<(), AppError> {
    let rules = [
        ("allow", r#"["clock","notes_*"]"#, "looking at the clock and keeping notes is harmless", ""),
        (
            "deny",
            r#"["delete_everything"]"#,
            "nobody deletes everything",
            "delete single notes instead, or ask a person",
        ),
    ];
    for (action, tools, description, guidance) in rules {
        let rule = store::rule::NewRule {
            enabled: true,
            action: action.into(),
            agents: r#"["*"]"#.into(),
            servers: format!(r#"["{NAME}"]"#),
            tools: tools.into(),
            methods: r#"["tools/call"]"#.into(),
            description: description.into(),
            guidance: guidance.into(),
            ..store::rule::NewRule::default()
        };
        store::rule::insert(&gateway.store, rule, None).await?;
    }
    Ok(())
}

async fn new_key(gateway: &Gateway) -> Result<String, AppError> {
    let key = AgentKey::generate()?;
    let row = store::agent_key::NewKey {
        prefix: key.shown_prefix().to_owned(),
        digest: gateway.keyring.digest(&key),
        expires_at: Some(clock::now_ms() + KEY_MS),
    };
    if let Some(agent) = store::agent::find(&gateway.store, NAME).await? {
        store::agent_key::insert(&gateway.store, &agent.id, row).await?;
    } else {
        let new = store::agent::NewAgent { name: NAME.into(), servers: format!(r#"["{NAME}"]"#), expires_at: None };
        store::agent::insert(&gateway.store, new, row).await?;
    }
    Ok(key.text().expose().to_owned())
}
