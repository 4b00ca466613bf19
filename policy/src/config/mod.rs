//! The file: what an operator writes, exactly as the contract names it.
//!
//! Read in four steps: YAML → tree (`node`), variables (`expand`), tree → these types (`read` and one file per section),
//! references between sections (`references`). Only broken YAML stops early; every other problem is collected.

use std::net::SocketAddr;

use ringway_adapters::provider::{self, Provider};
use schemars::JsonSchema;

pub use access::{Access, Audited, ProfileConfig};
pub use admin::{AuditConfig, CorsConfig};
pub use alerts::{AlertConfig, By, ChannelConfig, OVER_MAX, Quantile, Severity, Time, Watch, word};
pub use budgets::{Amount, Budget, OnExhaust};
pub use environment::from_environment;
pub use expand::Lookup;
pub use keys::{Previous, VirtualKeyConfig, digest};
pub use limits::{Limit, Measure};
pub use objects::{Change, Entry, Section};
pub use providers::{Credentials, KeyConfig, ModelConfig, Pem, ProviderConfig};
pub use queue::QueueConfig;
pub use routes::{BreakerConfig, RouteConfig, TimeoutsConfig};
pub use schema::schema;
pub use select::{Selected, Selector};
pub use state::{OnPartition, PREFIX_DEFAULT, StateConfig};
pub use store::StoreConfig;
pub use table::Table;
pub use targets::{FallbackConfig, MirrorConfig, TargetConfig};
pub use tenants::{CustomerConfig, TeamConfig};

mod access;
mod admin;
mod alerts;
mod budgets;
mod environment;
mod expand;
mod instant;
mod key_references;
mod keys;
mod limits;
mod lint;
mod merge;
mod node;
pub mod objects;
mod prices;
mod provider_schema;
mod providers;
mod queue;
mod read;
mod references;
mod routes;
mod schema;
mod section;
mod select;
mod state;
mod store;
mod strength;
mod table;
mod targets;
mod tenants;
mod typed;
mod units;
mod variables;
mod when;

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1, in characters.
    pub line: usize,
    pub column: usize,
    /// Where it is in an object that stands in no file: `routes.chat.targets[0].model`. Empty in a file.
    pub path: String,
    /// What is wrong and what to write instead. Never holds a value that came out of a variable or a file.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}:{} {}", self.line, self.column, self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// A value with its place in the file; line 0 where it was never in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub line: usize,
    pub column: usize,
}

impl<T> At<T> {
    /// A value that stands in no file.
    pub fn nowhere(value: T) -> At<T> {
        At { value, line: 0, column: 0 }
    }

    /// A problem at this place.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, path: String::new(), message: message.into() }
    }
}

/// The configuration of one Ringway process.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect: `HOST:PORT`, `unix:/path`, or a list of them. Default 127.0.0.1:8080.
    #[schemars(schema_with = "schema::one_or_many")]
    pub listen: Vec<At<Listen>>,
    /// Where the admin API and the web UI listen. Default 127.0.0.1:8081.
    #[schemars(schema_with = "schema::text")]
    pub admin: Option<At<Listen>>,
    /// Certificate and key of the data listener; without it the listener speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Certificate and key of the admin listener; off loopback it insists on them.
    pub admin_tls: Option<Tls>,
    /// Names that browsers reach the admin listener by; addresses and localhost need not be listed.
    #[schemars(schema_with = "schema::one_or_many")]
    pub admin_hosts: Vec<At<String>>,
    /// Sites whose pages may call the admin API, with a token of their own.
    pub admin_cors: Option<CorsConfig>,
    /// Sites whose pages may call the data listener, with a virtual key of their own.
    pub cors: Option<CorsConfig>,
    /// How the audit log is kept.
    pub audit: Option<AuditConfig>,
    /// The providers, by the names that model names begin with. A built-in name knows its URL, auth and operations.
    pub providers: Table<ProviderConfig>,
    /// The routes, by the model names that clients ask for; a name may be a pattern with `*`.
    pub routes: Table<RouteConfig>,
    /// Other names of single models: `{fast: openai/gpt-4.1-mini}`. Clients ask for them like for routes.
    #[schemars(schema_with = "schema::aliases")]
    pub aliases: Table<At<String>>,
    /// The virtual keys, by name. Without any, every client is let in as `anonymous`.
    pub virtual_keys: Table<VirtualKeyConfig>,
    /// Templates that virtual keys inherit, by name.
    pub profiles: Table<ProfileConfig>,
    /// Teams that virtual keys belong to.
    pub teams: Table<TeamConfig>,
    /// Customers that teams and virtual keys belong to.
    pub customers: Table<CustomerConfig>,
    /// Rate limits of all, or of a model, a provider or a tag's value: `{requests: 100, per: 1m, tag: "env=dev"}`.
    #[schemars(schema_with = "schema::selected_limits")]
    pub limits: Vec<At<Selected<Limit>>>,
    /// Budgets of all, or of a model, a provider or a tag's value: `{usd: "50.00", per: 1d, provider: NAME}`.
    #[schemars(schema_with = "schema::selected_budgets")]
    pub budgets: Vec<At<Selected<Budget>>>,
    /// How much is reserved before an answer is there.
    pub reserve: ReserveConfig,
    /// The store that several gateways share their limits and budgets through.
    pub state: Option<StateConfig>,
    /// The database of what is made through the admin API.
    pub store: Option<StoreConfig>,
    /// Requests wait, bounded and by priority, where a limit that many share (of a provider, one of its keys, a model, or all) or the
    /// gateway's own bound is used up. There once this or any `priority` is written.
    pub queue: Option<QueueConfig>,
    /// Who is told of alerts, by name.
    pub channels: Table<ChannelConfig>,
    /// What is watched, by name.
    pub alerts: Table<AlertConfig>,
    /// Whether requests may ask with `x-ringway-explain: 1` how their targets were chosen; a key or profile may say otherwise.
    /// Default true.
    pub explain: Option<bool>,
}

