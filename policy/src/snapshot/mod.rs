//! The snapshot: the compiled, immutable configuration that a shard reads without a lock.
//!
//! Everything in it is behind reference counts, so that a snapshot with new addresses shares all but them.

use std::net::SocketAddr;
use std::sync::Arc;

use ahash::AHashMap;
use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::Provider;
use ringway_adapters::shape::Shape;

use crate::catalog::ModelFacts;
use crate::condition::Condition;
use crate::cors::Cors;
pub use crate::endpoint::Endpoint;
use crate::key::{KeyTable, Principal};
use crate::pattern::Pattern;
use crate::plan::{RouteState, Rules, Share, Strategy, Triggers};
use crate::queue::Bounds;
use crate::quota::{self, Quotas};
pub use credential::{Credential, CredentialState, draw};
use models::Models;
pub use targets::TargetId;
use targets::Targets;

mod compile;
pub mod credential;
pub mod fetch;
mod keys;
mod models;
mod targets;

/// The provider that answers inside the gateway.
pub const BUILTIN: &str = "ringway";
/// Its model.
pub const BUILTIN_MODEL: &str = "echo";

/// What the control plane knows of a host and port; `None` or empty keeps the last good answer.
pub type Resolved<'a> = &'a dyn Fn(&str, u16) -> Option<Arc<[SocketAddr]>>;

/// Everything that the data plane decides by.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with every published change.
    pub revision: u64,
    pub providers: Vec<Upstream>,
    /// For requests without a key, where none is configured.
    pub anonymous: Arc<Principal>,
    /// The virtual keys; empty where none is configured.
    pub keys: Arc<KeyTable>,
    /// In the order of the file.
    pub routes: Arc<[Arc<Route>]>,
    /// For models that no route names.
    pub rules: Arc<Rules>,
    /// The largest request body that any route allows, where one says so; the listener's own bound else.
    pub body_bytes_max: Option<usize>,
    /// Every limit and budget of the file.
    pub quotas: Arc<Quotas>,
    /// How requests wait where there is not room for all; `None` = they do not.
    pub queue: Option<Bounds>,
    /// Sites whose pages may read answers; `None` = no browser is told so.
    pub cors: Option<Arc<Cors>>,
    /// Teams whose exchanges the audit log holds.
    pub audited_teams: Arc<[Arc<str>]>,
    routes_by_name: Arc<AHashMap<Arc<str>, usize>>,
    /// Other names of models: provider by index, model there.
    aliases: Arc<AHashMap<Arc<str>, (usize, Arc<str>)>>,
    /// Pattern routes, the most literal first.
    patterns: Arc<[(Pattern, usize)]>,
    providers_by_name: Arc<AHashMap<Arc<str>, usize>>,
}

/// A configured provider: its facts, where it is, its credentials.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in the file; records and metrics use it.
    pub name: Arc<str>,
    pub provider: Arc<Provider>,
    pub endpoint: Endpoint,
    pub credentials: Arc<[Credential]>,
    /// Its credential is fetched, again and again; until there is one, `credentials` is empty.
    pub fetch: Option<Arc<fetch::Fetch>>,
    /// `usage: inject | tap`.
    pub usage: UsageMode,
    /// `credentials: caller`: the caller's own key goes through.
    pub caller_credentials: bool,
    /// The provider answers inside the gateway (`ringway/echo`).
    pub builtin: bool,
    /// Listed models, in the order of the file.
    pub models: Arc<[Arc<str>]>,
    /// Models that a built-in provider is known to serve.
    pub model_patterns: Arc<[Pattern]>,
    pub tls: Arc<TlsMaterial>,
    pub proxy: Proxy,
    /// Limits and budgets of all that goes to it.
    pub quotas: quota::List,
    served: Arc<[Served]>,
    targets: Arc<Targets>,
    facts: Arc<Models>,
}

/// One operation of a provider in one dialect.
#[derive(Clone, Debug)]
pub struct Served {
    pub operation: Operation,
    pub dialect: DialectId,
    /// Below the base URL, of whole answers and of streams; placeholders as in `Provider::path`.
    paths: [Arc<str>; 2],
    /// The form of its body, where that is not all the dialect's.
    pub body: Option<Arc<Shape>>,
    /// The models that are served so; empty: all.
    models: Arc<[Pattern]>,
}

impl Served {
    fn fits(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }

    fn path(&self, mode: Mode) -> &Arc<str> {
        &self.paths[usize::from(mode == Mode::Stream)]
    }
}

/// What a TLS connection to a provider needs beside the public authorities. PEM bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsMaterial {
    pub ca_pem: Option<Arc<[u8]>>,
    pub client_cert_pem: Option<Arc<[u8]>>,
    pub client_key_pem: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsMaterial").field("ca", &self.ca_pem.is_some()).field("client", &self.client_cert_pem.is_some()).finish()
    }
}

/// How a provider is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Proxy {
    /// As HTTPS_PROXY and NO_PROXY say.
    #[default]
    Environment,
    /// `proxy: none`.
    Direct,
    Via(Endpoint),
}

/// How usage of a stream is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageMode {
    /// Ask for the usage event, strip it if the client did not ask.
    #[default]
    Inject,
    /// Leave the bytes alone.
    Tap,
}

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    pub name: Arc<str>,
    /// The route is there for requests of which this is true.
    pub when: Option<Condition>,
    /// In the order of the file; `strategy` says in which they are tried.
    pub targets: Vec<Candidate>,
    /// Taken in order.
    pub fallbacks: Vec<Candidate>,
    pub rules: Arc<Rules>,
    pub strategy: Strategy,
    pub mirror: Option<Mirror>,
    /// Process-wide; outlives snapshots by the route's name.
    pub state: Arc<RouteState>,
}

