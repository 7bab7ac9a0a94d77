//! Rows to try things with.

use atryum::store::{approval, channel, credential, invocation, oauth_flow, rule, server};

/// When a sample was made, where that matters.
pub const NOW: i64 = 1_000_000;

pub fn server(name: &str) -> server::NewServer {
    server::NewServer {
        id: atryum::store::new_id(),
        name: name.to_owned(),
        mode: "stdio".to_owned(),
        enabled: true,
        command: Some("/usr/bin/env".to_owned()),
        args: "[]".to_owned(),
        ..server::NewServer::default()
    }
}

pub fn channel(name: &str) -> channel::Row {
    channel::Row {
        id: atryum::store::new_id(),
        name: name.to_owned(),
        kind: "slack".to_owned(),
        enabled: true,
        agents: "[\"*\"]".to_owned(),
        servers: "[\"*\"]".to_owned(),
        delay_seconds: 0,
        wants_arguments: true,
        command: None,
        origin: Some("https://hooks.example".to_owned()),
        url: None,
        secret: None,
        problem: None,
        failing_since: None,
        last_sent_at: None,
        revision: 0,
        created_at: 0,
        updated_at: 0,
    }
}

pub fn rule(description: &str) -> rule::NewRule {
    rule::NewRule {
        enabled: true,
        action: "allow".to_owned(),
        agents: "[\"*\"]".to_owned(),
        servers: "[\"*\"]".to_owned(),
        tools: "[\"*\"]".to_owned(),
        methods: "[\"tools/call\"]".to_owned(),
        description: description.to_owned(),
        ..rule::NewRule::default()
    }
}

pub fn invocation(state: &str) -> invocation::Row {
    let id = atryum::store::new_id();
    invocation::Row {
        request_id: format!("request of {id}"),
        id,
        agent: "ada".to_owned(),
        client_name: Some("a client".to_owned()),
        client_version: None,
        session: None,
        server_id: "an id".to_owned(),
        server: "calc".to_owned(),
        method: "tools/call".to_owned(),
        tool: Some("add".to_owned()),
        arguments: Some(r#"{"a":1.10,"text":"it's \"ü\" \u0000"}"#.to_owned()),
        arguments_digest: "sha256:00".to_owned(),
        action: "allow".to_owned(),
        rule_id: None,
        rule_set_revision: 7,
        decided_by: Some("default".to_owned()),
        approval_id: None,
        state: state.to_owned(),
        is_error: None,
        error: None,
        result: None,
        result_bytes: None,
        received_at: 1_000,
        decided_at: Some(1_001),
        dispatched_at: None,
        finished_at: None,
        upstream_us: None,
        shadow_rule_id: None,
        shadow_action: None,
        overhead_us: None,
        seat: 1,
    }
}

/// A pending invocation and the question it waits for.
pub fn question(expires_at: i64) -> (invocation::Row, approval::Row) {
    let mut invocation = invocation("pending");
    let approval = approval::Row {
        id: atryum::store::new_id(),
        invocation_id: invocation.id.clone(),
        agent: invocation.agent.clone(),
        agent_id: "the id of ada".to_owned(),
        server: invocation.server.clone(),
        server_id: invocation.server_id.clone(),
        server_revision: 3,
        method: invocation.method.clone(),
        tool: invocation.tool.clone(),
        definition_digest: None,
        arguments: invocation.arguments.clone(),
        other_params: None,
        edited_arguments: None,
        digest: format!("sha256:{}", invocation.id),
        status: approval::PENDING.to_owned(),
        reason: None,
        created_at: 1_000,
        expires_at,
        decided_at: None,
        decided_by: None,
        left_at: None,
        holds_until: None,
        used_at: None,
        used_by: None,
    };
    invocation.approval_id = Some(approval.id.clone());
    (invocation, approval)
}

pub fn credential(server_id: &str) -> credential::Row {
    credential::Row {
        server_id: server_id.to_owned(),
        revision: 0,
        base_origin: "https://mcp.example".to_owned(),
        issuer: "https://as.example".to_owned(),
        resource: Some("https://mcp.example/mcp".to_owned()),
        provider: "{}".to_owned(),
        client_id: "me".to_owned(),
        registration: "dynamic".to_owned(),
        auth_method: "none".to_owned(),
        client_secret: None,
        client_secret_expires_at: None,
        access: b"access-1".to_vec(),
        refresh: Some(b"refresh-1".to_vec()),
        scopes: None,
        expires_at: Some(NOW + 60),
        refreshing_until: Some(1),
        leased_by: None,
        ended_at: Some(1),
        is_client_unknown: true,
        problem: Some("old".to_owned()),
        asked_scopes: "[]".to_owned(),
        redirect_uri: "https://gate.example/oauth/callback".to_owned(),
        connected_by: "ann".to_owned(),
        connected_at: NOW,
        updated_at: NOW,
    }
}

pub fn oauth_flow(server_id: &str) -> oauth_flow::Row {
    oauth_flow::Row {
        id: atryum::store::new_id(),
        state_digest: "digest".to_owned(),
        server_id: server_id.to_owned(),
        server_revision: 1,
        login: "ann".to_owned(),
        operator: "ann".to_owned(),
        issuer: "https://as.example".to_owned(),
        resource: None,
        redirect_uri: "http://127.0.0.1:8080/oauth/callback".to_owned(),
        provider: "{}".to_owned(),
        client_id: "me".to_owned(),
        registration: "dynamic".to_owned(),
        auth_method: "none".to_owned(),
        client_secret: None,
        client_secret_expires_at: None,
        verifier: b"sealed".to_vec(),
        scopes: "[]".to_owned(),
        created_at: NOW,
        expires_at: NOW + 600,
        used_at: None,
        finished_at: None,
        problem: None,
    }
}
