//! `store`: where objects are kept that are made through the admin API, where that is not the data directory.

use schemars::JsonSchema;

use super::node::Node;
use super::read::{self, Fields, note};
use super::{At, Problem, schema};

/// A database that several gateways share.
#[derive(Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with `?sslmode=verify-full` over TLS. Gateways with the same database see each
    /// other's changes. Without it the store is a file in the data directory.
    #[schemars(schema_with = "schema::text")]
    pub postgres: Option<At<String>>,
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A URL may hold a password.
        f.debug_struct("StoreConfig").field("postgres", &self.postgres.is_some()).finish()
    }
}

/// Reads the section.
pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Option<StoreConfig> {
    let mut fields = Fields::open(node, "store", problems)?;
    let node_of_url = fields.take("postgres");
    if node_of_url.is_none() {
        note(
            problems,
            node.place,
            "store names no database; write store: {postgres: \"postgres://USER:PASSWORD@HOST/DATABASE\"}, or leave it out",
        );
    }
    let postgres = node_of_url.and_then(|node| read::secret(node, "postgres", problems, parse_url));
    fields.close(problems);
    Some(StoreConfig { postgres })
}

fn parse_url(text: &str) -> Result<String, String> {
    let host = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err("write postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned()),
    }
}