/// A shadow target that gets copies of a share of a route's requests.
#[derive(Debug)]
pub struct Mirror {
    pub target: Candidate,
    pub share: Share,
}

impl Route {
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }
}

/// One target of a route.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Index into `Snapshot::providers`.
    pub provider: usize,
    /// A `*` in it stands for what the route's own `*` stood for.
    pub model: Arc<str>,
    pub weight: u32,
    /// What alone it is taken for, where the file says so.
    pub on: Option<Triggers>,
    /// `None` where the model depends on the asked name.
    pub target: Option<Arc<TargetId>>,
    /// It takes part in requests of which this is true.
    pub when: Option<Condition>,
}

impl Snapshot {
    /// A provider's index by its name in the file.
    pub fn provider_index(&self, name: &str) -> Option<usize> {
        self.providers_by_name.get(name).copied()
    }

    /// The built-in provider's name, shared.
    pub fn builtin_name(&self) -> Arc<str> {
        self.providers.iter().find(|upstream| upstream.builtin).map_or_else(|| BUILTIN.into(), |upstream| upstream.name.clone())
    }

    pub(crate) fn exact_route(&self, name: &str) -> Option<&Arc<Route>> {
        self.routes_by_name.get(name).map(|&index| &self.routes[index])
    }

    /// The provider and the model there that a name of the operator's own stands for.
    pub(crate) fn alias(&self, name: &str) -> Option<(usize, &str)> {
        self.aliases.get(name).map(|(provider, model)| (*provider, &**model))
    }

    /// Names of the operator's own for single models.
    pub fn aliases(&self) -> impl Iterator<Item = &Arc<str>> {
        self.aliases.keys()
    }

    /// The most literal pattern that fits and whose route `sees` accepts.
    pub(crate) fn pattern_route(&self, name: &str, sees: &mut dyn FnMut(&Arc<Route>) -> bool) -> Option<(&Arc<Route>, &Pattern)> {
        let mut fitting = self.patterns.iter().filter(|(pattern, _)| pattern.matches(name));
        fitting.find(|(_, index)| sees(&self.routes[*index])).map(|(pattern, index)| (&self.routes[*index], pattern))
    }

    /// The state of a target.
    pub(crate) fn target(&self, provider: usize, model: &str) -> Arc<TargetId> {
        self.providers[provider].targets.find(model)
    }

    /// What is known of a model: the catalog's facts under the file's. `None` where nothing is.
    pub fn facts(&self, provider: usize, model: &str) -> Option<Arc<ModelFacts>> {
        self.providers.get(provider)?.facts.find(model)
    }

    /// The states of the targets that the file names, for metrics and the admin API: a closed set, never out of a request.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<TargetId>> {
        self.providers.iter().flat_map(|upstream| upstream.targets.named())
    }

    /// The same snapshot with the addresses that `resolved` knows for a host and port; others keep theirs. Shares all else.
    pub fn with_addresses(&self, revision: u64, resolved: Resolved<'_>) -> Snapshot {
        let mut snapshot = Snapshot { revision, ..self.clone() };
        for upstream in &mut snapshot.providers {
            renew(&mut upstream.endpoint, resolved);
            if let Proxy::Via(endpoint) = &mut upstream.proxy {
                renew(endpoint, resolved);
            }
        }
        snapshot
    }

    /// Every host name and port that the control plane must resolve, each once.
    pub fn names_to_resolve(&self) -> Vec<(Arc<str>, u16)> {
        let mut names: Vec<(Arc<str>, u16)> = Vec::new();
        for upstream in self.providers.iter().filter(|upstream| !upstream.builtin) {
            let proxy = if let Proxy::Via(endpoint) = &upstream.proxy { Some(endpoint) } else { None };
            for endpoint in std::iter::once(&upstream.endpoint).chain(proxy) {
                if endpoint.name_to_resolve().is_some()
                    && !names.iter().any(|(host, port)| *host == endpoint.host && *port == endpoint.port)
                {
                    names.push((endpoint.host.clone(), endpoint.port));
                }
            }
        }
        names
    }
}

fn renew(endpoint: &mut Endpoint, resolved: Resolved<'_>) {
    if endpoint.name_to_resolve().is_some()
        && let Some(addresses) = resolved(&endpoint.host, endpoint.port)
        && !addresses.is_empty()
    {
        endpoint.addresses = addresses;
    }
}

impl Upstream {
    /// How it serves an operation of a model: in the client's own dialect where it can, else in the first that it has.
    pub fn served(&self, operation: Operation, dialect: DialectId, model: &str) -> Option<&Served> {
        let mut of_operation = self.served.iter().filter(|served| served.operation == operation && served.fits(model));
        let first = of_operation.clone().next();
        of_operation.find(|served| served.dialect == dialect).or(first)
    }

    /// The path for a model, below the base URL. Allocates only where the provider names the model in it.
    pub fn path(&self, served: &Served, model: &str, mode: Mode) -> Arc<str> {
        let path = served.path(mode);
        if path.contains('{') { self.provider.filled(path, model).into() } else { path.clone() }
    }
}

#[cfg(test)]
mod tests;
