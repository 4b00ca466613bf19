//! The configuration without a file: a provider for each well-known key in the environment.

use ringway_adapters::provider::Provider;

use super::{At, Config, KeyConfig, Lookup, ProviderConfig, variables};

/// A provider for each built-in whose key is set; its first variable that is set and not empty wins.
pub fn from_environment(builtins: &[Provider], lookup: Lookup<'_>) -> Config {
    let found = builtins.iter().filter_map(|provider| {
        let set = |variable: &String| lookup(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let value = provider.env_keys.iter().find_map(set)?;
        // A variable with control bytes would split the header line that it travels in.
        value.bytes().all(|byte| byte.is_ascii_graphic()).then_some(())?;
        let key = KeyConfig { name: "key-1".to_owned(), value: At::nowhere(value), weight: 1, ..KeyConfig::default() };
        let mut config = ProviderConfig { keys: vec![key], ..ProviderConfig::default() };
        // Without a place to ask, a key alone is no provider.
        variables::fill(&mut config, provider, lookup).is_empty().then(|| (At::nowhere(provider.name.clone()), config))
    });
    Config { providers: found.collect(), ..Config::default() }
}
