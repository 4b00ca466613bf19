//! What must hold of every file in `providers/`, whatever company it is about.

use std::collections::HashMap;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::{self, Auth, BaseUrl, builtin, builtins};

/// The companies and servers that every release serves, by the names that people write.
const AT_LEAST: &[&str] = &[
    "openai",
    "azure",
    "azure-v1",
    "azure-ai",
    "anthropic",
    "mistral",
    "groq",
    "xai",
    "deepseek",
    "openrouter",
    "together",
    "fireworks",
    "perplexity",
    "cerebras",
    "sambanova",
    "nebius",
    "parasail",
    "huggingface",
    "replicate",
    "nvidia",
    "nvidia-nim",
    "databricks",
    "snowflake",
    "snowflake-cortex",
    "cloudflare",
    "workers-ai",
    "github",
    "github-models",
    "moonshot",
    "minimax",
    "zai",
    "qwen",
    "dashscope",
    "ai21",
    "writer",
    "venice",
    "vercel",
    "vercel-gateway",
    "ollama",
    "vllm",
    "sglang",
    "llamacpp",
    "lmstudio",
    "lm-studio",
    "tgi",
    "voyage",
    "jina",
    "elevenlabs",
    "deepgram",
];

/// Servers that run beside the gateway: plain HTTP, and no key of theirs is well known.
const LOCAL: &str = "http://127.0.0.1:";

#[test]
fn the_providers_that_everyone_asks_for_are_there() {
    let missing: Vec<&&str> = AT_LEAST.iter().filter(|name| builtin(name).is_none()).collect();
    assert!(missing.is_empty(), "no file for {missing:?}");
}

#[test]
fn every_url_is_https_but_on_this_machine() {
    for provider in builtins().iter().filter(|provider| !provider.is_builtin() && !provider.base_url.is_empty()) {
        let (name, url) = (&provider.name, &provider.base_url);
        assert!(url.starts_with("https://") || url.starts_with(LOCAL), "{name}: {url} is neither https nor on this machine");
        assert!(!url.ends_with('/'), "{name}: {url} ends in a slash, and paths begin with one");
        assert!(!url.starts_with(LOCAL) || provider.env_keys.is_empty(), "{name}: a key would start a provider that may not run");
    }
}

#[test]
fn every_path_begins_with_a_slash_and_its_placeholders_are_known() {
    for provider in builtins() {
        let paths = provider.operations.iter().flat_map(|served| [Some(&served.path), served.stream_path.as_ref()]);
        let paths = paths.flatten().map(String::as_str);
        for text in paths.clone().chain([provider.base_url.as_str()]) {
            for placeholder in placeholders(text) {
                let name = &provider.name;
                let mut variables = provider.variables.iter().map(|variable| variable.name.as_str());
                let is_known = ["model", "api_version"].contains(&placeholder) || variables.any(|variable| variable == placeholder);
                assert!(is_known, "{name}: {{{placeholder}}} in {text} is in no variable");
                assert!(placeholder != "api_version" || !provider.quirks.api_version.is_empty(), "{name}: which api_version?");
            }
        }
        assert!(paths.clone().all(|path| path.starts_with('/') && !path.contains("//")), "{}: a path is odd", provider.name);
    }
}

/// The names between braces.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or(rest))
}

#[test]
fn no_two_providers_share_a_name_or_the_variable_of_a_key() {
    let (mut names, mut variables) = (HashMap::new(), HashMap::new());
    for provider in builtins() {
        for name in provider.aliases.iter().chain([&provider.name]) {
            let other = names.insert(name, &provider.name);
            assert_eq!(other, None, "{name} is also a name of {other:?}");
        }
        for variable in &provider.env_keys {
            let other = variables.insert(variable, &provider.name);
            assert_eq!(other, None, "{variable} of {} is also the key of {other:?}: it would go to both companies", provider.name);
            let is_plain = variable.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            assert!(is_plain, "{variable} is no name of a variable");
        }
    }
}

