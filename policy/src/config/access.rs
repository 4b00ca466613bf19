//! What a virtual key may do, be it said by the key or by the profile that it inherits.

use schemars::JsonSchema;

use super::node::Node;
use super::read::{self, Fields, note};
use super::{At, Budget, Limit, Problem, budgets, instant, limits, providers, schema};
use crate::networks::Networks;
use crate::priority::Class;
use crate::tags::{self, TAGS_MAX};

/// Most patterns or networks of one list.
const LIST_MAX: usize = 1_000;

/// A template that virtual keys inherit.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct ProfileConfig {
    /// Patterns of the models that its keys may ask for, like `openai/*`. Absent: all. Empty: none.
    #[schemars(schema_with = "schema::texts")]
    pub models: Option<Vec<At<String>>>,
    /// Rate limits of each of its keys.
    #[schemars(schema_with = "schema::limits")]
    pub limits: Vec<At<Limit>>,
    /// Budgets of each of its keys.
    #[schemars(schema_with = "schema::budgets")]
    pub budgets: Vec<At<Budget>>,
    #[schemars(flatten)]
    pub access: Access,
}

/// The fields that keys and profiles share. A key's own field stands in place of its profile's; tags and credentials do so
/// name by name.
#[derive(Clone, Default, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct Access {
    /// `false`: the key is refused until this is changed. Default true.
    #[schemars(with = "bool")]
    pub enabled: Option<At<bool>>,
    /// When the key ends, in Unix milliseconds: `2027-01-31T18:00:00Z`, or a date, which means its first moment in UTC.
    #[schemars(schema_with = "schema::instant")]
    pub expires: Option<At<u64>>,
    /// Patterns of models that it may not ask for, even where `models` allows them.
    #[schemars(schema_with = "schema::texts")]
    pub deny_models: Option<Vec<At<String>>>,
    /// Patterns of the providers that its requests may reach; other targets of a route are left out. Absent: all. Empty: none.
    #[schemars(schema_with = "schema::texts")]
    pub providers: Option<Vec<At<String>>>,
    /// Patterns of providers that its requests may not reach, even where `providers` allows them.
    #[schemars(schema_with = "schema::texts")]
    pub deny_providers: Option<Vec<At<String>>>,
    /// The networks that it may be used from: `10.0.0.0/8`, `192.0.2.7`, `fd00::/8`. Absent: all. Empty: none.
    #[schemars(schema_with = "schema::texts")]
    pub networks: Option<At<Networks>>,
    /// Keys of its own at providers, by the provider's name, used in place of the provider's keys: `{openai: "${NAME}"}`.
    #[schemars(schema_with = "schema::named_texts")]
    pub credentials: Vec<(At<String>, At<String>)>,
    /// Tags of all its requests, which a request cannot override: `{env: prod}`.
    #[schemars(schema_with = "schema::named_texts")]
    pub tags: Vec<(At<String>, String)>,
    /// Who goes first where a limit that many share is used up: `high`, `normal` or `low`. Absent: the route's, else normal. A
    /// request may ask for less with `x-ringway-priority`.
    pub priority: Option<At<Class>>,
    /// Whether its requests may ask with `x-ringway-explain: 1` how their targets were chosen. Absent: what the file says for all.
    pub explain: Option<At<bool>>,
    /// `requests`: the audit log holds each of its exchanges, with the hashes of both bodies; where it cannot be written, they are refused.
    #[schemars(schema_with = "schema::audit")]
    pub audit: Option<At<Audited>>,
    /// The guardrail profile of its requests.
    #[schemars(schema_with = "schema::text")]
    pub guardrails: Option<At<String>>,
    /// The cache profile of its requests.
    #[schemars(schema_with = "schema::text")]
    pub cache: Option<At<String>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let credentials: Vec<&str> = self.credentials.iter().map(|(provider, _)| provider.value.as_str()).collect();
        f.debug_struct("Access")
            .field("enabled", &self.enabled)
            .field("expires", &self.expires)
            .field("providers", &self.providers)
            .field("credentials", &credentials)
            .field("tags", &self.tags)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// Reads one profile.
pub(super) fn read_profile(node: &Node, problems: &mut Vec<Problem>) -> Option<ProfileConfig> {
    let mut fields = Fields::open(node, "a profile", problems)?;
    let models = read_patterns(&mut fields, "models", problems);
    let (limits, budgets) = (limits::read(&mut fields, problems), budgets::read(&mut fields, problems));
    let access = read_access(&mut fields, problems);
    fields.close(problems);
    Some(ProfileConfig { models, limits, budgets, access })
}

