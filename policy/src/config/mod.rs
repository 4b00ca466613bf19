//! The file: what an operator writes, exactly as the contract names it.
//!
//! Read in four steps: YAML → tree (`node`), variables (`expand`), tree → these types (`read` and one file per section),
//! references between sections (`references`). Only broken YAML stops early; every other problem is collected.

use std::net::SocketAddr;

use ringway_adapters::provider::{self, Provider};
use schemars::JsonSchema;

pub use environment::from_environment;
pub use expand::Lookup;
pub use providers::{Credentials, KeyConfig, ModelConfig, Pem, ProviderConfig};
pub use routes::{BreakerConfig, RouteConfig, TargetConfig, TimeoutsConfig};
pub use schema::schema;
pub use tenants::{Align, Budget, CustomerConfig, Limit, TeamConfig, VirtualKeyConfig, digest};

mod environment;
mod expand;
mod node;
mod providers;
mod read;
mod references;
mod routes;
mod schema;
mod tenants;
mod units;

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1, in characters.
    pub line: usize,
    pub column: usize,
    /// What is wrong and what to write instead. Never holds a value that came out of a variable or a file.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {}", self.line, self.column, self.message)
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
        Problem { line: self.line, column: self.column, message: message.into() }
    }
}

/// A mapping from names to entries, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T>(pub Vec<(At<String>, T)>);

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table(Vec::new())
    }
}

impl<T> Table<T> {
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(key, _)| key.value == name).map(|(_, entry)| entry)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&At<String>, &T)> {
        self.0.iter().map(|(name, entry)| (name, entry))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|(name, _)| name.value.as_str())
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
    /// The providers, by the names that model names begin with. A built-in name knows its URL, auth and operations.
    pub providers: Table<ProviderConfig>,
    /// The routes, by the model names that clients ask for; a name may be a pattern with `*`.
    pub routes: Table<RouteConfig>,
    /// The virtual keys, by name. Without any, every client is let in as `anonymous`.
    pub virtual_keys: Table<VirtualKeyConfig>,
    /// Teams that virtual keys belong to.
    pub teams: Table<TeamConfig>,
    /// Customers that teams belong to.
    pub customers: Table<CustomerConfig>,
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

/// PEM files of the data listener.
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
    let mut root = node::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    expand::expand(&mut root, lookup, &mut problems);
    let config = read_config(&root, lookup, &mut problems);
    references::check(&config, builtins, &mut problems);
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    Err(problems)
}

fn read_config(root: &node::Node, lookup: Lookup<'_>, problems: &mut Vec<Problem>) -> Config {
    let mut config = Config::default();
    let Some(mut fields) = read::Fields::open(root, "the file", problems) else { return config };
    if let Some(node) = fields.take("listen") {
        config.listen = read::one_or_many(node).iter().filter_map(|node| read::parsed(node, "listen", problems, Listen::parse)).collect();
    }
    config.admin = fields.take("admin").and_then(|node| read::parsed(node, "admin", problems, Listen::parse));
    config.tls = fields.take("tls").and_then(|node| read_tls(node, lookup, problems));
    config.providers = table(fields.take("providers"), "providers", problems, |name, node, problems| {
        read::name(name, "a provider", problems);
        providers::read(node, lookup, problems)
    });
    config.routes = table(fields.take("routes"), "routes", problems, |name, node, problems| {
        routes::check_name(name, problems);
        routes::read(node, problems)
    });
    config.virtual_keys = table(fields.take("virtual_keys"), "virtual_keys", problems, |name, node, problems| {
        read::name(name, "a virtual key", problems);
        tenants::read_key(name, node, problems)
    });
    config.teams = table(fields.take("teams"), "teams", problems, |name, node, problems| {
        read::name(name, "a team", problems);
        tenants::read_team(node, problems)
    });
    config.customers = table(fields.take("customers"), "customers", problems, |name, node, problems| {
        read::name(name, "a customer", problems);
        tenants::read_customer(node, problems)
    });
    fields.close(problems);
    config
}

fn table<T>(
    node: Option<&node::Node>,
    what: &str,
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&At<String>, &node::Node, &mut Vec<Problem>) -> Option<T>,
) -> Table<T> {
    let Some(node) = node else { return Table::default() };
    let entries = read::entries(node, what, problems);
    Table(entries.iter().filter_map(|(name, node)| Some((name.clone(), read(name, node, problems)?))).collect())
}

fn read_tls(node: &node::Node, lookup: Lookup<'_>, problems: &mut Vec<Problem>) -> Option<Tls> {
    let mut fields = read::Fields::open(node, "tls", problems)?;
    let mut path = |name, what: &str, problems: &mut Vec<Problem>| match fields.take(name) {
        Some(node) => providers::read_pem(node, what, lookup, problems).map(|pem| pem.path),
        None => {
            read::note(problems, node.place, format!("tls has no {name}; write {name}: /path.pem"));
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
