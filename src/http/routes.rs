//! Every path of the product, who may use it, and who answers.
//!
//! A path that is not here is 404, a method that is not here is 405 with what there is in `Allow`. Whether somebody may
//! come in is decided by the heading under which a path stands, before its handler and before its body: a handler can't
//! forget it.

use std::future::ready;

use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, Resource, guard, web};

use super::admin::{agents, approvals, audit, channels, invocations, login, rules, servers, settings};
use super::extract::require_operator;
use super::problem::{Code, Problem};
use super::{mcp, oauth, openapi, ops, ui};

/// Who may use a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone who is let in at the door.
    Public,
    /// The handler asks: this machine, or an operator.
    Local,
    /// An agent, by its key.
    Agent,
    /// An operator.
    Operator,
}

/// One path with one method.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// The method, in capitals.
    pub method: &'static str,
    /// Who may use it.
    pub access: Access,
}

macro_rules! routes {
    ($($access:ident { $($path:literal $($only:ident)? => $($method:ident $handler:path),+;)+ })+) => {
        /// All paths with all their methods. `HEAD` goes with each `GET`, except the agents' one, which opens a stream.
        pub const INVENTORY: &[Route] = &[
            $($($(Route { path: $path, method: stringify!($method), access: Access::$access },)+)+)+
        ];

        /// Adds all paths to an application.
        pub fn configure(services: &mut web::ServiceConfig) {
            $($({
                let resource = web::resource($path);
                $(let resource = on!($access $method, resource, $handler);)+
                let resource = resource.default_service(refuse_method(Access::$access, &[$(stringify!($method)),+]));
                $(let resource = $only(resource);)?
                services.service(behind!($access, resource));
            })+)+
            services.default_service(web::to(nothing_here));
        }
    };
}

macro_rules! on {
    (Agent GET, $resource:ident, $handler:path) => {
        $resource.route(web::get().to($handler))
    };
    ($access:ident GET, $resource:ident, $handler:path) => {
        $resource.route(web::get().to($handler)).route(web::head().to($handler))
    };
    ($access:ident POST, $resource:ident, $handler:path) => {
        $resource.route(web::post().to($handler))
    };
    ($access:ident PUT, $resource:ident, $handler:path) => {
        $resource.route(web::put().to($handler))
    };
    ($access:ident PATCH, $resource:ident, $handler:path) => {
        $resource.route(web::patch().to($handler))
    };
    ($access:ident DELETE, $resource:ident, $handler:path) => {
        $resource.route(web::delete().to($handler))
    };
}

macro_rules! behind {
    (Operator, $resource:expr) => {
        $resource.wrap(from_fn(require_operator))
    };
    ($access:ident, $resource:expr) => {
        $resource
    };
}