/// How much of a limit or budget is reserved before an answer is there.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct ReserveConfig {
    /// The least output tokens that are reserved where a request names no maximum and too few answers of the model are known
    /// to learn from. Default 512.
    #[schemars(schema_with = "schema::count")]
    pub output_tokens_floor: Option<At<u64>>,
}

impl Config {
    /// Something asks that the audit log holds its exchanges.
    pub fn is_audited(&self) -> bool {
        let asks = |audit: &Option<At<Audited>>| audit.as_ref().is_some_and(|at| at.value == Audited::Requests);
        self.virtual_keys.iter().any(|(_, key)| key.access.as_ref().is_some_and(|access| asks(&access.audit)))
            || self.profiles.iter().any(|(_, profile)| asks(&profile.access.audit))
            || self.teams.iter().any(|(_, team)| asks(&team.audit))
            || self.routes.iter().any(|(_, route)| asks(&route.audit))
    }

    /// The rate limits of a virtual key: its own, then those of its profile.
    pub fn limits_of<'a>(&'a self, key: &'a VirtualKeyConfig) -> impl Iterator<Item = &'a At<Limit>> {
        key.limits.iter().chain(self.profile_of(key).into_iter().flat_map(|profile| &profile.limits))
    }

    /// The budgets of a virtual key: its own, then those of its profile.
    pub fn budgets_of<'a>(&'a self, key: &'a VirtualKeyConfig) -> impl Iterator<Item = &'a At<Budget>> {
        key.budgets.iter().chain(self.profile_of(key).into_iter().flat_map(|profile| &profile.budgets))
    }

    pub fn profile_of(&self, key: &VirtualKeyConfig) -> Option<&ProfileConfig> {
        self.profiles.get(&key.profile.as_ref()?.value)
    }
}

impl ReserveConfig {
    /// The largest floor: no model of today answers with more.
    const FLOOR_MAX: u64 = 1 << 24;
    const FLOOR: u64 = 512;

    pub fn output_tokens_floor(&self) -> u64 {
        self.output_tokens_floor.as_ref().map_or(ReserveConfig::FLOOR, |at| at.value)
    }
}

impl Config {
    /// Something has a budget: what is spent of it is to be remembered beyond the process's end.
    pub fn has_budgets(&self) -> bool {
        let keys = self.virtual_keys.iter().map(|(_, key)| &key.budgets);
        let profiles = self.profiles.iter().map(|(_, profile)| &profile.budgets);
        let teams = self.teams.iter().map(|(_, team)| &team.budgets);
        let customers = self.customers.iter().map(|(_, customer)| &customer.budgets);
        let providers = self.providers.iter().flat_map(|(_, provider)| {
            let keys = provider.keys.iter().map(|key| &key.budgets);
            let models = provider.models.iter().map(|model| &model.budgets);
            std::iter::once(&provider.budgets).chain(keys).chain(models)
        });
        let mut budgets = keys.chain(profiles).chain(teams).chain(customers).chain(providers);
        !self.budgets.is_empty() || budgets.any(|budgets| !budgets.is_empty())
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Ip(SocketAddr),
    Unix(String),
}

impl Listen {
    /// Reads `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `unix:/path`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') && path.len() > 1 {
                Ok(Listen::Unix(path.to_owned()))
            } else {
                Err("a Unix socket is an absolute path: unix:/run/ringway.sock".to_owned())
            };
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = numeric.as_deref().unwrap_or(text).parse();
        address.map(Listen::Ip).map_err(|_| "write IP:PORT (127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080) or unix:/path".to_owned())
    }

    /// Reachable from this machine alone.
    pub fn is_local(&self) -> bool {
        match self {
            Listen::Ip(address) => address.ip().is_loopback(),
            Listen::Unix(_) => true,
        }
    }
}

