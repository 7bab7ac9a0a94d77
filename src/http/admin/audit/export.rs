//! The audit as a file, page by page, oldest first: its length is bounded by the store, never by memory.

use std::collections::VecDeque;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use crate::audit::{line_of_checkpoint, line_of_event};
use crate::http::admin::invocations::export::{Format, csv_cell};
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::Query;
use crate::http::time::Time;
use crate::store::audit::Filter;
use crate::store::{self, Store, StoreError};
use crate::trail::{Event, Link};

/// Rows that are read at once.
const PAGE_ROWS: u64 = 500;

/// The columns of the table, in their order.
const HEADING: &str = "\"chain\",\"seq\",\"at\",\"kind\",\"actor\",\"subject\",\"data\",\"prev\",\"hash\"\r\n";

/// Which events are wanted, and in which shape.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditExportQuery {
    /// `jsonl` when left out.
    format: Option<Format>,
    /// What happened: a whole kind, or the first part of one up to its dot, such as `server.`
    kind: Option<String>,
    /// Who did it, such as `operator:administrator`.
    actor: Option<String>,
    /// What it happened to, such as `server:calc`.
    subject: Option<String>,
    /// Then or later.
    since: Option<Time>,
    /// Before then.
    until: Option<Time>,
    /// A part of the data, in any case.
    q: Option<String>,
}

/// Exports events, oldest first. As JSON lines and with no filter it begins with the checkpoints, and can be checked.
#[utoipa::path(get, path = "/api/v1/audit/export", operation_id = "export_audit", tag = "Audit",
    params(AuditExportQuery),
    responses((status = 200, description = "The file. It breaks off without its end when the store fails on the way.",
               content((String = "application/x-ndjson"), (String = "text/csv"))),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn export(
    gateway: web::Data<Gateway>,
    Query(query): Query<AuditExportQuery>,
) -> Result<HttpResponse, Problem> {
    let format = query.format.unwrap_or_default();
    let filter = Filter {
        kind: query.kind,
        actor: query.actor,
        subject: query.subject,
        since: query.since.map(|time| time.0),
        until: query.until.map(|time| time.0),
        q: query.q,
    };
    let (kind, name) = match format {
        Format::Jsonl => ("application/x-ndjson", "audit.jsonl"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "audit.csv"),
    };
    let told = Event::new("audit.exported", "audit", &json!({ "filter": filter, "file": name }));
    store::audit::tell(&gateway.store, [told]).await?;
    // The first page is read before the answer begins, so that a store that is away is told as such.
    let mut reading = Reading::begin(gateway.store.clone(), filter, format);
    reading.read_page().await?;
    let lines = stream::try_unfold(reading, |mut reading| async move {
        if reading.lines.is_empty() && !reading.is_done {
            reading.read_page().await.inspect_err(|error| {
                tracing::error!(error = %crate::chain(error), "an export of the audit broke off");
            })?;
        }
        Ok::<_, StoreError>(reading.lines.pop_front().map(|line| (line, reading)))
    });
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(lines))
}

/// An export on its way.
struct Reading {
    store: Store,
    filter: Filter,
    format: Format,
    lines: VecDeque<web::Bytes>,
    /// the last event that was read
    after: Option<(i64, i64)>,
    /// the last checkpoint that was read
    after_checkpoint: Option<(i64, i64)>,
    has_checkpoints: bool,
    is_done: bool,
}

impl Reading {
    fn begin(store: Store, filter: Filter, format: Format) -> Self {
        let has_checkpoints = format == Format::Jsonl && filter.is_empty();
        let heading = (format == Format::Csv).then(|| web::Bytes::from(HEADING));
        let lines = heading.into_iter().collect();
        Self { store, filter, format, lines, after: None, after_checkpoint: None, has_checkpoints, is_done: false }
    }

    async fn read_page(&mut self) -> Result<(), StoreError> {
        if self.has_checkpoints {
            let page = store::audit::checkpoints_from(&self.store, self.after_checkpoint, PAGE_ROWS).await?;
            self.lines.extend(page.iter().map(|checkpoint| with_end(line_of_checkpoint(checkpoint))));
            if let Some(last) = page.last() {
                self.after_checkpoint = Some((last.chain, last.seq));
                return Ok(());
            }
            self.has_checkpoints = false;
        }
        let page = store::audit::events_from(&self.store, &self.filter, self.after, PAGE_ROWS).await?;
        match page.last() {
            Some(last) => self.after = Some((last.chain, last.seq)),
            None => self.is_done = true,
        }
        let format = self.format;
        self.lines.extend(page.iter().map(|link| match format {
            Format::Jsonl => with_end(line_of_event(link)),
            Format::Csv => web::Bytes::from(row(link)),
        }));
        Ok(())
    }
}

fn with_end(mut line: String) -> web::Bytes {
    line.push('\n');
    line.into()
}

/// Writes an event as RFC 4180 has it.
fn row(link: &Link) -> String {
    let (chain, seq, at) = (link.chain.to_string(), link.seq.to_string(), Time(link.at).to_string());
    let cells = [&chain, &seq, &at, &link.kind, &link.actor, &link.subject, &link.data, &link.prev, &link.hash];
    format!("{}\r\n", cells.map(|cell| csv_cell(cell)).join(","))
}