/// Reads the shared fields.
pub(super) fn read_access(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Access {
    let enabled = fields.take("enabled").and_then(|node| read::choice(node, "enabled", &[("true", true), ("false", false)], problems));
    Access {
        enabled,
        expires: fields.take("expires").and_then(|node| read::parsed(node, "expires", problems, instant::instant)),
        deny_models: read_patterns(fields, "deny_models", problems),
        providers: read_patterns(fields, "providers", problems),
        deny_providers: read_patterns(fields, "deny_providers", problems),
        networks: fields.take("networks").and_then(|node| read_networks(node, problems)),
        credentials: fields.take("credentials").map(|node| read_credentials(node, problems)).unwrap_or_default(),
        tags: fields.take("tags").map(|node| read_tags(node, problems)).unwrap_or_default(),
        priority: fields.take("priority").and_then(|node| read::choice(node, "priority", Class::WORDS, problems)),
        explain: fields.take("explain").and_then(|node| read::choice(node, "explain", &[("true", true), ("false", false)], problems)),
        audit: read_audited(fields, problems),
        guardrails: fields.take("guardrails").and_then(|node| read_later(node, "guardrails", problems)),
        cache: fields.take("cache").and_then(|node| read_later(node, "cache", problems)),
    }
}

/// What of the exchanges the audit log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audited {
    Off,
    Requests,
}

/// Reads `audit` of a key, profile, route or team.
pub(super) fn read_audited(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Option<At<Audited>> {
    let node = fields.take("audit")?;
    read::choice(node, "audit", &[("off", Audited::Off), ("requests", Audited::Requests)], problems)
}

/// Reads a list of patterns.
pub(super) fn read_patterns(fields: &mut Fields<'_>, name: &'static str, problems: &mut Vec<Problem>) -> Option<Vec<At<String>>> {
    let node = fields.take(name)?;
    Some(bounded(node, name, problems).iter().filter_map(|node| read::text(node, name, problems)).collect())
}

fn bounded<'n>(node: &'n Node, name: &str, problems: &mut Vec<Problem>) -> &'n [Node] {
    let nodes = read::items(node, name, problems);
    if nodes.len() > LIST_MAX {
        note(problems, node.place, format!("{name} holds {} entries; write at most {LIST_MAX}", nodes.len()));
    }
    &nodes[..nodes.len().min(LIST_MAX)]
}

fn read_networks(node: &Node, problems: &mut Vec<Problem>) -> Option<At<Networks>> {
    let texts = bounded(node, "networks", problems).iter().filter_map(|node| {
        read::parsed(node, "networks", problems, |text| match Networks::parse([text]) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("write a network like 10.0.0.0/8 or fd00::/8, or one address".to_owned()),
        })
    });
    let texts: Vec<String> = texts.map(|text| text.value).collect();
    Networks::parse(texts.iter().map(String::as_str)).ok().map(|networks| node.place.with(networks))
}

fn read_credentials(node: &Node, problems: &mut Vec<Problem>) -> Vec<(At<String>, At<String>)> {
    let entries = read::entries(node, "credentials", problems).iter();
    let read = entries
        .filter_map(|(provider, node)| Some((provider.clone(), read::secret(node, "a credential", problems, providers::header_safe)?)));
    read.collect()
}

fn read_tags(node: &Node, problems: &mut Vec<Problem>) -> Vec<(At<String>, String)> {
    let entries = read::entries(node, "tags", problems);
    if entries.len() > TAGS_MAX {
        note(problems, node.place, format!("{} tags are more than the {TAGS_MAX} that a key may have", entries.len()));
    }
    let read = entries.iter().take(TAGS_MAX).filter_map(|(name, node)| {
        let value = read::text(node, "a tag", problems)?.value;
        if let Err(wrong) = tags::check(&name.value, &value) {
            note(problems, name.place(), format!("the tag {:?} cannot be used: {wrong}", name.value));
            return None;
        }
        Some((name.clone(), value))
    });
    read.collect()
}

/// A name of a profile that nobody can have written yet: to pass over it would pretend a protection that is not there.
fn read_later(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<String>> {
    let name = read::text(node, what, problems)?;
    note(
        problems,
        node.place,
        format!("{what}: there is no profile {}; this version has no {what} profiles, remove the field", node.describe()),
    );
    Some(name)
}
