//! `state`: where several gateways keep the limits and budgets that they share.

use schemars::JsonSchema;

use super::node::Node;
use super::read::{self, Fields, note};
use super::{At, Problem, schema};

/// A store that several gateways share.
#[derive(Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct StateConfig {
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DB]`, `rediss://…` for TLS, of Redis or Valkey. Limits and budgets then hold for all
    /// gateways with the same store and prefix together.
    #[schemars(schema_with = "schema::text")]
    pub redis: Option<At<String>>,
    /// Begins the name of every key in the store. Default `ringway:`.
    #[schemars(schema_with = "schema::text")]
    pub prefix: Option<At<String>>,
    /// What a gateway does once its leases are used up or have run out and the store cannot be reached: `local` (default: as if it
    /// were alone), `refuse` or `allow`.
    pub on_partition: Option<OnPartition>,
}

impl std::fmt::Debug for StateConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A URL may hold a password.
        f.debug_struct("StateConfig")
            .field("redis", &self.redis.is_some())
            .field("on_partition", &self.on_partition)
            .finish_non_exhaustive()
    }
}

/// What a gateway does without the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum OnPartition {
    /// As if it were alone: the whole limit, less what was settled when the store was last heard of.
    #[default]
    Local,
    Refuse,
    /// Lets everything through, and counts it.
    Allow,
}

/// Prefixes that nothing else is likely to use.
pub const PREFIX_DEFAULT: &str = "ringway:";

/// Reads the section.
pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Option<StateConfig> {
    let mut fields = Fields::open(node, "state", problems)?;
    let redis = fields.take("redis").and_then(|node| read::secret(node, "redis", problems, parse_url));
    let prefix = fields.take("prefix").and_then(|node| read::text(node, "prefix", problems));
    let words = [("local", OnPartition::Local), ("refuse", OnPartition::Refuse), ("allow", OnPartition::Allow)];
    let on_partition = fields.take("on_partition").and_then(|node| read::choice(node, "on_partition", &words, problems));
    let is_empty = redis.is_none() && problems.is_empty();
    fields.close(problems);
    if is_empty {
        note(problems, node.place, "state names no store; write state: {redis: \"redis://HOST:6379\"}, or leave it out");
    }
    Some(StateConfig { redis, prefix, on_partition: on_partition.map(|at| at.value) })
}

fn parse_url(text: &str) -> Result<String, String> {
    let host = ["redis://", "rediss://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("write redis://HOST:PORT, or rediss://HOST:PORT for TLS".to_owned()),
    }
}
