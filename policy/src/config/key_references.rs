//! What virtual keys, profiles, teams and customers refer to. One look at each, however many keys there are.

use ahash::AHashMap;

use super::references::unknown;
use super::tenants::known;
use super::{Access, At, Config, Problem};
use crate::snapshot::BUILTIN;

/// Checks the keys, profiles and teams of the file.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let (teams, customers) = (config.teams.by_name(), config.customers.by_name());
    let (profiles, providers) = (config.profiles.by_name(), config.providers.by_name());
    let is_provider = |name: &str| name == BUILTIN || providers.contains_key(name);
    let mut owners: AHashMap<[u8; 32], &str> = AHashMap::with_capacity(config.virtual_keys.0.len());
    for (name, key) in config.virtual_keys.iter() {
        if let Some(team) = key.team.as_ref().filter(|team| !teams.contains_key(team.value.as_str())) {
            problems.push(unknown("team", team, config.teams.names(), "teams: {NAME: {}}"));
        }
        if let Some(customer) = key.customer.as_ref().filter(|customer| !customers.contains_key(customer.value.as_str())) {
            problems.push(unknown("customer", customer, config.customers.names(), "customers: {NAME: {}}"));
        }
        if let Some(profile) = key.profile.as_ref().filter(|profile| !profiles.contains_key(profile.value.as_str())) {
            problems.push(unknown("profile", profile, config.profiles.names(), "profiles: {NAME: {}}"));
        }
        if let Some(access) = &key.access {
            check_access(access, &is_provider, config, problems);
        }
        for (sha256, _) in key.digests() {
            if let Some(owner) = owners.insert(sha256.value, &name.value) {
                problems.push(sha256.problem(match owner == name.value {
                    true => format!("this key stands twice in {owner:?}; a former key is another one"),
                    false => format!("this key is also the key of {owner:?}; each has its own"),
                }));
            }
        }
    }
    for (_, profile) in config.profiles.iter() {
        check_access(&profile.access, &is_provider, config, problems);
    }
    for (_, team) in config.teams.iter() {
        if let Some(customer) = team.customer.as_ref().filter(|customer| !customers.contains_key(customer.value.as_str())) {
            problems.push(unknown("customer", customer, config.customers.names(), "customers: {NAME: {}}"));
        }
    }
}

/// Names of providers without a `*` are names of the file.
fn check_access(access: &Access, is_provider: &dyn Fn(&str) -> bool, config: &Config, problems: &mut Vec<Problem>) {
    let listed = access.providers.iter().chain(&access.deny_providers).flatten();
    let missing = |name: &&At<String>| !name.value.contains('*') && !is_provider(&name.value);
    for name in listed.chain(access.credentials.iter().map(|(provider, _)| provider)).filter(missing) {
        let known = known(&name.value, config.providers.names());
        problems.push(name.problem(format!("provider {:?} is not under providers{known}", name.value)));
    }
}

/// Whether a virtual key or a profile brings its own credential to a provider.
pub(super) fn brings_credential(config: &Config, provider: &str) -> bool {
    let brings = |access: &Access| access.credentials.iter().any(|(name, _)| name.value == provider);
    config.profiles.iter().any(|(_, profile)| brings(&profile.access))
        || config.virtual_keys.iter().any(|(_, key)| key.access.as_ref().is_some_and(|access| brings(access)))
}
