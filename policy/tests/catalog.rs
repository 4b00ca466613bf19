//! The committed catalog under the names that providers give their models. The figures are those of the price file.

use std::sync::Arc;

use ringway_adapters::provider::{builtin, builtins};
use ringway_policy::catalog::{self, Abilities, ModelFacts};
use ringway_policy::cost::{Family, Usd};

fn find(provider: &str, model: &str) -> Option<Arc<ModelFacts>> {
    builtin(provider).unwrap().catalog.iter().find_map(|name| catalog::find(name, model))
}

/// Dollars for a million tokens; empty where there is no rate.
fn per_million(facts: &ModelFacts, family: Family) -> String {
    let usd = facts.rates.as_ref().and_then(|rates| rates.standard(family));
    usd.map(|usd: Usd| usd.per_million().to_string()).unwrap_or_default()
}

#[test]
fn models_are_found_by_the_names_that_their_providers_give_them() {
    for (provider, model, id, input, cached, output) in [
        ("openai", "gpt-4.1", "gpt-4.1", "2", "0.5", "8"),
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18", "0.15", "0.075", "0.6"),
        ("openai", "o3", "o3", "2", "0.5", "8"),
        ("openai", "text-embedding-3-small", "text-embedding-3-small", "0.02", "", "0"),
        ("openai", "ft:gpt-4o-2024-08-06:acme:name:id", "ft:gpt-4o-2024-08-06", "3.75", "1.875", "15"),
        ("openai", "ft:gpt-4o:acme::id", "ft:gpt-4o-2024-11-20", "3.75", "", "15"),
        ("openai", "gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct", "1.5", "", "2"),
        ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5", "3", "0.3", "15"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929", "3", "0.3", "15"),
        ("anthropic", "claude-opus-4-7-latest", "claude-opus-4-7", "5", "0.5", "25"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", "1", "0.1", "5"),
        ("azure", "gpt-4.1", "azure/gpt-4.1", "2", "0.5", "8"),
        ("azure", "eu/gpt-4o", "azure/eu/gpt-4o", "2.75", "1.375", "11"),
        ("azure", "claude-sonnet-4-5", "azure_ai/claude-sonnet-4-5", "3", "0.3", "15"),
        ("azure", "gpt-35-turbo-instruct", "azure/gpt-35-turbo-instruct", "1.65", "", "2.2"),
        ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b", "0.15", "0.075", "0.6"),
        ("mistral", "mistral-large-latest", "mistral/mistral-large-latest", "0.5", "0.05", "1.5"),
        ("mistral", "codestral-latest", "mistral/codestral-latest", "0.3", "0.03", "0.9"),
        ("deepseek", "deepseek-chat", "deepseek-chat", "0.28", "0.028", "0.42"),
        ("xai", "grok-4.3-latest", "xai/grok-4.3-latest", "1.25", "0.2", "2.5"),
        ("cerebras", "gpt-oss-120b", "cerebras/gpt-oss-120b", "0.35", "", "0.75"),
        ("together", "openai/gpt-oss-120b", "together_ai/openai/gpt-oss-120b", "0.15", "", "0.6"),
        ("vercel", "anthropic/claude-sonnet-4.5", "vercel_ai_gateway/anthropic/claude-sonnet-4.5", "3", "0.3", "15"),
        ("zai", "glm-4.6", "zai/glm-4.6", "0.6", "0.11", "2.2"),
        ("ollama", "llama3.1", "ollama/llama3.1", "0", "", "0"),
    ] {
        let facts = find(provider, model).unwrap_or_else(|| panic!("{provider} {model} is not found"));
        let rates = [Family::Input, Family::CachedRead, Family::Output].map(|family| per_million(&facts, family));
        assert_eq!((&*facts.id, rates.each_ref().map(String::as_str)), (id, [input, cached, output]), "{provider} {model}");
    }
    let gemini = catalog::find("gemini", "gemini-2.5-flash").unwrap();
    assert_eq!((per_million(&gemini, Family::Input), per_million(&gemini, Family::Output)), ("0.3".to_owned(), "2.5".to_owned()));
}

#[test]
fn a_price_of_another_endpoint_or_of_a_retired_model_is_not_made_up() {
    // The catalog has codestral-2405 at no charge, of an endpoint that is not this provider's.
    for (provider, model) in [("mistral", "codestral-2405"), ("anthropic", "claude-3-5-haiku-latest"), ("openrouter", "openai/gpt-4.1")] {
        assert_eq!(find(provider, model), None, "{provider} {model}");
    }
}

#[test]
fn every_name_that_a_provider_has_in_the_catalog_is_there() {
    let known: Vec<&str> = catalog::catalog().iter().map(|(provider, _)| provider).collect();
    for provider in builtins() {
        for name in &provider.catalog {
            assert!(known.contains(&name.as_str()), "{}: the catalog has no provider {name}", provider.name);
        }
    }
}

#[test]
fn abilities_are_those_of_the_price_file() {
    let all = Abilities::VISION.with(Abilities::TOOLS).with(Abilities::JSON_SCHEMA).with(Abilities::PROMPT_CACHING).with(Abilities::PDF);
    for (provider, model, reasons) in [("openai", "gpt-4.1", false), ("openai", "o3", true), ("anthropic", "claude-sonnet-4-5", true)] {
        let abilities = find(provider, model).unwrap().abilities;
        assert!(abilities.contains(all), "{model}: {abilities}");
        assert_eq!(abilities.contains(Abilities::REASONING), reasons, "{model}: {abilities}");
    }
    assert!(find("openai", "text-embedding-3-small").unwrap().abilities.is_empty());
}