/// PEM files of a listener.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Tls {
    /// Path of the certificate chain, PEM.
    pub cert: At<String>,
    /// Path of the private key, PEM.
    pub key: At<String>,
}

/// Reads the file. `lookup` resolves `NAME` and `file:/path` — the caller owns the environment and the disk.
///
/// # Errors
/// Every problem found, not only the first, in the order of the file.
pub fn parse(text: &str, lookup: Lookup<'_>) -> Result<Config, Vec<Problem>> {
    parse_with(text, lookup, provider::builtins())
}

/// As `parse`, with other built-in providers.
///
/// # Errors
/// As `parse`.
pub fn parse_with(text: &str, lookup: Lookup<'_>, builtins: &[Provider]) -> Result<Config, Vec<Problem>> {
    Draft::read(text, lookup, builtins)?.merge(std::iter::empty(), lookup, builtins)
}

/// What a file says by itself, before objects that stand in no file are put beside it and references are looked at.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    config: Config,
    problems: Vec<Problem>,
}

impl Draft {
    /// Reads the file. What is wrong with its parts is told by `merge`.
    ///
    /// # Errors
    /// Broken YAML.
    pub fn read(text: &str, lookup: Lookup<'_>, builtins: &[Provider]) -> Result<Draft, Vec<Problem>> {
        let mut problems = Vec::new();
        let config = match read_apart(text, lookup, builtins, &mut problems) {
            Some(config) => config,
            None => {
                problems.clear();
                let mut root = node::parse(text).map_err(|problem| vec![problem])?;
                expand::expand(&mut root, lookup, &mut problems);
                read_config(&root, lookup, builtins, &mut problems)
            }
        };
        Ok(Draft { config, problems })
    }

    /// The database that it names: it is opened before the objects that it holds can be merged.
    pub fn store(&self) -> Option<&StoreConfig> {
        self.config.store.as_ref()
    }

    /// What the environment says: a provider for each well-known key. An object takes the place of such a provider.
    pub fn environment(lookup: Lookup<'_>, builtins: &[Provider]) -> Draft {
        Draft { config: from_environment(builtins, lookup), problems: Vec::new() }
    }

    /// The whole configuration: the file's part, the objects, and what they refer to. Objects are expanded like the file.
    ///
    /// # Errors
    /// Every problem found, not only the first, in the order of the file; those of objects have lines for `objects::locate`.
    pub fn merge<'e>(
        self,
        entries: impl Iterator<Item = Entry<'e>>,
        lookup: Lookup<'_>,
        builtins: &[Provider],
    ) -> Result<Config, Vec<Problem>> {
        let Draft { mut config, mut problems } = self;
        let mut entries = entries.peekable();
        if entries.peek().is_some() {
            let names = merge::names(&config);
            entries.for_each(|entry| merge::add(&mut config, &names, entry, lookup, builtins, &mut problems));
        }
        variables::complete(&mut config, lookup, builtins, &mut problems);
        references::check(&config, builtins, &mut problems);
        finish(config, problems)
    }
}

impl Config {
    /// This configuration, which is sound, with some objects changed. No other object is read again; where virtual keys alone
    /// are changed, no other one is looked at.
    ///
    /// # Errors
    /// As `Draft::merge`.
    pub fn changed(&self, changes: &[Change<'_>], lookup: Lookup<'_>, builtins: &[Provider]) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut config = self.clone();
        for change in changes {
            match change {
                Change::Put(entry) => merge::put(&mut config, *entry, lookup, builtins, &mut problems),
                Change::Remove(section, name) => config.remove(*section, name),
            }
        }
        if changes.len() <= KEYS_ALONE_MAX && changes.iter().all(|change| change.section() == Section::VirtualKeys) {
            let names = changes.iter().filter_map(|change| if let Change::Put(entry) = change { Some(entry.name) } else { None });
            names.for_each(|name| key_references::check_one(&config, name, &mut problems));
        } else {
            variables::complete(&mut config, lookup, builtins, &mut problems);
            references::check(&config, builtins, &mut problems);
        }
        finish(config, problems)
    }
}

