//! References between sections, and names that must not stand twice.

use ringway_adapters::provider::Provider;

use super::tenants::known;
use super::{At, Config, Credentials, Problem, ProviderConfig};
use crate::near::suggestion;
use crate::snapshot::BUILTIN;

/// Checks the whole file.
pub(super) fn check(config: &Config, builtins: &[Provider], problems: &mut Vec<Problem>) {
    for (name, provider) in config.providers.iter() {
        check_provider(name, provider, builtins, problems);
    }
    for (_, route) in config.routes.iter() {
        for model in route.targets.iter().map(|target| &target.model).chain(&route.fallbacks) {
            check_model(model, config, problems);
        }
    }
    for (name, key) in config.virtual_keys.iter() {
        if let Some(team) = &key.team
            && config.teams.get(&team.value).is_none()
        {
            problems.push(unknown("team", team, config.teams.names(), "teams: {NAME: {}}"));
        }
        let Some(sha256) = key.sha256() else { continue };
        let before = config.virtual_keys.iter().take_while(|(other, _)| other.value != name.value);
        if let Some((other, _)) = before.into_iter().find(|(_, other)| other.sha256().is_some_and(|other| other.value == sha256.value)) {
            problems.push(sha256.problem(format!("this key is also the key of {:?}; each has its own", other.value)));
        }
    }
    for (_, team) in config.teams.iter() {
        if let Some(customer) = &team.customer
            && config.customers.get(&customer.value).is_none()
        {
            problems.push(unknown("customer", customer, config.customers.names(), "customers: {NAME: {}}"));
        }
    }
}

fn unknown<'a>(what: &str, name: &At<String>, names: impl Iterator<Item = &'a str> + Clone, add: &str) -> Problem {
    let known = known(&name.value, names);
    let what_to_do = if known.is_empty() { format!("; add it under {add}") } else { known };
    name.problem(format!("{what} {:?} is not in the file{what_to_do}", name.value))
}

fn check_provider(name: &At<String>, config: &ProviderConfig, builtins: &[Provider], problems: &mut Vec<Problem>) {
    if name.value == BUILTIN {
        problems.push(name.problem(format!("the provider {BUILTIN:?} is always there; give yours another name")));
        return;
    }
    let base = config.like.as_ref().unwrap_or(name);
    let external = || builtins.iter().filter(|provider| !provider.is_builtin());
    let names = external().map(|provider| provider.name.as_str());
    let Some(builtin) = external().find(|provider| provider.name == base.value) else {
        let message = match &config.like {
            Some(_) => format!("like: {:?} is no built-in provider{}", base.value, known(&base.value, names)),
            None => {
                let near = suggestion(&base.value, names);
                let or = if near.is_empty() { "; write" } else { ", or write" };
                format!("{:?} is no built-in provider{near}{or} like: NAME of one that it is compatible with", base.value)
            }
        };
        problems.push(base.problem(message));
        return;
    };
    if config.base_url.is_none() && builtin.base_url.is_empty() {
        problems.push(name.problem(format!("the provider {:?} needs a base_url", name.value)));
    }
    let without_credential = config.keys.is_empty() && config.credentials.is_none() && config.access_token.is_none();
    if let Some(variable) = builtin.env_keys.first()
        && without_credential
        && config.like.is_none()
        && config.base_url.is_none()
    {
        problems.push(name.problem(format!("the provider {:?} has no key; write keys: [\"${{{variable}}}\"]", name.value)));
    }
    if let Some(caller) = &config.credentials
        && matches!(caller.value, Credentials::Caller)
        && !config.keys.is_empty()
    {
        problems.push(caller.problem("credentials: caller and keys exclude each other; keep one"));
    }
    if !config.keys.is_empty() && config.keys.iter().all(|key| key.weight == 0) {
        problems.push(name.problem(format!("every key of {:?} has weight 0; give one a weight", name.value)));
    }
}

/// A target or fallback is `provider/model` with a provider of the file.
fn check_model(model: &At<String>, config: &Config, problems: &mut Vec<Problem>) {
    let Some((provider, rest)) = model.value.split_once('/') else {
        let known = suggestion(&model.value, config.providers.names());
        problems.push(model.problem(format!("{:?} names no provider; write provider/model{known}", model.value)));
        return;
    };
    if rest.is_empty() {
        problems.push(model.problem(format!("{:?} names no model; write provider/model", model.value)));
    } else if provider != BUILTIN && config.providers.get(provider).is_none() {
        let known = known(provider, config.providers.names());
        problems.push(model.problem(format!("provider {provider:?} is not under providers{known}")));
    }
}