#[test]
fn every_variable_stands_somewhere_and_may_come_from_the_environment() {
    for provider in builtins() {
        let name = &provider.name;
        let needed: Vec<&str> = provider.needed(BaseUrl::Own).map(|variable| variable.name.as_str()).collect();
        for variable in &provider.variables {
            assert!(needed.contains(&variable.name.as_str()), "{name}: nothing has a place for {{{}}}", variable.name);
            assert!(!variable.env.is_empty() || variable.default.is_some(), "{name}: where may {} come from?", variable.name);
        }
    }
}

#[test]
fn sources_say_where_and_when() {
    for provider in builtins() {
        let name = &provider.name;
        assert!(provider.source.contains(['.', '/', ':']), "{name}: the source names no page, file or host");
        let digits: Vec<usize> = provider.date.split('-').map(str::len).collect();
        assert_eq!(digits, [4, 2, 2], "{name}: write the date as 2026-11-20");
        assert!(!provider.source.contains("://"), "{name}: leave the scheme out of the source");
    }
}

#[test]
fn an_operation_is_served_once_in_a_dialect() {
    for provider in builtins() {
        let mut seen: Vec<(Operation, DialectId)> = Vec::new();
        for served in provider.operations.iter().filter(|served| served.models.is_empty()) {
            let row = (served.operation, served.dialect);
            assert!(!seen.contains(&row), "{}: {} stands twice in {:?}", provider.name, served.operation.name(), served.dialect);
            seen.push(row);
        }
    }
}

#[test]
fn keys_and_headers_travel_in_header_lines_of_their_own() {
    for provider in builtins() {
        let name = &provider.name;
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        match &provider.auth {
            Auth::Header(header) => assert!(plain(header) && *header == header.to_ascii_lowercase(), "{name}: {header}"),
            Auth::Scheme(scheme) => assert!(plain(scheme) && scheme != "Bearer", "{name}: {scheme}"),
            Auth::Query(parameter) => assert!(plain(parameter), "{name}: {parameter}"),
            Auth::Sigv4 { service } => assert!(plain(service), "{name}: {service}"),
            Auth::Bearer | Auth::None => {}
        }
        for limit in &provider.rate_limits {
            assert!(plain(&limit.remaining) && plain(&limit.reset), "{name}: {limit:?}");
            assert!(limit.remaining == limit.remaining.to_ascii_lowercase(), "{name}: answer fields are compared in lower case");
        }
    }
}

#[test]
fn quirks_do_not_contradict_each_other() {
    for provider in builtins() {
        let (name, quirks) = (&provider.name, &provider.quirks);
        for (from, to) in &quirks.rename {
            assert!(from != to && !quirks.drop.contains(from) && !quirks.drop.contains(to), "{name}: {from} is renamed and dropped");
        }
        for forced in quirks.force.keys() {
            let is_elsewhere = quirks.drop.contains(forced) || quirks.rename.iter().any(|(from, to)| from == forced || to == forced);
            assert!(!is_elsewhere, "{name}: {forced} is forced, and dropped or renamed");
        }
        assert!(quirks.temperature_max.is_none_or(|max| max > 0.0), "{name}: no temperature would be left");
        assert!(!quirks.prefill || quirks.prefill_models.is_empty(), "{name}: all models and some models take a prefill");
    }
}

#[test]
fn a_provider_has_other_names() {
    let by_alias = builtin("vercel-gateway").unwrap();
    assert_eq!(by_alias.name, "vercel");
    assert!(by_alias.is_called("vercel") && by_alias.is_called("vercel-gateway") && !by_alias.is_called("openai"));
    let derived = provider::like("dashscope", "mine").unwrap();
    assert_eq!((derived.name.as_str(), derived.aliases.len()), ("mine", 0), "another company does not go by the same names");
    assert_eq!(derived.base_url, builtin("qwen").unwrap().base_url);
}
