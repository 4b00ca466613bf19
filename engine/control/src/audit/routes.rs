//! `/api/v1/audit`: the log in pages, its export, and its proof.

#![allow(unused_qualifications, reason = "the macros that describe parameters write them")]

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Audit, Filter, read, syslog_line, verify};
use crate::admin::answer::{json, time};
use crate::admin::ask::Asked;
use crate::admin::paging::{List, PageQuery, encode, list};
use crate::admin::{Problem, View};

/// Segments of an export that are read ahead of the client.
const AHEAD: usize = 1;

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Entries of a page; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Unix milliseconds.
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    /// `act`, `denied`, `exchange`, `exchange_end`, `cut`, `opened`, `seal`; left out: all but the log's own.
    kind: Option<String>,
    /// Name of a user or token.
    who: Option<String>,
    /// Part of a path or detail.
    text: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `jsonl` (each row as it is chained; `ringway audit verify --file` takes it) or `syslog` (RFC 5424).
    format: Option<String>,
}

/// What the log proves of itself.
#[derive(Debug, Serialize, ToSchema)]
struct ProofBody {
    /// No row was removed, changed, moved or inserted, and the end is there.
    whole: bool,
    rows: u64,
    first: u64,
    last: u64,
    last_hash: String,
    public_keys: Vec<String>,
    findings: Vec<String>,
    notes: Vec<String>,
}

pub(crate) fn router() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(export)).routes(routes!(prove))
}

impl FromRef<Arc<View>> for Audit {
    fn from_ref(view: &Arc<View>) -> Audit {
        view.audit.clone()
    }
}

/// The audit log, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery), responses((status = 200, description = "A page", body = List)))]
async fn page(State(audit): State<Audit>, Asked(query): Asked<AuditQuery>) -> Result<Response, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let limit = page.limit()?;
    let before =
        page.position()?.map(|text| text.parse().map_err(|_| Problem::invalid("cursor", "it is not one of this list"))).transpose()?;
    let filter = Filter { before, from_ms: query.from_ms, to_ms: query.to_ms, kind: query.kind, who: query.who, text: query.text };
    let Some(folder) = folder(&audit)? else { return Ok(json(&list(Vec::new(), None, 0))) };
    let mut rows = apart(move || super::newest(&folder, &filter, limit + 1)).await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|row| encode(&row["seq"].to_string()));
    let data: Vec<Value> = rows.into_iter().map(with_time).collect();
    Ok(json(&list(data, next, 0)))
}

fn with_time(mut row: Value) -> Value {
    if let (Some(at_ms), Value::Object(fields)) = (row["at_ms"].as_u64(), &mut row) {
        fields.insert("at".to_owned(), time(at_ms).into());
    }
    row
}

/// All of the log, oldest first.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", params(ExportQuery),
    responses((status = 200, description = "One row a line", content_type = "application/jsonl", body = String)))]
async fn export(State(audit): State<Audit>, Asked(query): Asked<ExportQuery>) -> Result<Response, Problem> {
    let (content_type, is_syslog) = match query.format.as_deref() {
        None | Some("jsonl") => ("application/jsonl", false),
        Some("syslog") => ("text/plain; charset=utf-8", true),
        Some(other) => return Err(Problem::invalid("format", format!("{other:?} is no format; write jsonl or syslog"))),
    };
    let headers = [(header::CONTENT_TYPE, content_type)];
    let Some(folder) = folder(&audit)? else { return Ok((headers, String::new()).into_response()) };
    let segments = apart(move || read::each_segment(&folder)).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(AHEAD);
    // A segment at a time, as fast as the client takes them.
    spawn_blocking(move || {
        for text in segments {
            let text = if is_syslog { as_syslog(&text) } else { text };
            if sender.blocking_send(Ok::<_, std::convert::Infallible>(text)).is_err() {
                return;
            }
        }
    });
    Ok((headers, Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))).into_response())
}

fn as_syslog(text: &str) -> String {
    let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.map(|row| syslog_line(&row) + "\n").collect()
}

/// Check the log: every hash, every seal, its beginning and its end.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", responses((status = 200, description = "What it proves", body = ProofBody)))]
async fn prove(State(audit): State<Audit>) -> Result<Response, Problem> {
    let proof = match folder(&audit)? {
        Some(folder) => apart(move || verify(&folder, None)).await?,
        None => super::Proof::default(),
    };
    let whole = proof.is_whole();
    let super::Proof { rows, first, last, last_hash, public_keys, findings, notes } = proof;
    Ok(json(&ProofBody { whole, rows, first, last, last_hash, public_keys, findings, notes }))
}

/// `None` where nothing was written yet.
fn folder(audit: &Audit) -> Result<Option<std::path::PathBuf>, Problem> {
    if !audit.is_kept() {
        return Err(Problem::absent("the gateway runs with --no-store and keeps no audit log"));
    }
    Ok(audit.folder())
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Problem> {
    let told = |error: &dyn std::fmt::Display| Problem::unavailable(format!("the audit log cannot be read: {error}"));
    spawn_blocking(work).await.map_err(|error| told(&error))?.map_err(|error| told(&error))
}
