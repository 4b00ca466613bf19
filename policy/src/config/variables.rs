//! Variables of providers: words like `region` that a provider's URL and paths leave to the configuration.
//!
//! Which ones there are is the providers' own matter (`variables` in adapters/providers/NAME.toml); each is a key of the provider here.

use std::collections::BTreeSet;

use ringway_adapters::provider::{BaseUrl, Provider};

use super::expand::Lookup;
use super::read::{self, Fields};
use super::{At, Config, Problem, ProviderConfig};

/// Keys that are read whether or not a provider has them, so that their problem names the provider.
const USUAL: &[&str] = &["account", "location", "project", "region"];

/// A variable's name and its value.
pub type Values = Vec<(At<String>, At<String>)>;

/// The names of all variables.
pub(super) fn names(builtins: &[Provider]) -> BTreeSet<&str> {
    let declared = builtins.iter().flat_map(|provider| &provider.variables).map(|variable| variable.name.as_str());
    USUAL.iter().copied().chain(declared).collect()
}

/// Reads those that stand at one provider.
pub(super) fn read(fields: &mut Fields<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) -> Values {
    let names = names(builtins);
    let entries = fields.take_each(names.iter().copied());
    entries.into_iter().filter_map(|(name, node)| Some((name.clone(), read::secret(node, &name.value, problems, url_safe)?))).collect()
}

/// It becomes part of a URL.
fn url_safe(text: &str) -> Result<String, String> {
    let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':'));
    if good { Ok(text.to_owned()) } else { Err("write letters, digits, dots, colons, hyphens and underscores".to_owned()) }
}

/// Adds to each provider what it needs and the file does not say: from the environment, else the provider's default. Notes what is
/// missing, and what a provider has no use for.
pub(super) fn complete(config: &mut Config, lookup: Lookup<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) {
    for (name, provider) in config.providers.iter_mut() {
        let base = provider.like.as_ref().unwrap_or(name);
        let Some(builtin) = builtins.iter().find(|builtin| builtin.is_called(&base.value)) else { continue };
        for (key, _) in &provider.variables {
            if !builtin.variables.iter().any(|variable| variable.name == key.value) {
                let known: Vec<&str> = builtin.variables.iter().map(|variable| variable.name.as_str()).collect();
                let instead = if known.is_empty() { "leave it out".to_owned() } else { format!("it has {}", known.join(", ")) };
                problems.push(key.problem(format!("the provider {:?} has no {}; {instead}", name.value, key.value)));
            }
        }
        for missing in fill(provider, builtin, lookup) {
            problems.push(name.problem(format!("the provider {:?} needs a {missing}; write {missing}: VALUE", name.value)));
        }
    }
}

/// Adds what is not there yet; gives the names of those that nobody says.
pub(super) fn fill<'b>(config: &mut ProviderConfig, builtin: &'b Provider, lookup: Lookup<'_>) -> Vec<&'b str> {
    let base_url = if config.base_url.is_some() { BaseUrl::Given } else { BaseUrl::Own };
    let mut missing = Vec::new();
    for variable in builtin.needed(base_url) {
        if config.variables.iter().any(|(name, _)| name.value == variable.name) {
            continue;
        }
        let set = |name: &String| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let usable = |value: &String| url_safe(value).is_ok();
        match variable.env.iter().find_map(set).filter(usable).or_else(|| variable.default.clone()) {
            Some(value) => config.variables.push((At::nowhere(variable.name.clone()), At::nowhere(value))),
            None => missing.push(variable.name.as_str()),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use ringway_adapters::provider;

    use super::super::parse_with;
    use super::*;

    const CLOUD: &str = r#"
        base_url = "https://{region}.example.com"
        auth = {sigv4 = {service = "example"}}
        variables = [{name = "region", env = ["A_REGION", "B_REGION"]}, {name = "zone", default = "z1"}]
        operations = [{operation = "chat", dialect = "openai-chat", path = "/{zone}/chat"}]"#;

    fn parsed(text: &str) -> Result<Config, Vec<Problem>> {
        let builtins = [provider::parse("cloud", CLOUD).unwrap(), provider::builtin("openai").unwrap().clone()];
        parse_with(text, &|name| (name == "B_REGION").then(|| "eu-1".to_owned()), &builtins)
    }

    fn values(config: &Config, name: &str) -> Vec<(String, String)> {
        let provider = config.providers.get(name).unwrap();
        provider.variables.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
    }

    #[test]
    fn the_file_wins_over_the_environment_and_that_over_the_default() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let config = parsed("providers: {cloud: {keys: [k], zone: z2}}").unwrap();
        assert_eq!(values(&config, "cloud"), [pair("zone", "z2"), pair("region", "eu-1")]);
        let config = parsed("providers: {cloud: {keys: [k], region: us-1}}").unwrap();
        assert_eq!(values(&config, "cloud"), [pair("region", "us-1"), pair("zone", "z1")]);
    }

    #[test]
    fn what_is_missing_or_for_nothing_is_a_problem_with_its_place() {
        let builtins = [provider::parse("cloud", CLOUD).unwrap(), provider::builtin("openai").unwrap().clone()];
        let problems = |text| {
            let problems = parse_with(text, &|_| None, &builtins).unwrap_err();
            problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(problems("providers: {cloud: {keys: [k]}}"), "1:13 the provider \"cloud\" needs a region; write region: VALUE");
        let text = problems("providers: {openai: {keys: [k], region: x}}");
        assert!(text.starts_with("1:33 ") && text.contains("has no region"), "{text}");
        let text = problems("providers: {cloud: {keys: [k], region: \"a/b\"}}");
        assert!(text.contains("region cannot be used"), "{text}");
        let text = problems("providers: {cloud: {keys: [k], regoin: a}}");
        assert!(text.contains("unknown key \"regoin\""), "{text}");
    }
}
