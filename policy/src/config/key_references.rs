//! What virtual keys, profiles, teams and customers refer to. One look at each, however many keys there are.

use ahash::AHashMap;

use super::references::unknown;
use super::tenants::known;
use super::{Access, At, Config, Problem, VirtualKeyConfig};
use crate::snapshot::BUILTIN;

/// Checks the keys, profiles and teams of the file.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let (teams, customers) = (config.teams.by_name(), config.customers.by_name());
    let (profiles, providers) = (config.profiles.by_name(), config.providers.by_name());
    let is_provider = |name: &str| name == BUILTIN || providers.contains_key(name);
    let known = Known {
        team: &|name| teams.contains_key(name),
        customer: &|name| customers.contains_key(name),
        profile: &|name| profiles.contains_key(name),
        provider: &is_provider,
    };
    let mut owners: AHashMap<[u8; 32], &str> = AHashMap::with_capacity(config.virtual_keys.len());
    for (name, key) in config.virtual_keys.iter() {
        check_key(key, &known, config, problems);
        for (sha256, _) in key.digests() {
            if let Some(owner) = owners.insert(sha256.value, &name.value) {
                problems.push(twice(sha256, owner, &name.value));
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

/// Checks one key of a file whose others are sound.
pub(super) fn check_one(config: &Config, name: &str, problems: &mut Vec<Problem>) {
    let Some(key) = config.virtual_keys.get(name) else { return };
    let known = Known {
        team: &|name| config.teams.get(name).is_some(),
        customer: &|name| config.customers.get(name).is_some(),
        profile: &|name| config.profiles.get(name).is_some(),
        provider: &|name| name == BUILTIN || config.providers.get(name).is_some(),
    };
    check_key(key, &known, config, problems);
    let own: Vec<&At<[u8; 32]>> = key.digests().map(|(sha256, _)| sha256).collect();
    for (index, sha256) in own.iter().enumerate() {
        if own[..index].iter().any(|other| other.value == sha256.value) {
            problems.push(twice(sha256, name, name));
        }
    }
    for (owner, other) in config.virtual_keys.iter().filter(|(owner, _)| owner.value != name) {
        for (sha256, _) in other.digests() {
            if let Some(own) = own.iter().find(|own| own.value == sha256.value) {
                problems.push(twice(own, &owner.value, name));
            }
        }
    }
}

/// What a virtual key may refer to.
struct Known<'k> {
    team: &'k dyn Fn(&str) -> bool,
    customer: &'k dyn Fn(&str) -> bool,
    profile: &'k dyn Fn(&str) -> bool,
    provider: &'k dyn Fn(&str) -> bool,
}

fn check_key(key: &VirtualKeyConfig, is: &Known<'_>, config: &Config, problems: &mut Vec<Problem>) {
    if let Some(team) = key.team.as_ref().filter(|team| !(is.team)(&team.value)) {
        problems.push(unknown("team", team, config.teams.names(), "teams: {NAME: {}}"));
    }
    if let Some(customer) = key.customer.as_ref().filter(|customer| !(is.customer)(&customer.value)) {
        problems.push(unknown("customer", customer, config.customers.names(), "customers: {NAME: {}}"));
    }
    if let Some(profile) = key.profile.as_ref().filter(|profile| !(is.profile)(&profile.value)) {
        problems.push(unknown("profile", profile, config.profiles.names(), "profiles: {NAME: {}}"));
    }
    if let Some(access) = &key.access {
        check_access(access, is.provider, config, problems);
    }
}

fn twice(sha256: &At<[u8; 32]>, owner: &str, name: &str) -> Problem {
    sha256.problem(match owner == name {
        true => format!("this key stands twice in {owner:?}; a former key is another one"),
        false => format!("this key is also the key of {owner:?}; each has its own"),
    })
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
