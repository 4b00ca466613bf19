//! Warnings of keys, teams and customers.

use super::Ground;
use super::routes::serves;
use crate::config::Problem;
use crate::pattern::Pattern;
use crate::snapshot::{BUILTIN, BUILTIN_MODEL};

/// A team without a key: its limits and budgets bind nobody.
pub(super) fn unused_team(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (name, team) in ground.config.teams.iter() {
        let used = ground.config.virtual_keys.iter().any(|(_, key)| key.team.as_ref().is_some_and(|team| team.value == name.value));
        if !used {
            warnings.push(name.problem(unused("team", &name.value, !team.limits.is_empty() || !team.budgets.is_empty())));
        }
    }
}

/// A customer without a team.
pub(super) fn unused_customer(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (name, customer) in ground.config.customers.iter() {
        let is_it = |named: &Option<crate::config::At<String>>| named.as_ref().is_some_and(|named| named.value == name.value);
        if !ground.config.teams.iter().any(|(_, team)| is_it(&team.customer)) {
            warnings.push(name.problem(unused("customer", &name.value, !customer.limits.is_empty() || !customer.budgets.is_empty())));
        }
    }
}

fn unused(what: &str, name: &str, bounded: bool) -> String {
    let belongs = if what == "team" { "virtual key" } else { "team" };
    let bounds = if bounded { ", so its limits and budgets bind nobody" } else { "" };
    format!("no {belongs} belongs to the {what} {name:?}{bounds}; write {what}: {name} on one, or leave it out")
}

/// A key whose patterns fit nothing that the file has.
pub(super) fn key_without_models(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (_, key) in ground.config.virtual_keys.iter() {
        for pattern in key.models.iter().flatten() {
            if !fits_anything(ground, &pattern.value) {
                let message = format!("{:?} fits no route and no model of a provider of this file", pattern.value);
                warnings.push(pattern.problem(message));
            }
        }
    }
}

/// Bounds of a key that may ask for nothing.
pub(super) fn limit_of_nobody(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (name, key) in ground.config.virtual_keys.iter() {
        let idle = key.models.as_ref().is_some_and(|models| models.iter().all(|model| !fits_anything(ground, &model.value)));
        if idle && (!key.limits.is_empty() || !key.budgets.is_empty()) {
            let message = format!("the key {:?} may ask for no model, so its limits and budgets count nothing", name.value);
            warnings.push(name.problem(message));
        }
    }
}

/// Whether a route or a model that somebody may ask for could fit `text`.
pub(super) fn fits_anything(ground: &Ground<'_>, text: &str) -> bool {
    let pattern = Pattern::new(text);
    // Two patterns may meet where one fits the other's text, a `*` taken as any.
    let meets = |name: &str| pattern.matches(name) || Pattern::new(name).matches(text) || (name.contains('*') && text.contains('*'));
    if ground.config.routes.names().chain(ground.config.aliases.names()).any(&meets)
        || pattern.matches(&format!("{BUILTIN}/{BUILTIN_MODEL}"))
    {
        return true;
    }
    ground.config.providers.iter().any(|(name, provider)| match text.split_once('/') {
        Some((owner, model)) if !owner.contains('*') => {
            owner == name.value && (model.contains('*') || model.is_empty() || serves(ground, owner, model))
        }
        Some(_) => true,
        None => {
            let listed = provider
                .models
                .iter()
                .any(|model| pattern.matches(&model.name.value) || pattern.matches(&format!("{}/{}", name.value, model.name.value)));
            let builtin = ground.builtins.iter().find(|builtin| builtin.name == name.value && provider.like.is_none());
            let known = builtin.is_some_and(|builtin| builtin.models.iter().any(|known| meets(known)));
            listed || known || text.contains('*')
        }
    })
}
