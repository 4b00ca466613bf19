//! `teams` and `customers`: who keys belong to.

use schemars::JsonSchema;

use super::access::{Audited, read_audited};
use super::node::Node;
use super::read::{self, Fields};
use super::{At, Budget, Limit, Problem, budgets, limits, schema};
use crate::near::suggestion;

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
    /// `requests`: the audit log holds each exchange of its keys, with the hashes of both bodies.
    #[schemars(schema_with = "schema::audit")]
    pub audit: Option<At<Audited>>,
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

/// Reads one team.
pub(super) fn read_team(node: &Node, problems: &mut Vec<Problem>) -> Option<TeamConfig> {
    let mut fields = Fields::open(node, "a team", problems)?;
    let customer = fields.take("customer").and_then(|node| read::text(node, "customer", problems));
    let (limits, budgets) = (limits::read(&mut fields, problems), budgets::read(&mut fields, problems));
    let audit = read_audited(&mut fields, problems);
    fields.close(problems);
    Some(TeamConfig { customer, limits, budgets, audit })
}

/// Reads one customer.
pub(super) fn read_customer(node: &Node, problems: &mut Vec<Problem>) -> Option<CustomerConfig> {
    let mut fields = Fields::open(node, "a customer", problems)?;
    let (limits, budgets) = (limits::read(&mut fields, problems), budgets::read(&mut fields, problems));
    fields.close(problems);
    Some(CustomerConfig { limits, budgets })
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
