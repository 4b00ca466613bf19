//! Configuration and snapshot of one moment, and the live state of what they name. No secret is in it.

use std::sync::Arc;

use ringway_policy::config::{At, Config, VirtualKeyConfig};
use ringway_policy::lease::Now;
use ringway_policy::quota::Quota;
use ringway_policy::snapshot::{Snapshot, Upstream};
use serde_json::{Value, json};

use super::{View, targets};
use crate::alerts::Alerts;
use crate::objects::Kind;
use crate::quotas;
use crate::reload::Clock;

/// What is served at one moment.
pub(super) struct Scene {
    pub config: Arc<Config>,
    pub snapshot: Arc<Snapshot>,
    clock: Clock,
    alerts: Option<Alerts>,
}

impl Scene {
    pub fn of(view: &View) -> Scene {
        Scene { config: view.served.load_full(), snapshot: view.publisher.current(), clock: view.clock, alerts: view.alerts.clone() }
    }

    pub fn now(&self) -> Now {
        (self.clock)()
    }

    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.snapshot.providers.iter().find(|upstream| &*upstream.name == name)
    }

    /// Where it points, what it serves, how its credentials stand.
    pub fn provider(&self, name: &str) -> Option<Value> {
        let (upstream, now_ns) = (self.upstream(name)?, self.now().mono_ns);
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
        Some(json!({
            "base_url": base_url,
            "like": upstream.provider.name,
            "keys": upstream.credentials.iter().map(|key| &*key.name).collect::<Vec<_>>(),
            "credentials": upstream.credentials.iter().map(|key| targets::credential(key, now_ns)).collect::<Vec<_>>(),
            "addresses": endpoint.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "operations": operations,
            "models": upstream.models.iter().map(|model| &**model).collect::<Vec<_>>(),
            "builtin": upstream.builtin,
        }))
    }

    /// Its targets, and the health of those that it names: a pattern's depend on what is asked for and are not in it.
    pub fn route(&self, name: &str) -> Option<Value> {
        let route = self.config.routes.get(name)?;
        let now_ns = self.now().mono_ns;
        let named = |model: &At<String>| self.snapshot.targets().find(|target| *target.id == *model.value);
        let health: Vec<Value> = route.models().filter_map(named).map(|target| targets::target(target, now_ns)).collect();
        let targets: Vec<Value> =
            route.targets.iter().map(|target| json!({"model": target.model.value, "weight": target.weight})).collect();
        let fallbacks: Vec<&str> = route.fallbacks.iter().map(|fallback| fallback.model.value.as_str()).collect();
        let strategy = route.strategy.clone().unwrap_or_default().to_string();
        Some(json!({"strategy": strategy, "targets": targets, "fallbacks": fallbacks, "health": health}))
    }

    pub fn alias(&self, name: &str) -> Option<Value> {
        Some(json!({"model": self.config.aliases.get(name)?.value}))
    }

    /// What the key may do and the limits and budgets that it is held to; the key itself is not even known here.
    pub fn key(&self, name: &str) -> Option<Value> {
        let key = self.config.virtual_keys.get(name)?;
        let models = key.models.as_ref().map(|models| models.iter().map(|at| at.value.as_str()).collect::<Vec<_>>());
        let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
        let access = key.access.as_ref();
        let enabled = access.and_then(|access| access.enabled.as_ref()).map(|at| at.value);
        let principal = key.sha256().and_then(|sha256| self.snapshot.keys.by_sha256(&sha256.value));
        let quotas = principal.map_or_else(|| Arc::from([]), |principal| principal.quotas.look(self.now()));
        let expires_ms = principal.map(|principal| principal.expires_ms).filter(|at_ms| *at_ms != u64::MAX);
        Some(json!({
            "team": text(&key.team),
            "customer": text(&key.customer),
            "profile": text(&key.profile),
            "models": models,
            "enabled": enabled,
            "expires": expires_ms.map(super::answer::time),
            "quotas": quotas.iter().map(|quota| quotas::show(quota, self.clock)).collect::<Vec<_>>(),
        }))
    }

    pub fn profile(&self, name: &str) -> Option<Value> {
        self.config.profiles.get(name)?;
        let uses = |key: &VirtualKeyConfig| key.profile.as_ref().is_some_and(|profile| profile.value == name);
        Some(json!({"key_count": self.config.virtual_keys.iter().filter(|(_, key)| uses(key)).count()}))
    }

    pub fn team(&self, name: &str) -> Option<Value> {
        let team = self.config.teams.get(name)?;
        let is_in = |key: &VirtualKeyConfig| key.team.as_ref().is_some_and(|team| team.value == name);
        let key_count = self.config.virtual_keys.iter().filter(|(_, key)| is_in(key)).count();
        let customer = team.customer.as_ref().map(|customer| &customer.value);
        Some(json!({"customer": customer, "key_count": key_count, "quotas": self.quotas("team", name)}))
    }

    pub fn customer(&self, name: &str) -> Option<Value> {
        self.config.customers.get(name)?;
        let teams = self.config.teams.iter().filter(|(_, team)| team.customer.as_ref().is_some_and(|customer| customer.value == name));
        let teams: Vec<&str> = teams.map(|(team, _)| team.value.as_str()).collect();
        Some(json!({"teams": teams, "quotas": self.quotas("customer", name)}))
    }

    /// What fires now.
    pub fn alert(&self, name: &str) -> Option<Value> {
        self.alerts.as_ref()?.state_of(name)
    }

    /// Every limit and budget that has an account; those of a virtual key once it has asked.
    pub fn all_quotas(&self) -> impl Iterator<Item = &Arc<Quota>> {
        self.snapshot.quotas.iter()
    }

    /// A limit or budget, and how it stands.
    pub fn quota(&self, quota: &Quota) -> Value {
        quotas::show(quota, self.clock)
    }

    fn quotas(&self, kind: &str, name: &str) -> Vec<Value> {
        let owner = format!("{kind} {name:?}");
        self.all_quotas().filter(|quota| quota.kind == kind && *quota.owner == *owner).map(|quota| self.quota(quota)).collect()
    }

    /// The names of the objects that are served, in the order of the file.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let mut names = Vec::new();
        self.config.each_name(kind.section(), &mut |name| names.push(name.value.clone()));
        names
    }
}
