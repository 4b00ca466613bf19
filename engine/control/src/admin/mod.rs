//! The admin listener: probes, metrics and a read-only view of what the gateway does.
//!
//! Probes are open to all. Metrics and the status page are open to loopback peers, all else needs the token.

mod api;
mod auth;
mod listener;
mod page;
mod scrape;
mod targets;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ringway_policy::config::Config;
use ringway_policy::counters::ShardCounters;
use serde_json::{Value, json};

use crate::health::{Health, Phase};
use crate::ledger::{meter, recent::Recent};
use crate::publish::Publisher;
use crate::reload::Clock;

pub use self::auth::Token;
pub use self::listener::{Listener, Peer};

/// What the admin listener shows.
pub struct View {
    pub version: &'static str,
    /// The driver that the data plane runs on.
    pub driver: &'static str,
    pub token: Token,
    pub health: Arc<Health>,
    pub publisher: Publisher,
    /// The configuration that the snapshot was made of.
    pub served: Arc<ArcSwap<Config>>,
    pub shards: Vec<Arc<ShardCounters>>,
    pub meter: meter::Shared,
    pub recent: Recent,
    /// Access-log lines that the sink did not take.
    pub log_dropped: Arc<AtomicU64>,
    pub started: Instant,
    pub clock: Clock,
}

type Shared = Arc<View>;

/// Serves until the runtime ends.
///
/// # Errors
/// Never in practice: failures of `accept` are waited out by the listener.
pub async fn serve(listener: Listener, view: View) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(status_page))
        .route("/livez", get(async || with_type("text/plain; charset=utf-8", "ok\n".to_owned())))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/{collection}", get(collection))
        .fallback(async |uri: Uri| {
            problem(StatusCode::NOT_FOUND, "not_found", &format!("no page {:?} here; see / for what there is", uri.path()))
        })
        .method_not_allowed_fallback(async |method: Method| {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &format!("{method} is not served here; use GET"))
        })
        .with_state(Arc::new(view));
    axum::serve(listener, router.into_make_service_with_connect_info::<Peer>()).await
}

async fn readyz(State(view): State<Shared>) -> Response {
    let (status, body) = readiness(&view.health);
    let mut response = json_response(status, &body);
    if status != StatusCode::OK {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
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

async fn metrics(State(view): State<Shared>, ConnectInfo(peer): ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    if !auth::is_local(peer, &headers) && !view.token.is_in(&headers) {
        return unauthorized();
    }
    with_type("text/plain; version=0.0.4; charset=utf-8", scrape::render(&view))
}

async fn status_page(State(view): State<Shared>, ConnectInfo(peer): ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    let detail = if auth::is_local(peer, &headers) || view.token.is_in(&headers) { page::Detail::Full } else { page::Detail::Public };
    with_type("text/html; charset=utf-8", page::render(&view, detail))
}

async fn collection(State(view): State<Shared>, Path(name): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    if !view.token.is_in(&headers) {
        return unauthorized();
    }
    match api::show(&view, &name, uri.query().unwrap_or_default()) {
        Some(body) => json_response(StatusCode::OK, &body),
        None => problem(
            StatusCode::NOT_FOUND,
            "not_found",
            &format!("no collection {name:?}; there are: {}", api::names().collect::<Vec<_>>().join(", ")),
        ),
    }
}

fn unauthorized() -> Response {
    let message = "the admin token is missing or wrong; send it as authorization: Bearer TOKEN (printed at start, or --admin-token)";
    let mut response = problem(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// An error in the same shape as the data listener's.
fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    json_response(status, &json!({"error": {"message": message, "type": code, "param": null, "code": code}}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    (status, with_type("application/json", text)).into_response()
}

fn with_type(content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, body).into_response()
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
