//! The admin listener: probes, metrics, a read-only view of what the gateway does, and the web UI.
//!
//! Who may see what is in `rules`; `access` holds everybody to it. The files of the web UI are the fallback: open to all.

#![allow(unused_qualifications, reason = "the macros that describe parameters write them")]

mod alerts;
pub(crate) mod answer;
pub(crate) mod ask;
mod budgets;
mod chat;
mod collections;
mod described;
mod door;
mod explain;
mod keys;
mod listener;
mod models;
mod openapi;
pub(crate) mod paging;
mod problem;
mod provider_types;
mod records;
mod revisions;
mod rules;
mod scene;
mod scrape;
mod series;
mod status;
mod targets;
mod threads;
mod ui;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ringway_policy::config::Config;
use ringway_policy::counters::ShardCounters;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;

use crate::access::{self, Access};
use crate::alerts::Alerts;
use crate::audit::{self, Audit};
use crate::health::{Health, Phase};
use crate::ledger::{Outbox, meter, recent::Recent};
use crate::objects::Objects;
use crate::publish::Publisher;
use crate::reload::Clock;
use crate::request_log::RequestLog;
use crate::telemetry::Telemetry;

pub use self::door::{Door, Place, Tls};
pub use self::listener::{Listener, Peer};
pub use self::problem::{FieldError, Problem};
pub use self::rules::rules;

/// What the admin listener shows.
pub struct View {
    pub version: &'static str,
    /// The driver that the data plane runs on.
    pub driver: &'static str,
    pub access: Access,
    pub audit: Audit,
    pub health: Arc<Health>,
    pub publisher: Publisher,
    /// The configuration that the snapshot was made of.
    pub served: Arc<ArcSwap<Config>>,
    pub shards: Vec<Arc<ShardCounters>>,
    /// Where the shards leave their records: how full they are is a figure.
    pub outboxes: Vec<Outbox>,
    /// What is exported, where anything is.
    pub telemetry: Option<Telemetry>,
    /// What is watched; `None` in a view that watches nothing.
    pub alerts: Option<Alerts>,
    pub meter: meter::Shared,
    pub recent: Recent,
    pub request_log: RequestLog,
    /// Access-log lines that the sink did not take.
    pub log_dropped: Arc<AtomicU64>,
    pub started: Instant,
    pub clock: Clock,
    /// The file's and the store's objects; `None` where there is nothing to change.
    pub objects: Option<Arc<Objects>>,
    /// Where the data plane of this process is asked.
    pub door: Option<Door>,
    /// The flags in force, for `/api/v1/settings`: no secret is among them.
    pub settings: Value,
}

type Shared = Arc<View>;

/// Serves until the runtime ends.
///
/// # Errors
/// Never in practice: failures of `accept` are waited out by the listener.
pub async fn serve(listener: Listener, view: View) -> std::io::Result<()> {
    axum::serve(listener, router(Arc::new(view)).into_make_service_with_connect_info::<Peer>()).await
}

/// Everything that the admin listener answers.
fn router(view: Shared) -> Router {
    let (api, _) = api().split_for_parts();
    let router = Router::new()
        .route("/livez", get(async || answer::with_type("text/plain; charset=utf-8", "ok\n".to_owned())))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(api)
        .fallback(other_page)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(ask::BODY_BYTES_MAX))
        .with_state(view.clone());
    access::guard(router, view.access.clone(), rules::RULES)
}

/// The API: a file for each resource, which knows its paths. Each path stands in `rules`, too.
fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::head())
        .merge(openapi::router())
        .merge(status::router())
        .merge(collections::router())
        .merge(keys::router())
        .merge(chat::router())
        .merge(explain::router())
        .merge(provider_types::router())
        .merge(models::router())
        .merge(budgets::router())
        .merge(records::router())
        .merge(series::router())
        .merge(revisions::router())
        .merge(alerts::router())
        .merge(access::routes::router())
        .merge(audit::routes::router())
}

/// A page or a file of the web UI; else there is nothing.
async fn other_page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    ui::answer(&method, uri.path(), &headers).unwrap_or_else(|| not_found(&uri).into_response())
}

fn not_found(uri: &Uri) -> Problem {
    match uri.path().strip_prefix("/api/v1/") {
        Some(rest) => {
            let names: Vec<&str> = rules::collections().collect();
            Problem::not_found(format!("there is no {rest:?} here; there are: {}", names.join(", ")))
        }
        None => Problem::not_found(format!("no page {:?} here; see / for what there is", uri.path())),
    }
}

async fn other_method(method: Method, uri: Uri, matched: Option<MatchedPath>) -> Response {
    let path = matched.as_ref().map_or(uri.path(), MatchedPath::as_str);
    let methods = rules::methods_of(path).join(", ");
    let detail = format!("{method} is not served here; use {methods}");
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response();
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

async fn readyz(State(view): State<Shared>) -> Response {
    let (status, body) = readiness(&view.health);
    let mut response = answer::json_of(status, &body);
    if status != StatusCode::OK {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn readiness(health: &Health) -> (StatusCode, Value) {
    let phase = health.phase();
    let reasons: Vec<Value> = health.reasons().iter().map(|(part, reason)| json!({"part": part.name(), "reason": reason})).collect();
    let is_ready = phase == Phase::Serving;
    let status = match phase {
        Phase::Serving if reasons.is_empty() => "ready",
        Phase::Serving => "degraded",
        _ => phase.name(),
    };
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, json!({"ready": is_ready, "status": status, "reasons": reasons}))
}

async fn metrics(State(view): State<Shared>) -> Response {
    answer::with_type("text/plain; version=0.0.4; charset=utf-8", scrape::render(&view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Part;

    #[test]
    fn readiness_follows_the_phase_and_names_what_is_degraded() {
        let health = Health::default();
        assert_eq!(readiness(&health).0, StatusCode::SERVICE_UNAVAILABLE);
        health.enter(Phase::Serving);
        assert_eq!(readiness(&health), (StatusCode::OK, json!({"ready": true, "status": "ready", "reasons": []})));
        health.degrade(Part::Names, "acme is not resolved");
        let (status, body) = readiness(&health);
        assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("degraded")));
        assert_eq!(body["reasons"][0]["part"], "name resolution");
        health.enter(Phase::Draining);
        let (status, body) = readiness(&health);
        assert_eq!((status, &body["ready"], &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(false), &json!("draining")));
    }
}