routes! {
    Public {
        "/" => GET ui::redirect;
        "/ui" => GET ui::redirect;
        "/ui/" => GET ui::page;
        "/ui/page.js" => GET ui::page_js;
        "/ui/style.css" => GET ui::style_css;
        "/api/docs" => GET ui::docs;
        "/api/docs.js" => GET ui::docs_js;
        "/api/openapi.json" => GET openapi::document;
        "/healthz" => GET ops::healthz;
        "/readyz" => GET ops::readyz;
        "/api/v1/login" => POST login::login;
        "/oauth/callback" => GET oauth::callback;
        "/oauth/client-metadata.json" => GET oauth::client_metadata;
    }
    Local {
        "/metrics" => GET ops::metrics;
    }
    Agent {
        "/mcp/{name:[a-z0-9][a-z0-9-]{0,62}}" => POST mcp::post, GET mcp::get, DELETE mcp::delete;
        "/mcp/{name:[a-z0-9][a-z0-9-]{0,62}}/sse" => GET mcp::pair::get;
        "/mcp/{name:[a-z0-9][a-z0-9-]{0,62}}/message" => POST mcp::pair::post;
    }
    Operator {
        "/api/v1/login-links" => POST login::create_link;
        "/api/v1/logout" => POST login::logout;
        "/api/v1/me" => GET login::me;

        "/api/v1/servers" => GET servers::list, POST servers::create::create;
        "/api/v1/servers/test" only_post => POST servers::create::try_draft;
        "/api/v1/servers/{name}" => GET servers::read, PATCH servers::update::update, DELETE servers::delete;
        "/api/v1/servers/{name}/test" => POST servers::live::test;
        "/api/v1/servers/{name}/tools" => GET servers::tools::list;
        "/api/v1/servers/{name}/tools/{tool}/review" => POST servers::tools::review;
        "/api/v1/servers/{name}/logs" => GET servers::live::logs;
        "/api/v1/servers/{name}/restart" => POST servers::live::restart;
        "/api/v1/servers/{name}/connect" => POST servers::connect::begin;
        "/api/v1/servers/{name}/connect/{id}" => GET servers::connect::look;
        "/api/v1/servers/{name}/credential" => DELETE servers::credential::forget;

        "/api/v1/rules" => GET rules::list, POST rules::create;
        "/api/v1/rules/order" => PUT rules::order::put;
        "/api/v1/rules/default" => GET rules::order::read_default, PUT rules::order::put_default;
        "/api/v1/rules/test" => POST rules::trial::test;
        "/api/v1/rules/simulate" => POST rules::simulation::simulate;
        "/api/v1/rules/{id}" => GET rules::read, PATCH rules::update, DELETE rules::delete;

        "/api/v1/approvals" => GET approvals::list;
        "/api/v1/approvals/{id}" => GET approvals::read;
        "/api/v1/approvals/{id}/approve" => POST approvals::approve;
        "/api/v1/approvals/{id}/deny" => POST approvals::deny;
        "/api/v1/approvals/{id}/extend" => POST approvals::extend;
        "/api/v1/approvals/{id}/remember" => POST approvals::remembered::preview;

        "/api/v1/channels" => GET channels::list, POST channels::create;
        "/api/v1/channels/{name}" => GET channels::read, PATCH channels::update, DELETE channels::delete;
        "/api/v1/channels/{name}/test" => POST channels::test;
        "/api/v1/channels/{name}/deliveries" => GET channels::deliveries::list;

        "/api/v1/invocations" => GET invocations::list;
        "/api/v1/invocations/export" => GET invocations::export::export;
        "/api/v1/invocations/{id}" => GET invocations::read;

        "/api/v1/audit" => GET audit::list;
        "/api/v1/audit/export" => GET audit::export::export;
        "/api/v1/audit/checkpoint" => GET audit::checkpoint, POST audit::sign;

        "/api/v1/agents" => GET agents::list, POST agents::create;
        "/api/v1/agents/{name}" => GET agents::read, PATCH agents::update, DELETE agents::delete;
        "/api/v1/agents/{name}/keys" => POST agents::keys::create;
        "/api/v1/agents/{name}/keys/{id}" => DELETE agents::keys::revoke;

        "/api/v1/settings" => GET settings::read, PATCH settings::update;
    }
}

/// A server may be called `test`: only what is posted here is meant for the draft.
fn only_post(resource: Resource) -> Resource {
    resource.guard(guard::Post())
}

fn refuse_method(access: Access, methods: &[&str]) -> actix_web::Route {
    let mut allowed = methods.to_vec();
    if allowed.contains(&"GET") && access != Access::Agent {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    web::to(move |request: HttpRequest| {
        let detail = format!("{} can't be used here; there is {allowed}", request.method());
        ready(Err::<HttpResponse, _>(Problem::new(Code::MethodNotAllowed, detail).with_header(header::ALLOW, &allowed)))
    })
}

async fn nothing_here() -> Result<HttpResponse, Problem> {
    Err(Problem::new(Code::NotFound, "there is nothing at this path; /api/docs lists what there is"))
}
