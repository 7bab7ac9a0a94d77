//! The OpenAPI document, made from the handlers.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use super::admin::{agents, approvals, audit, channels, invocations, login, rules, servers, settings};
use super::extract::SESSION_COOKIE;
use super::ops;
use super::problem::{self, Code, ProblemBody};

/// The document of the REST surface. The MCP endpoint speaks its own protocol and is not in it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Atryum",
        description = "Operating a permissions gateway for the Model Context Protocol.\n\nTimes are RFC 3339, UTC, \
                       with milliseconds. Edits are JSON Merge Patches; `If-Match` with the `ETag` of what was read \
                       keeps two people from overwriting each other. Unknown fields are refused. Errors are RFC 9457 \
                       problem documents with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/")),
    tags(
        (name = "Servers", description = "The MCP servers behind the gateway."),
        (name = "Rules", description = "What happens to a call. The first rule that matches decides."),
        (name = "Approvals", description = "Calls that wait for a person."),
        (name = "Channels", description = "How people are told that a call waits for them."),
        (name = "Invocations", description = "The record of calls."),
        (name = "Audit", description = "What was done, by whom, in a chain that shows what was altered."),
        (name = "Agents", description = "The programs that call, and their keys."),
        (name = "Operators", description = "The people who operate the gateway, and their logins."),
        (name = "Settings", description = "What holds for the whole gateway."),
        (name = "Operations", description = "For those who run the gateway."),
    ),
    security(("bearer" = []), ("session" = [], "csrf" = [])),
    modifiers(&Credentials, &Codes, &Problems),
    components(schemas(ProblemBody, invocations::export::Format)),
    paths(
        servers::list, servers::create::create, servers::create::try_draft, servers::read, servers::update::update,
        servers::delete, servers::live::test, servers::tools::list, servers::tools::review, servers::live::logs, servers::live::restart,
        servers::connect::begin, servers::connect::look, servers::credential::forget,
        rules::list, rules::create, rules::read, rules::update, rules::delete, rules::order::put,
        rules::order::read_default, rules::order::put_default, rules::trial::test, rules::simulation::simulate,
        approvals::list, approvals::read, approvals::approve, approvals::deny, approvals::extend,
        approvals::remembered::preview,
        channels::list, channels::create, channels::read, channels::update, channels::delete, channels::test,
        channels::deliveries::list,
        invocations::list, invocations::read, invocations::export::export,
        audit::list, audit::export::export, audit::checkpoint, audit::sign,
        agents::list, agents::create, agents::read, agents::update, agents::delete, agents::keys::create,
        agents::keys::revoke,
        login::login, login::create_link, login::logout, login::me,
        settings::read, settings::update,
        ops::healthz, ops::readyz, ops::metrics,
    )
)]
struct Document;

/// The ways in which an operator may show who it is.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some("An operator's token.")).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let session = ApiKeyValue::with_description(SESSION_COOKIE, "One half of a session; set by the login.");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
        let csrf = ApiKeyValue::with_description("x-csrf-token", "The other half; in the login's answer.");
        components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
    }
}

/// What each code of a problem means.
struct Codes;

impl Modify for Codes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        if let Some(RefOr::T(Schema::Object(codes))) = components.schemas.get_mut("Code") {
            let lines = Code::ALL.map(|code| {
                let (status, title) = code.facts();
                format!("{} ({}): {title}", code.word(), status.as_u16())
            });
            codes.description = Some(lines.join("\n"));
        }
    }
}

/// In which form a refusal comes, and that every path with a credential refuses whoever has none.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            let methods = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for operation in methods.into_iter().flatten() {
                let is_open = operation.security.is_some();
                let responses = &mut operation.responses.responses;
                if !is_open {
                    responses.entry("401".to_owned()).or_insert_with(unauthenticated);
                }
                for response in responses.values_mut() {
                    if let RefOr::T(response) = response {
                        say_problem(response);
                    }
                }
            }
        }
    }
}

fn say_problem(response: &mut Response) {
    let is_problem = match response.content.get("application/json") {
        Some(RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. })) => schema.ref_location.ends_with("/Problem"),
        _ => false,
    };
    if is_problem && let Some(body) = response.content.swap_remove("application/json") {
        response.content.insert(problem::CONTENT_TYPE.to_owned(), body);
    }
}

fn unauthenticated() -> RefOr<Response> {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new().description("No credential that holds.").content("application/json", problem);
    RefOr::T(response.build())
}

/// Returns the document's text, the same for every build of one source.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

/// Gives out the document.
pub async fn document() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(text())
}
