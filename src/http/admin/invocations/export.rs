//! The record of calls as a file, page by page: its length is bounded by the store, never by memory.

use std::collections::VecDeque;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::json::InvocationBody;
use crate::audit::plain;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::Query;
use crate::http::time::Time;
use crate::store::invocation::{Filter, Row};
use crate::store::{self, Page, Store, StoreError};
use crate::trail::Event;

/// Rows that are read at once.
const PAGE_ROWS: u32 = 200;

/// The columns of the table, in their order.
const COLUMNS: [&str; 20] = [
    "id",
    "received_at",
    "agent",
    "client_name",
    "client_version",
    "session",
    "server",
    "method",
    "tool",
    "decision",
    "decided_by",
    "rule_id",
    "rule_set_revision",
    "approval_id",
    "state",
    "is_error",
    "error",
    "finished_at",
    "arguments_digest",
    "arguments",
];

/// The shape of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExportFormat)]
pub enum Format {
    /// One JSON document a line, as the list gives it.
    #[default]
    Jsonl,
    /// A table without the results.
    Csv,
}

/// Which calls are wanted, and in which shape.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `jsonl` when left out.
    format: Option<Format>,
    /// The agent's name.
    agent: Option<String>,
    /// The server's name.
    server: Option<String>,
    /// The tool's name.
    tool: Option<String>,
    /// What was decided: `allow`, `deny`, `ask`.
    decision: Option<String>,
    /// Where it stands, such as `completed`.
    state: Option<String>,
    /// Received then or later.
    since: Option<Time>,
    /// Received before then.
    until: Option<Time>,
    /// A part of the tool's name or of the arguments, in any case.
    q: Option<String>,
}

/// Exports calls, newest first.
#[utoipa::path(get, path = "/api/v1/invocations/export", operation_id = "export_invocations", tag = "Invocations",
    params(ExportQuery),
    responses((status = 200, description = "The file. It breaks off without its end when the store fails on the way.",
               content((String = "application/x-ndjson"), (String = "text/csv"))),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn export(gateway: web::Data<Gateway>, Query(query): Query<ExportQuery>) -> Result<HttpResponse, Problem> {
    let format = query.format.unwrap_or_default();
    let filter = Filter {
        agent: query.agent,
        server: query.server,
        tool: query.tool,
        decision: query.decision,
        state: query.state,
        since: query.since.map(|time| time.0),
        until: query.until.map(|time| time.0),
        q: query.q,
    };
    let (kind, name) = match format {
        Format::Jsonl => ("application/x-ndjson", "invocations.jsonl"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "invocations.csv"),
    };
    let told = Event::new("invocations.exported", "invocations", &json!({ "filter": filter, "file": name }));
    store::audit::tell(&gateway.store, [told]).await?;
    let mut reading = Reading::new(gateway.store.clone(), filter, format);
    // The first page is read before the answer begins, so that a store that is away is told as such.
    reading.read_page().await?;
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(reading.stream()))
}

/// An export on its way.
struct Reading {
    store: Store,
    filter: Filter,
    format: Format,
    lines: VecDeque<web::Bytes>,
    /// where the next page begins; none when there is no next page
    next: Option<Page>,
}

impl Reading {
    fn new(store: Store, filter: Filter, format: Format) -> Self {
        let header = (format == Format::Csv).then(|| web::Bytes::from(csv_line(COLUMNS.map(str::to_owned))));
        Self {
            store,
            filter,
            format,
            lines: header.into_iter().collect(),
            next: Some(Page::new(Some(PAGE_ROWS), None)),
        }
    }

    async fn read_page(&mut self) -> Result<(), StoreError> {
        let Some(page) = self.next.take() else { return Ok(()) };
        let listed = store::invocation::list(&self.store, &self.filter, &page).await?;
        self.next = listed.next_cursor.map(|cursor| Page::new(Some(PAGE_ROWS), Some(cursor)));
        self.lines.extend(listed.items.into_iter().map(|row| web::Bytes::from(line(row, self.format))));
        Ok(())
    }

    fn stream(self) -> impl Stream<Item = Result<web::Bytes, StoreError>> {
        stream::try_unfold(self, |mut reading| async move {
            if reading.lines.is_empty() {
                reading.read_page().await.inspect_err(|error| {
                    tracing::error!(error = %crate::chain(error), "an export broke off");
                })?;
            }
            Ok(reading.lines.pop_front().map(|line| (line, reading)))
        })
    }
}

fn line(row: Row, format: Format) -> String {
    match format {
        Format::Jsonl => {
            let mut line = serde_json::to_string(&InvocationBody::from(row)).unwrap_or_default();
            line.push('\n');
            line
        }
        Format::Csv => csv_line([
            row.id,
            Time(row.received_at).to_string(),
            row.agent,
            row.client_name.unwrap_or_default(),
            row.client_version.unwrap_or_default(),
            row.session.unwrap_or_default(),
            row.server,
            row.method,
            row.tool.unwrap_or_default(),
            row.action,
            row.decided_by.unwrap_or_default(),
            row.rule_id.unwrap_or_default(),
            row.rule_set_revision.to_string(),
            row.approval_id.unwrap_or_default(),
            row.state,
            row.is_error.map(|is_error| is_error.to_string()).unwrap_or_default(),
            row.error.unwrap_or_default(),
            row.finished_at.map(|at| Time(at).to_string()).unwrap_or_default(),
            row.arguments_digest,
            row.arguments.unwrap_or_default(),
        ]),
    }
}

/// Writes a line as RFC 4180 has it.
fn csv_line(cells: [String; COLUMNS.len()]) -> String {
    format!("{}\r\n", cells.map(|cell| csv_cell(&cell)).join(","))
}

/// Writes a cell. Agents choose what stands in here: one that a spreadsheet would take for a formula gets an apostrophe in
/// front, and what would colour a terminal or turn the direction of writing is written as JSON would.
pub(in crate::http::admin) fn csv_cell(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", plain(&cell.replace('"', "\"\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        let mut cells = COLUMNS.map(|_| String::new());
        cells[0] = "say \"hi\",\r\nthere".to_owned();
        cells[1] = "=HYPERLINK(\"x\")".to_owned();
        let line = csv_line(cells);
        assert!(line.starts_with("\"say \"\"hi\"\",\r\nthere\",\"'=HYPERLINK(\"\"x\"\")\",\"\""), "{line}");
        assert!(line.ends_with("\"\"\r\n"));
    }

    #[test]
    fn a_cell_neither_colours_a_terminal_nor_turns_the_direction_of_writing() {
        let cell = csv_cell("a\u{1b}[31m\u{9b}31m\u{202e}\u{e0001}é\n");
        assert_eq!(cell, "\"a\\u001b[31m\\u009b31m\\u202e\\udb40\\udc01é\n\"");
    }
}
