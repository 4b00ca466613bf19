//! `/api/v1/status`: how the gateway stands, and what its operator does next.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Shared, View, answer};
use crate::health::Phase;

/// How the gateway stands.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    version: &'static str,
    /// What the data plane runs on.
    driver: &'static str,
    shards: usize,
    uptime_s: u64,
    /// `starting`, `serving` or `draining`.
    phase: &'static str,
    ready: bool,
    /// What is out of order while traffic goes on.
    reasons: Vec<Reason>,
    /// Counts published configurations and addresses.
    revision: u64,
    counts: Counts,
    store: Part,
    request_log: Log,
    /// Exchanges under way.
    in_flight: u64,
    first_steps: FirstSteps,
}

#[derive(Debug, Serialize, ToSchema)]
struct Reason {
    part: &'static str,
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Counts {
    /// Without the built-in one.
    providers: usize,
    routes: usize,
    keys: usize,
    teams: usize,
    customers: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Part {
    /// `none`, or what keeps the objects that are made here.
    kind: &'static str,
    state: &'static str,
    objects: usize,
    /// The newest change of the store.
    revision: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Log {
    /// `memory`: the last records alone.
    state: &'static str,
    records: u64,
    /// Lost because a sink did not keep up.
    dropped: u64,
}

/// What a new gateway's operator has done already.
#[derive(Debug, Serialize, ToSchema)]
struct FirstSteps {
    has_provider: bool,
    has_key: bool,
    has_request: bool,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(settings))
}

/// How the gateway stands, and what comes first.
#[utoipa::path(get, path = "/api/v1/status", tag = "status", responses((status = 200, description = "How it stands", body = Status)))]
async fn status(State(view): State<Shared>) -> Response {
    answer::json(&stand(&view))
}

/// The flags in force, and where things are.
#[utoipa::path(get, path = "/api/v1/settings", tag = "status", responses((status = 200, description = "Without secrets", body = serde_json::Value)))]
async fn settings(State(view): State<Shared>) -> Response {
    answer::json(&view.settings)
}

fn stand(view: &View) -> Status {
    let (config, snapshot) = (view.served.load(), view.publisher.current());
    let phase = view.health.phase();
    let reasons = view.health.reasons().into_iter().map(|(part, reason)| Reason { part: part.name(), reason });
    let providers = snapshot.providers.iter().filter(|upstream| !upstream.builtin).count();
    let keys = config.virtual_keys.len();
    let log = view.request_log.state();
    let (kind, objects, newest) = match &view.objects {
        Some(objects) => (objects.database().kind(), objects.store_count(), objects.revision_number()),
        None => ("none", 0, 0),
    };
    let state = if kind == "none" { "off" } else { "ready" };
    let in_flight = view.shards.iter().map(|shard| shard.in_flight.load(Ordering::Relaxed)).sum();
    Status {
        version: view.version,
        driver: view.driver,
        shards: view.shards.len(),
        uptime_s: view.started.elapsed().as_secs(),
        phase: phase.name(),
        ready: phase == Phase::Serving,
        reasons: reasons.collect(),
        revision: snapshot.revision,
        counts: Counts { providers, routes: config.routes.len(), keys, teams: config.teams.len(), customers: config.customers.len() },
        store: Part { kind, state, objects, revision: newest },
        request_log: Log { state: log.state, records: log.records, dropped: log.dropped },
        in_flight,
        first_steps: FirstSteps { has_provider: providers > 0, has_key: keys > 0, has_request: log.records > 0 || !view.recent.is_empty() },
    }
}
