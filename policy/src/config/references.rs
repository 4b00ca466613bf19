//! References between sections, and names that must not stand twice.

use ringway_adapters::provider::Provider;

use super::alerts;
use super::read::note;
use super::tenants::known;
use super::{At, Budget, Config, Credentials, OnExhaust, Problem, ProviderConfig, Selector, key_references};
use crate::near::suggestion;
use crate::snapshot::BUILTIN;

/// Checks the whole file.
pub(super) fn check(config: &Config, builtins: &[Provider], problems: &mut Vec<Problem>) {
    for (name, provider) in config.providers.iter() {
        check_provider(name, provider, config, builtins, problems);
    }
    for (_, route) in config.routes.iter() {
        for model in route.models() {
            check_model(model, config, problems);
        }
    }
    for (name, model) in config.aliases.iter() {
        check_model(model, config, problems);
        if config.routes.get(&name.value).is_some() {
            problems.push(name.problem(format!("{:?} is the name of a route, too; a name stands for one thing", name.value)));
        }
    }
    key_references::check(config, problems);
    check_bounds(config, problems);
    alerts::check(config, problems);
}

/// The limits and budgets of the file name what is there.
fn check_bounds(config: &Config, problems: &mut Vec<Problem>) {
    let limits = config.limits.iter().map(|at| (at.place(), &at.value.selector));
    let selectors = limits.chain(config.budgets.iter().map(|at| (at.place(), &at.value.selector)));
    for (place, selector) in selectors {
        if let Selector::Provider(name) = selector
            && name != BUILTIN
            && config.providers.get(name).is_none()
        {
            let known = known(name, config.providers.names());
            note(problems, place, format!("provider {name:?} is not under providers{known}"));
        }
    }
    for budget in budgets(config) {
        let OnExhaust::Downgrade(model) = &budget.on_exhaust else { continue };
        if config.routes.get(&model.value).is_some() {
            continue;
        }
        if model.value.contains('/') {
            check_model(model, config, problems);
        } else {
            let known = known(&model.value, config.routes.names());
            problems.push(model.problem(format!("downgrade: {:?} is neither a route nor provider/model{known}", model.value)));
        }
    }
}

/// Every budget of the file, wherever it stands.
fn budgets(config: &Config) -> impl Iterator<Item = &Budget> {
    let of_providers = config.providers.iter().flat_map(|(_, provider)| {
        let keys = provider.keys.iter().flat_map(|key| &key.budgets);
        provider.budgets.iter().chain(keys).chain(provider.models.iter().flat_map(|model| &model.budgets))
    });
    let of_profiles = config.profiles.iter().flat_map(|(_, profile)| &profile.budgets);
    let of_keys = config.virtual_keys.iter().flat_map(|(_, key)| &key.budgets).chain(of_profiles);
    let of_teams = config.teams.iter().flat_map(|(_, team)| &team.budgets);
    let of_customers = config.customers.iter().flat_map(|(_, customer)| &customer.budgets);
    let owned = of_keys.chain(of_teams).chain(of_customers).chain(of_providers).map(|at| &at.value);
    owned.chain(config.budgets.iter().map(|at| &at.value.rule))
}

pub(super) fn unknown<'a>(what: &str, name: &At<String>, names: impl Iterator<Item = &'a str> + Clone, add: &str) -> Problem {
    let known = known(&name.value, names);
    let what_to_do = if known.is_empty() { format!("; add it under {add}") } else { known };
    name.problem(format!("{what} {:?} is not in the file{what_to_do}", name.value))
}

fn check_provider(name: &At<String>, config: &ProviderConfig, file: &Config, builtins: &[Provider], problems: &mut Vec<Problem>) {
    if name.value == BUILTIN {
        problems.push(name.problem(format!("the provider {BUILTIN:?} is always there; give yours another name")));
        return;
    }
    let base = config.like.as_ref().unwrap_or(name);
    let external = || builtins.iter().filter(|provider| !provider.is_builtin());
    let builtin = external().find(|provider| provider.is_called(&base.value));
    if builtin.is_none() && !config.stands_alone() {
        problems.push(unknown_provider(base, config, external().map(|provider| provider.name.as_str())));
        return;
    }
    if config.base_url.is_none() && builtin.is_none_or(|builtin| builtin.base_url.is_empty()) {
        problems.push(name.problem(format!("the provider {:?} needs a base_url", name.value)));
    } else if config.is_sound()
        && let Err(message) = config.provider(&name.value, builtin)
    {
        let place = config.operations.as_ref().map_or(name.place(), At::place);
        note(problems, place, format!("the provider {:?}: {message}", name.value));
    }
    let other = config.credentials.is_some() || config.access_token.is_some() || config.access_key_id.is_some();
    let without_credential = config.keys.is_empty() && !other;
    if let Some(variable) = builtin.and_then(|builtin| builtin.env_keys.first())
        && without_credential
        && config.like.is_none()
        && config.base_url.is_none()
        && !key_references::brings_credential(file, &name.value)
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

/// Neither built in, nor like one that is, nor whole by itself.
fn unknown_provider<'a>(base: &At<String>, config: &ProviderConfig, names: impl Iterator<Item = &'a str> + Clone) -> Problem {
    let message = match &config.like {
        Some(_) => format!("like: {:?} is no built-in provider{}", base.value, known(&base.value, names)),
        None => match suggestion(&base.value, names) {
            near if near.is_empty() => {
                let alone = "or give it base_url, auth and operations of its own";
                format!("{:?} is no built-in provider; write like: NAME of one that it is compatible with, {alone}", base.value)
            }
            near => format!("{:?} is no built-in provider{near}, or write like: NAME of one that it is compatible with", base.value),
        },
    };
    base.problem(message)
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
