//! `virtual_keys`, `teams` and `customers`: who may ask, and how much.

use std::time::Duration;

use schemars::JsonSchema;
use sha2::{Digest, Sha256};

use super::node::Node;
use super::read::{self, Fields, note};
use super::{At, Problem, schema, units};
use crate::near::suggestion;

const KEY_BYTES_MIN: usize = 16;
const KEY_BYTES_MAX: usize = 128;

/// One virtual key.
#[derive(Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct VirtualKeyConfig {
    /// The key, 16 to 128 of `A-Z a-z 0-9 _ -`: `"${NAME}"`. Or `key_sha256`. Only its SHA-256 is kept.
    #[schemars(schema_with = "schema::text")]
    pub key: Option<At<[u8; 32]>>,
    /// The SHA-256 of the key, 64 hex digits, in place of `key`.
    #[schemars(schema_with = "schema::text")]
    pub key_sha256: Option<At<[u8; 32]>>,
    /// Its team.
    #[schemars(schema_with = "schema::text")]
    pub team: Option<At<String>>,
    /// Patterns of the models it may ask for, like `openai/*`. Absent: all. Empty: none.
    #[schemars(schema_with = "schema::texts")]
    pub models: Option<Vec<At<String>>>,
    /// Rate limits: `{requests|tokens: N, per: 1m}` or `{concurrent: N}`.
    #[schemars(schema_with = "schema::limits")]
    pub limits: Vec<At<Limit>>,
    /// Budgets: `{usd: "50.00", per: 1d}`.
    #[schemars(schema_with = "schema::budgets")]
    pub budgets: Vec<At<Budget>>,
}

impl VirtualKeyConfig {
    /// The key's SHA-256, whichever way it was written.
    pub fn sha256(&self) -> Option<&At<[u8; 32]>> {
        self.key.as_ref().or(self.key_sha256.as_ref())
    }
}

impl std::fmt::Debug for VirtualKeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualKeyConfig").field("team", &self.team).field("models", &self.models).finish_non_exhaustive()
    }
}

/// One team.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct TeamConfig {
    /// Its customer.
    #[schemars(schema_with = "schema::text")]
    pub customer: Option<At<String>>,
    /// Rate limits of all its keys together.
    #[schemars(schema_with = "schema::limits")]
    pub limits: Vec<At<Limit>>,
    /// Budgets of all its keys together.
    #[schemars(schema_with = "schema::budgets")]
    pub budgets: Vec<At<Budget>>,
}

/// One customer.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct CustomerConfig {
    /// Rate limits of all its teams together.
    #[schemars(schema_with = "schema::limits")]
    pub limits: Vec<At<Limit>>,
    /// Budgets of all its teams together.
    #[schemars(schema_with = "schema::budgets")]
    pub budgets: Vec<At<Budget>>,
}

/// One rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Requests { count: u64, per: Duration },
    Tokens { count: u64, per: Duration },
    Concurrent { count: u64 },
}

/// One budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub nano_dollars: u64,
    pub per: Duration,
    pub align: Align,
}

/// When a budget's window begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    #[default]
    FirstSpend,
    /// At UTC midnight, Monday, the first of the month.
    Calendar,
}

/// The form in which keys are kept and looked up.
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Reads one virtual key.
pub(super) fn read_key(name: &At<String>, node: &Node, problems: &mut Vec<Problem>) -> Option<VirtualKeyConfig> {
    let mut fields = Fields::open(node, "a virtual key", problems)?;
    let (written, hashed) = (fields.take("key"), fields.take("key_sha256"));
    match (written, hashed) {
        (Some(_), Some(node)) => note(problems, node.place, "a virtual key has key or key_sha256, not both"),
        (None, None) => {
            let what = format!("the virtual key {:?} has no key; write key: \"${{NAME}}\" or key_sha256: HEX", name.value);
            note(problems, name.place(), what);
        }
        _ => {}
    }
    let key = written.and_then(|node| read::secret(node, "key", problems, parse_key));
    let key_sha256 = hashed.and_then(|node| read::secret(node, "key_sha256", problems, parse_sha256));
    let team = fields.take("team").and_then(|node| read::text(node, "team", problems));
    let models = fields
        .take("models")
        .map(|node| read::items(node, "models", problems).iter().filter_map(|node| read::text(node, "a model", problems)).collect());
    let (limits, budgets) = read_bounds(&mut fields, problems);
    fields.close(problems);
    Some(VirtualKeyConfig { key, key_sha256, team, models, limits, budgets })
}

