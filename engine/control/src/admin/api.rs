//! The read-only collections below `/api/v1/`. No secret and no body is in any of them.

use ringway_policy::config::{At, Config, RouteConfig, VirtualKeyConfig};
use ringway_policy::record;
use ringway_policy::snapshot::{Snapshot, Upstream};
use serde_json::{Value, json};

use super::View;
use crate::ledger::recent::RECENT_MAX;

/// Records shown where `?limit=` does not say.
const LIMIT_DEFAULT: usize = 100;

/// Shows one collection; the query says how much of it.
type Show = fn(&View, query: &str) -> Value;

const COLLECTIONS: &[(&str, Show)] = &[
    ("providers", |view, _| providers(&view.publisher.current())),
    ("routes", |view, _| routes(&view.served.load())),
    ("keys", |view, _| keys(&view.served.load())),
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

fn providers(snapshot: &Snapshot) -> Value {
    snapshot.providers.iter().map(provider).collect()
}

fn provider(upstream: &Upstream) -> Value {
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
        "addresses": endpoint.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "operations": operations,
        "builtin": upstream.builtin,
    })
}

fn routes(config: &Config) -> Value {
    let route = |(name, route): (&At<String>, &RouteConfig)| {
        let targets: Vec<Value> =
            route.targets.iter().map(|target| json!({"model": target.model.value, "weight": target.weight})).collect();
        let fallbacks: Vec<&str> = route.fallbacks.iter().map(|at| at.value.as_str()).collect();
        json!({"name": name.value, "targets": targets, "fallbacks": fallbacks})
    };
    config.routes.iter().map(route).collect()
}

/// Virtual keys by name; the keys themselves are not even known here.
fn keys(config: &Config) -> Value {
    let key = |(name, key): (&At<String>, &VirtualKeyConfig)| {
        let models = key.models.as_ref().map(|models| models.iter().map(|at| at.value.as_str()).collect::<Vec<_>>());
        json!({"name": name.value, "team": key.team.as_ref().map(|at| at.value.as_str()), "models": models})
    };
    config.virtual_keys.iter().map(key).collect()
}

/// Names that clients may ask for: the built-in one, the routes, the models that providers list.
fn models(config: &Config) -> Value {
    let builtin = std::iter::once(json!({"name": "ringway/echo", "kind": "builtin"}));
    let routes = config.routes.names().map(|name| json!({"name": name, "kind": "route"}));
    let listed = config.providers.iter().flat_map(|(provider, entry)| {
        entry.models.iter().map(move |model| json!({"name": format!("{}/{}", provider.value, model.name.value), "kind": "model"}))
    });
    builtin.chain(routes).chain(listed).collect()
}

/// The newest first.
fn records(view: &View, query: &str) -> Value {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("limit=")).and_then(|limit| limit.parse().ok());
    let mut lines = Vec::new();
    let mut line = Vec::new();
    view.recent.newest(asked.unwrap_or(LIMIT_DEFAULT).min(RECENT_MAX), |record| {
        line.clear();
        record::write_json(record, &mut line);
        lines.extend(serde_json::from_slice::<Value>(&line).ok());
    });
    Value::Array(lines)
}