/// More changed keys than that are looked at together with all others.
const KEYS_ALONE_MAX: usize = 8;

fn finish(config: Config, mut problems: Vec<Problem>) -> Result<Config, Vec<Problem>> {
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    Err(problems)
}

/// Reads a file with many virtual keys: each is a tree of its own, which is gone before the next one comes. `None` where
/// the file is short, or must be read as a whole.
fn read_apart(text: &str, lookup: Lookup<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) -> Option<Config> {
    let cut = section::cut(text, "virtual_keys")?;
    let mut keys = Vec::with_capacity(section::entries_hint(&cut));
    section::entries(&cut, |name, mut node| {
        expand::expand(&mut node, lookup, problems);
        read::name(&name, "a virtual key", problems);
        keys.extend(keys::read(&name, &node, problems).map(|key| (name, key)));
    })?;
    let mut root = node::parse(&cut.rest).ok()?;
    let node::Value::Map(entries) = &root.value else { return None };
    // Written in another way, it stands twice.
    if entries.iter().any(|(name, _)| name.value == "virtual_keys") {
        return None;
    }
    expand::expand(&mut root, lookup, problems);
    let config = read_config(&root, lookup, builtins, problems);
    Some(Config { virtual_keys: keys.into_iter().collect(), ..config })
}

fn read_config(root: &node::Node, lookup: Lookup<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) -> Config {
    let mut config = Config::default();
    let Some(mut fields) = read::Fields::open(root, "the file", problems) else { return config };
    if let Some(node) = fields.take("listen") {
        config.listen = read::one_or_many(node).iter().filter_map(|node| read::parsed(node, "listen", problems, Listen::parse)).collect();
    }
    config.admin = fields.take("admin").and_then(|node| read::parsed(node, "admin", problems, Listen::parse));
    config.tls = fields.take("tls").and_then(|node| read_tls(node, "tls", lookup, problems));
    config.admin_tls = fields.take("admin_tls").and_then(|node| read_tls(node, "admin_tls", lookup, problems));
    config.admin_hosts = fields.take("admin_hosts").map(|node| admin::read_hosts(node, problems)).unwrap_or_default();
    config.admin_cors = fields.take("admin_cors").and_then(|node| admin::read_cors(node, "admin_cors", problems));
    config.cors = fields.take("cors").and_then(|node| admin::read_cors(node, "cors", problems));
    config.audit = fields.take("audit").and_then(|node| admin::read_audit(node, problems));
    for section in Section::ALL {
        let entries = fields.take(section.word()).map(|node| read::entries(node, section.word(), problems)).unwrap_or_default();
        entries.iter().for_each(|(name, node)| merge::read(&mut config, section, name, node, lookup, builtins, problems));
    }
    config.limits = limits::read_selected(fields.take("limits"), problems);
    config.budgets = budgets::read_selected(fields.take("budgets"), problems);
    if let Some(node) = fields.take("reserve") {
        config.reserve = read_reserve(node, problems);
    }
    config.state = fields.take("state").and_then(|node| state::read(node, problems));
    config.store = fields.take("store").and_then(|node| store::read(node, problems));
    config.queue = fields.take("queue").and_then(|node| queue::read(node, problems));
    config.explain = read::flag(&mut fields, "explain", problems);
    fields.close(problems);
    config
}

fn read_reserve(node: &node::Node, problems: &mut Vec<Problem>) -> ReserveConfig {
    let Some(mut fields) = read::Fields::open(node, "reserve", problems) else { return ReserveConfig::default() };
    let name = "output_tokens_floor";
    let output_tokens_floor = fields.take(name).and_then(|node| read::number(node, name, 1, ReserveConfig::FLOOR_MAX, problems));
    fields.close(problems);
    ReserveConfig { output_tokens_floor }
}

fn read_tls(node: &node::Node, section: &str, lookup: Lookup<'_>, problems: &mut Vec<Problem>) -> Option<Tls> {
    let mut fields = read::Fields::open(node, section, problems)?;
    let mut path = |name, what: &str, problems: &mut Vec<Problem>| match fields.take(name) {
        Some(node) => providers::read_pem(node, what, lookup, problems).map(|pem| pem.path),
        None => {
            read::note(problems, node.place, format!("{section} has no {name}; write {name}: /path.pem"));
            None
        }
    };
    let cert = path("cert", "cert", problems);
    let key = path("key", "key", problems);
    fields.close(problems);
    Some(Tls { cert: cert?, key: key? })
}

#[cfg(test)]
mod tests;
