//! The read-only collections below `/api/v1/`. No secret and no body is in any of them.

use std::sync::Arc;

use ringway_policy::config::{At, Config, RouteConfig, VirtualKeyConfig};
use ringway_policy::record;
use ringway_policy::snapshot::{Snapshot, Upstream};
use serde_json::{Value, json};

use super::{View, targets};
use crate::ledger::recent::RECENT_MAX;
use crate::quotas;

/// Records shown where `?limit=` does not say.
const LIMIT_DEFAULT: usize = 100;

/// Shows one collection; the query says how much of it.
type Show = fn(&View, query: &str) -> Value;

const COLLECTIONS: &[(&str, Show)] = &[
    ("providers", |view, _| providers(&view.publisher.current(), (view.clock)().mono_ns)),
    ("routes", |view, _| routes(&view.served.load(), &view.publisher.current(), (view.clock)().mono_ns)),
    ("keys", |view, _| keys(view)),
    ("models", |view, _| models(&view.served.load())),
    ("records", records),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COLLECTIONS.iter().map(|(name, _)| *name)
}

/// `{"data": […]}` of the collection; `None` where there is no such one.
pub(super) fn show(view: &View, name: &str, query: &str) -> Option<Value> {
    let (_, show) = COLLECTIONS.iter().find(|(known, _)| *known == name)?;
    Some(json!({"data": show(view, query), "revision": view.publisher.current().revision}))
}

fn providers(snapshot: &Snapshot, now_ns: u64) -> Value {
    snapshot.providers.iter().map(|upstream| provider(upstream, now_ns)).collect()
}

fn provider(upstream: &Upstream, now_ns: u64) -> Value {
    let endpoint = &upstream.endpoint;
    let scheme = if endpoint.tls { "https" } else { "http" };
    let operations: Vec<Value> = upstream
        .provider
        .operations
        .iter()
        .map(|served| json!({"operation": served.operation.name(), "dialect": served.dialect.row().name, "path": served.path}))
        .collect();
    let base_url = match &endpoint.unix {
        Some(path) => format!("unix:{path}"),
        None if upstream.builtin => "ringway:".to_owned(),
        None => format!("{scheme}://{}{}", endpoint.authority, endpoint.prefix),
    };
    json!({
        "name": &*upstream.name,
        "base_url": base_url,
        "keys": upstream.credentials.iter().map(|key| &*key.name).collect::<Vec<_>>(),
        "credentials": upstream.credentials.iter().map(|key| targets::credential(key, now_ns)).collect::<Vec<_>>(),
        "addresses": endpoint.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "operations": operations,
        "builtin": upstream.builtin,
    })
}

/// Each with the health of the targets that it names; a pattern's targets depend on what is asked for and are not in it.
fn routes(config: &Config, snapshot: &Snapshot, now_ns: u64) -> Value {
    let health = |route: &RouteConfig| -> Vec<Value> {
        let named = |model: &At<String>| snapshot.targets().find(|target| *target.id == *model.value);
        route.models().filter_map(named).map(|target| targets::target(target, now_ns)).collect()
    };
    let route = |(name, route): (&At<String>, &RouteConfig)| {
        let targets: Vec<Value> =
            route.targets.iter().map(|target| json!({"model": target.model.value, "weight": target.weight})).collect();
        let fallbacks: Vec<&str> = route.fallbacks.iter().map(|fallback| fallback.model.value.as_str()).collect();
        let strategy = route.strategy.clone().unwrap_or_default().to_string();
        json!({"name": name.value, "strategy": strategy, "targets": targets, "fallbacks": fallbacks, "health": health(route)})
    };
    config.routes.iter().map(route).collect()
}

/// Virtual keys by name, with the limits and budgets that they are held to; the keys themselves are not even known here.
fn keys(view: &View) -> Value {
    let (config, snapshot) = (view.served.load(), view.publisher.current());
    let key = |(name, key): (&At<String>, &VirtualKeyConfig)| {
        let models = key.models.as_ref().map(|models| models.iter().map(|at| at.value.as_str()).collect::<Vec<_>>());
        let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
        let enabled = key.access.as_ref().and_then(|access| access.enabled.as_ref()).map(|at| at.value);
        let (team, customer, profile) = (text(&key.team), text(&key.customer), text(&key.profile));
        let principal = key.sha256().and_then(|sha256| snapshot.keys.by_sha256(&sha256.value));
        let quotas = principal.map_or_else(|| Arc::from([]), |principal| principal.quotas.look((view.clock)()));
        let quotas: Vec<Value> = quotas.iter().map(|quota| quotas::show(quota, view.clock)).collect();
        json!({"name": name.value, "team": team, "customer": customer, "profile": profile, "models": models, "enabled": enabled,
            "quotas": quotas})
    };
    config.virtual_keys.iter().map(key).collect()
}

/// Names that clients may ask for: the built-in one, the routes, the models that providers list.
fn models(config: &Config) -> Value {
    let builtin = std::iter::once(json!({"name": "ringway/echo", "kind": "builtin"}));
    let routes = config.routes.names().map(|name| json!({"name": name, "kind": "route"}));
    let aliases = config.aliases.iter().map(|(name, model)| json!({"name": name.value, "kind": "alias", "model": model.value}));
    let listed = config.providers.iter().flat_map(|(provider, entry)| {
        entry.models.iter().map(move |model| json!({"name": format!("{}/{}", provider.value, model.name.value), "kind": "model"}))
    });
    builtin.chain(routes).chain(aliases).chain(listed).collect()
}

/// The newest first; with `?id=` the one of this id, which `x-ringway-explain` links to.
fn records(view: &View, query: &str) -> Value {
    let parameter =
        |name: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value));
    let asked = parameter("limit").and_then(|limit| limit.parse().ok());
    let (wanted, mut id) = (parameter("id"), Vec::new());
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let limit = asked.unwrap_or(if wanted.is_some() { RECENT_MAX } else { LIMIT_DEFAULT }).min(RECENT_MAX);
    view.recent.newest(limit, |record| {
        id.clear();
        record::write_hex(&record.id, &mut id);
        if wanted.is_some_and(|wanted| !wanted.as_bytes().eq_ignore_ascii_case(&id)) {
            return;
        }
        line.clear();
        record::write_json(record, &mut line);
        lines.extend(serde_json::from_slice::<Value>(&line).ok());
    });
    Value::Array(lines)
}
