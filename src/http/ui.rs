//! The page, embedded in the program: its few files and nothing from elsewhere.

use actix_web::HttpResponse;
use actix_web::http::header;

use super::middleware::headers::PAGE;

const PAGE_HTML: &str = include_str!("../../web/index.html");
const PAGE_JS: &str = include_str!("../../web/page.js");
const DOCS_HTML: &str = include_str!("../../web/docs.html");
const DOCS_JS: &str = include_str!("../../web/docs.js");
const STYLE_CSS: &str = include_str!("../../web/style.css");

/// Sends a browser to the page.
pub async fn redirect() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, "/ui/")).finish()
}

/// Gives out the page.
pub async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", PAGE_HTML)
}

/// Gives out the page's program.
pub async fn page_js() -> HttpResponse {
    file("text/javascript; charset=utf-8", PAGE_JS)
}

/// Gives out the pages' style.
pub async fn style_css() -> HttpResponse {
    file("text/css; charset=utf-8", STYLE_CSS)
}

/// Gives out the page that renders the OpenAPI document.
pub async fn docs() -> HttpResponse {
    file("text/html; charset=utf-8", DOCS_HTML)
}

/// Gives out that page's program.
pub async fn docs_js() -> HttpResponse {
    file("text/javascript; charset=utf-8", DOCS_JS)
}

fn file(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
