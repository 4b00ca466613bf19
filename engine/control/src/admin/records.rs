//! `/api/v1/records`: what became of exchanges; page by page, one, as they end, and as a file.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{BroadcastStream, ReceiverStream};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Asked, Named};
use super::paging::{self, PageQuery};
use super::problem::Problem;
use super::{Shared, answer};
use crate::access::Caller;
use crate::request_log::{Condition, Cursor, Dimension, Error, Filter, RequestLog};

/// Most records of one export.
const EXPORT_RECORDS_MAX: usize = 1_000_000;
/// Pages of an export that wait for its reader.
const EXPORT_PAGES_MAX: usize = 2;
/// How often a silent tail says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Parameters that a query of records or series may have.
pub(super) type Pairs = Vec<(String, String)>;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what callers send")]
pub(super) struct FilterQuery {
    /// Unix milliseconds, inclusive.
    from_ms: Option<u64>,
    /// Unix milliseconds, exclusive.
    to_ms: Option<u64>,
    key: Option<String>,
    team: Option<String>,
    customer: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    route: Option<String>,
    /// `NAME` or `NAME=VALUE`.
    tag: Option<String>,
    /// `429`, or a class: `2xx`, `4xx`, `5xx`.
    status: Option<String>,
    fault: Option<String>,
    operation: Option<String>,
    /// Words that a logged body holds.
    text: Option<String>,
    /// Only those that cost so many dollars.
    min_cost_usd: Option<String>,
    /// Only those that took so long.
    min_ms: Option<u64>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what callers send")]
struct RecordsQuery {
    /// Entries of a page; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// The one of this id, 32 hex digits.
    id: Option<String>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(records)).routes(routes!(record)).routes(routes!(tail)).routes(routes!(export))
}

/// The records that are meant, the newest first.
#[utoipa::path(get, path = "/api/v1/records", tag = "records", params(RecordsQuery, FilterQuery),
    responses((status = 200, description = "A page of them", body = paging::List)))]
async fn records(State(view): State<Shared>, caller: Caller, Asked(pairs): Asked<Pairs>) -> Result<Response, Problem> {
    let (filter, others) = filter(pairs, &caller)?;
    let (mut limit, mut cursor) = (None, None);
    for (name, value) in others {
        match name.as_str() {
            "limit" => limit = Some(value.parse().map_err(|_| Problem::invalid("limit", "write a whole number"))?),
            "cursor" => cursor = Some(value).filter(|cursor| !cursor.is_empty()),
            _ => return Err(unknown(&name)),
        }
    }
    let limit = PageQuery { limit, cursor: None }.limit()?;
    let cursor: Option<Cursor> =
        cursor.map(|text| text.parse().map_err(|message: String| Problem::invalid("cursor", message))).transpose()?;
    let page = view.request_log.page(filter, cursor, limit).await?;
    let data: Vec<Value> = page.records.iter().filter_map(|record| serde_json::from_str(record.get()).ok()).collect();
    Ok(answer::json(&paging::list(data, page.next.map(|cursor| cursor.to_string()), view.publisher.current().revision)))
}

/// One record, with its bodies where they were logged.
#[utoipa::path(get, path = "/api/v1/records/{id}", tag = "records", params(("id" = String, Path, min_length = 1)),
    responses((status = 200, description = "The record", body = Value)))]
async fn record(State(view): State<Shared>, caller: Caller, Named(id): Named<String>) -> Result<Response, Problem> {
    let found = view.request_log.one(&id).await?;
    let is_shown = |record: &Value| caller.is_of(record["team"].as_str());
    let nothing = || Problem::not_found(format!("there is no record {id:?}; it may be older than what is kept"));
    found.filter(is_shown).map(|record| answer::json(&record)).ok_or_else(nothing)
}

/// Each record that is meant as its exchange ends: server-sent events, one record each.
#[utoipa::path(get, path = "/api/v1/records/tail", tag = "records", params(FilterQuery),
    responses((status = 200, description = "One event a record", body = String, content_type = "text/event-stream")))]
async fn tail(State(view): State<Shared>, caller: Caller, Asked(pairs): Asked<Pairs>) -> Result<Response, Problem> {
    let (filter, others) = filter(pairs, &caller)?;
    if let Some((name, _)) = others.first() {
        return Err(unknown(name));
    }
    let events = BroadcastStream::new(view.request_log.tail()).filter_map(move |line| {
        let event = match line {
            Ok(line) => {
                let is_meant = serde_json::from_str(&line).is_ok_and(|record| filter.admits(&record));
                Some(Event::default().data(&*line)).filter(|_| is_meant)
            }
            // The reader is slow: it is told what it missed.
            Err(lagged) => Some(Event::default().event("missed").data(lagged.to_string())),
        };
        event.map(Ok::<_, std::convert::Infallible>)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// The records that are meant, the newest first, one JSON object a line; at most a million.
#[utoipa::path(get, path = "/api/v1/records/export", tag = "records", params(FilterQuery),
    responses((status = 200, description = "One record a line", body = String, content_type = "application/x-ndjson")))]
async fn export(State(view): State<Shared>, caller: Caller, Asked(pairs): Asked<Pairs>) -> Result<Response, Problem> {
    let (filter, others) = filter(pairs, &caller)?;
    if let Some((name, _)) = others.first() {
        return Err(unknown(name));
    }
    // The first page is asked for here, so that a wrong question has an answer of its own.
    let first = view.request_log.page(filter.clone(), None, paging::LIMIT_MAX).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(EXPORT_PAGES_MAX);
    let log = view.request_log.clone();
    tokio::spawn(async move {
        let (mut page, mut count) = (first, 0);
        loop {
            let lines: String = page.records.iter().flat_map(|record| [record.get(), "\n"]).collect();
            count += page.records.len();
            if sender.send(Ok(lines.into())).await.is_err() || count >= EXPORT_RECORDS_MAX {
                return;
            }
            let Some(next) = page.next else { return };
            page = match next_page(&log, &filter, next).await {
                Ok(page) => page,
                Err(error) => return drop(sender.send(Err(error)).await),
            };
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(ReceiverStream::new(receiver))).into_response())
}

async fn next_page(log: &RequestLog, filter: &Filter, cursor: Cursor) -> Result<crate::request_log::Page, std::io::Error> {
    // A broken answer ends without its last chunk: its reader sees that it is not whole.
    log.page(filter.clone(), Some(cursor), paging::LIMIT_MAX).await.map_err(|error| std::io::Error::other(format!("{error:?}")))
}

/// The filter of a query, and the parameters that are none of it. A team's member sees what is of his team.
pub(super) fn filter(pairs: Pairs, caller: &Caller) -> Result<(Filter, Pairs), Problem> {
    let (mut filter, mut others) = (Filter::default(), Vec::new());
    for (name, value) in pairs {
        if value.is_empty() {
            continue;
        }
        match filter.set(&name, &value) {
            Ok(true) => {}
            Ok(false) => others.push((name, value)),
            Err(message) => return Err(Problem::invalid(name, message)),
        }
    }
    if let Some(team) = &caller.team {
        filter.conditions.push(Condition::Is(Dimension::Team, team.clone()));
    }
    Ok((filter, others))
}

pub(super) fn unknown(name: &str) -> Problem {
    Problem::invalid(name, "there is no such parameter here; see /api/v1/openapi.json")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Invalid(message) => Problem::invalid("", message),
            Error::Unavailable(message) => Problem::unavailable(message),
        }
    }
}