/// Reads one team.
pub(super) fn read_team(node: &Node, problems: &mut Vec<Problem>) -> Option<TeamConfig> {
    let mut fields = Fields::open(node, "a team", problems)?;
    let customer = fields.take("customer").and_then(|node| read::text(node, "customer", problems));
    let (limits, budgets) = read_bounds(&mut fields, problems);
    fields.close(problems);
    Some(TeamConfig { customer, limits, budgets })
}

/// Reads one customer.
pub(super) fn read_customer(node: &Node, problems: &mut Vec<Problem>) -> Option<CustomerConfig> {
    let mut fields = Fields::open(node, "a customer", problems)?;
    let (limits, budgets) = read_bounds(&mut fields, problems);
    fields.close(problems);
    Some(CustomerConfig { limits, budgets })
}

fn parse_key(key: &str) -> Result<[u8; 32], String> {
    let good = (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if good { Ok(digest(key)) } else { Err(format!("write {KEY_BYTES_MIN} to {KEY_BYTES_MAX} of A-Z a-z 0-9 _ -")) }
}

fn parse_sha256(hex: &str) -> Result<[u8; 32], String> {
    let wrong = || "write the key's SHA-256 as 64 hex digits".to_owned();
    let mut out = [0u8; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(out)
}

fn read_bounds(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> (Vec<At<Limit>>, Vec<At<Budget>>) {
    let limits = fields.take("limits").map(|node| read::items(node, "limits", problems)).unwrap_or_default();
    let limits = limits.iter().filter_map(|node| read_limit(node, problems)).collect();
    let budgets = fields.take("budgets").map(|node| read::items(node, "budgets", problems)).unwrap_or_default();
    (limits, budgets.iter().filter_map(|node| read_budget(node, problems)).collect())
}

fn read_limit(node: &Node, problems: &mut Vec<Problem>) -> Option<At<Limit>> {
    let mut fields = Fields::open(node, "a limit", problems)?;
    let counted: Vec<(&str, &Node)> =
        ["requests", "tokens", "concurrent"].into_iter().filter_map(|name| fields.take(name).map(|node| (name, node))).collect();
    let per_node = fields.take("per");
    let per = per_node.and_then(|node| read::parsed(node, "per", problems, units::period));
    fields.close(problems);
    let &[(name, count)] = counted.as_slice() else {
        note(problems, node.place, "a limit counts one thing; write {requests: N, per: 1m}, {tokens: N, per: 1m} or {concurrent: N}");
        return None;
    };
    let count = read::number(count, name, 1, u64::MAX / 2, problems)?.value;
    match (name, per_node, per) {
        ("concurrent", None, _) => return Some(node.place.with(Limit::Concurrent { count })),
        ("concurrent", Some(per), _) => note(problems, per.place, "concurrent has no per: it counts what is under way"),
        (_, None, _) => note(problems, node.place, format!("{name} needs its period; write {{{name}: {count}, per: 1m}}")),
        ("requests", _, Some(per)) => return Some(node.place.with(Limit::Requests { count, per: per.value })),
        (_, _, Some(per)) => return Some(node.place.with(Limit::Tokens { count, per: per.value })),
        (_, Some(_), None) => {}
    }
    None
}

fn read_budget(node: &Node, problems: &mut Vec<Problem>) -> Option<At<Budget>> {
    let mut fields = Fields::open(node, "a budget", problems)?;
    let (usd, per) = (fields.take("usd"), fields.take("per"));
    if usd.is_none() || per.is_none() {
        note(problems, node.place, "a budget has an amount and a period; write {usd: \"50.00\", per: 1d}");
    }
    let usd = usd.and_then(|node| read::parsed(node, "usd", problems, units::nano_dollars));
    let per = per.and_then(|node| read::parsed(node, "per", problems, units::period));
    let aligns = [("calendar", Align::Calendar), ("first_spend", Align::FirstSpend)];
    let align = fields.take("align").and_then(|node| read::choice(node, "align", &aligns, problems));
    fields.close(problems);
    let budget = Budget { nano_dollars: usd?.value, per: per?.value, align: align.map(|at| at.value).unwrap_or_default() };
    const CALENDAR_DAYS: [u64; 3] = [1, 7, 30];
    if budget.align == Align::Calendar && !CALENDAR_DAYS.iter().any(|days| budget.per == Duration::from_secs(days * 86_400)) {
        note(problems, node.place, "align: calendar needs per: 1d, 1w or 1mo");
        return None;
    }
    Some(node.place.with(budget))
}

/// `; did you mean …` over the names of a table, or the names themselves.
pub(super) fn known<'a>(asked: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN_MAX: usize = 8;
    let near = suggestion(asked, names.clone());
    if !near.is_empty() {
        return near;
    }
    let shown: Vec<&str> = names.take(SHOWN_MAX).collect();
    if shown.is_empty() { String::new() } else { format!("; known: {}", shown.join(", ")) }
}
