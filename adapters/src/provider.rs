//! Providers as data: one TOML file each; the same schema works in a user's configuration.
//!
//! ```toml
//! # adapters/providers/NAME.toml; the file's name is the provider's name.
//! source = "where these facts were read"       # required
//! date = "2026-11-20"                          # required; when they were read
//! base_url = "https://api.example.com/v1"      # absent: the user must give one; "builtin:…" answers inside the gateway
//! auth = "bearer"                              # or "none", {header = "x-api-key"}, {query = "key"}
//! env_keys = ["EXAMPLE_API_KEY"]               # variables that hold its key, first one set wins
//! headers = [["example-version", "1"]]         # on every request, unless the client sent its own
//! rate_limits = [{remaining = "x-left", reset = "x-reset"}]   # answer fields: what is left of a limit, when it is full again
//! models = ["example-*"]                       # may be asked for without the provider's name; `*` for any rest
//! catalog = ["example"]                        # what the catalog of prices calls it, first one that has a model wins
//! operations = [                               # what it really has; `path` stands below base_url, {model} is the model's name
//!     {operation = "chat", dialect = "openai-chat", path = "/chat/completions"},
//! ]
//!
//! [quirks]                                     # see `Quirks`; each may be absent
//! stream_options = true
//! ```

use std::sync::OnceLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::dialect::{DIALECTS, DialectId};
use crate::operation::Operation;

/// A company's API: where it is, how it wants its key, what it can do.
#[derive(Clone, Debug)]
pub struct Provider {
    pub name: String,
    /// Where its API begins; see the contract's Meanings for what each dialect appends. Empty where the user must say it;
    /// `builtin:…` where the gateway itself answers.
    pub base_url: String,
    pub auth: Auth,
    /// Environment variables that hold its key, first one set wins.
    pub env_keys: Vec<String>,
    /// Operation → the dialect and path it is served in. Chat may stand more than once: the first is preferred,
    /// and one that equals the client's dialect wins.
    pub operations: Vec<Served>,
    pub quirks: Quirks,
    /// Headers that every request carries (`anthropic-version`), unless the client sent its own.
    pub headers: Vec<(String, String)>,
    /// Where its answers say how near their credential is to a limit.
    pub rate_limits: Vec<RateLimitFields>,
    /// Models that it is known to serve: names, `*` for any rest. They may be asked for without the provider's name.
    pub models: Vec<String>,
    /// Its names in the catalog of models and prices; the first one that has a model wins.
    pub catalog: Vec<String>,
    /// Page that the facts were read from, and when.
    pub source: String,
    pub date: String,
}

impl Provider {
    /// Where it serves `operation`: in the client's `dialect` if it can, else in the dialect that it prefers.
    pub fn served(&self, operation: Operation, dialect: DialectId) -> Option<&Served> {
        let mut all = self.operations.iter().filter(|served| served.operation == operation);
        let first = all.clone().next()?;
        Some(all.find(|served| served.dialect == dialect).unwrap_or(first))
    }

    /// The path of `served` for `model`, a query included where the provider wants one: `{model}` becomes the model's name,
    /// percent-encoded, `{api_version}` the quirk of that name.
    pub fn path(&self, served: &Served, model: &str) -> String {
        if !served.path.contains('{') {
            return served.path.clone();
        }
        served.path.replace("{api_version}", &self.quirks.api_version).replace("{model}", &encode_segment(model))
    }

    /// The gateway itself answers, without an upstream.
    pub fn is_builtin(&self) -> bool {
        self.base_url.starts_with("builtin:")
    }
}

/// One segment of a path (RFC 3986 §3.3): all but the unreserved characters as `%XX`.
fn encode_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// One operation of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    #[serde(deserialize_with = "operation")]
    pub operation: Operation,
    #[serde(deserialize_with = "dialect")]
    pub dialect: DialectId,
    /// Below `base_url`: `/chat/completions`. See `Provider::path` for the placeholders; it may end in a query.
    pub path: String,
}

/// Names of the two answer fields of one limit. `rate_limit::until_reset` reads the second.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitFields {
    /// A whole number: what is left.
    pub remaining: String,
    /// When it is full again.
    pub reset: String,
}

/// How the key travels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer KEY`; no header where no key is configured.
    Bearer,
    /// A header that holds the bare key.
    Header(String),
    /// A query parameter.
    Query(String),
    None,
}

/// Named deviations from the dialect: a closed list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Top-level request fields that it refuses; dropped, and reported as losses.
    pub drop: Vec<String>,
    /// Top-level request fields under another name.
    pub rename: Vec<(String, String)>,
    /// The provider knows `stream_options.include_usage`.
    pub stream_options: bool,
    /// The highest temperature it takes.
    pub temperature_max: Option<f64>,
    /// It wants message content as plain strings.
    pub flatten_content: bool,
    /// A last assistant message is continued (prefill) by every model, for `rescue: resume`.
    pub prefill: bool,
    /// Models that take a prefill where not all do: names, `*` at the end for any rest.
    pub prefill_models: Vec<String>,
    /// What `{api_version}` in a path stands for.
    pub api_version: String,
}

impl Quirks {
    /// `model` continues a last assistant message.
    pub fn takes_prefill(&self, model: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(stem) => model.starts_with(stem),
            None => pattern == model,
        };
        self.prefill || self.prefill_models.iter().any(fits)
    }
}

/// A provider's file as it is written; what is absent comes from the provider that it is `like`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// A built-in provider to start from.
    pub like: Option<String>,
    pub base_url: Option<String>,
    pub auth: Option<Auth>,
    pub env_keys: Option<Vec<String>>,
    pub operations: Option<Vec<Served>>,
    pub quirks: Option<Quirks>,
    pub headers: Option<Vec<(String, String)>>,
    pub rate_limits: Option<Vec<RateLimitFields>>,
    pub models: Option<Vec<String>>,
    pub catalog: Option<Vec<String>>,
    pub source: Option<String>,
    pub date: Option<String>,
}

impl Spec {
    /// The provider called `name`. `base` is the one that `like` names; its environment variables are not taken over, they
    /// hold the key of another company.
    ///
    /// # Errors
    /// The field that is absent or wrong, and what to write.
    pub fn build(self, name: &str, base: Option<&Provider>) -> Result<Provider, String> {
        let or = |own: Option<String>, base: Option<&String>| own.or_else(|| base.cloned()).unwrap_or_default();
        let provider = Provider {
            name: name.to_owned(),
            base_url: or(self.base_url, base.map(|base| &base.base_url)).trim_end_matches('/').to_owned(),
            auth: self.auth.or_else(|| base.map(|base| base.auth.clone())).ok_or("field `auth`: absent; write \"bearer\"")?,
            env_keys: self.env_keys.unwrap_or_default(),
            operations: self.operations.or_else(|| base.map(|base| base.operations.clone())).unwrap_or_default(),
            quirks: self.quirks.or_else(|| base.map(|base| base.quirks.clone())).unwrap_or_default(),
            headers: self.headers.or_else(|| base.map(|base| base.headers.clone())).unwrap_or_default(),
            rate_limits: self.rate_limits.or_else(|| base.map(|base| base.rate_limits.clone())).unwrap_or_default(),
            // What one company serves says nothing of a server that is only compatible with it.
            models: self.models.unwrap_or_default(),
            catalog: self.catalog.unwrap_or_default(),
            source: or(self.source, base.map(|base| &base.source)),
            date: or(self.date, base.map(|base| &base.date)),
        };
        check(&provider)?;
        Ok(provider)
    }
}

fn check(provider: &Provider) -> Result<(), String> {
    let url = &provider.base_url;
    if !(url.is_empty() || ["https://", "http://", "unix:", "builtin:"].iter().any(|scheme| url.starts_with(scheme))) {
        return Err(format!("field `base_url`: {url:?} has no scheme; write https://… or http://…"));
    }
    if provider.operations.is_empty() {
        return Err("field `operations`: absent; list what the provider serves or name a provider that it is `like`".to_owned());
    }
    for served in &provider.operations {
        if !served.path.starts_with('/') {
            return Err(format!("field `operations`: path {:?} must begin with a slash", served.path));
        }
    }
    Ok(())
}

/// Reads a provider's file.
///
/// # Errors
/// The file's name, the line and the field that is wrong, and what to write.
pub fn parse(name: &str, text: &str) -> Result<Provider, String> {
    let spec: Spec = toml::from_str(text).map_err(|error| format!("{name}.toml: {error}"))?;
    let base = match &spec.like {
        Some(like) => Some(builtin(like).ok_or_else(|| format!("{name}.toml: field `like`: no built-in provider {like:?}"))?),
        None => None,
    };
    spec.build(name, base).map_err(|message| format!("{name}.toml: {message}"))
}

/// A provider called `name` that does all as the built-in provider `base` does. Set `base_url` and what else differs.
pub fn like(base: &str, name: &str) -> Option<Provider> {
    Spec::default().build(name, Some(builtin(base)?)).ok()
}

/// A built-in provider by name.
pub fn builtin(name: &str) -> Option<&'static Provider> {
    let all = builtins();
    all.binary_search_by(|provider| provider.name.as_str().cmp(name)).ok().map(|index| &all[index])
}

/// Every built-in provider, by name. The first call parses the files; none is called while a request is served.
pub fn builtins() -> &'static [Provider] {
    static BUILTINS: OnceLock<Vec<Provider>> = OnceLock::new();
    BUILTINS.get_or_init(|| {
        FILES
            .iter()
            .map(|(name, text)| {
                // A test reads each of these files, so the fault is in the file and never in its reader.
                let spec: Spec = toml::from_str(text).unwrap_or_else(|error| panic!("{name}.toml: {error}"));
                spec.build(name, None).unwrap_or_else(|message| panic!("{name}.toml: {message}"))
            })
            .collect()
    })
}

/// Name and text of each file, by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/providers.rs"));

fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = || Operation::ALL.iter().map(|operation| operation.name()).collect::<Vec<_>>().join(", ");
    Operation::from_name(&name).ok_or_else(|| D::Error::custom(format!("no operation {name:?}; known: {}", known())))
}

fn dialect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DialectId, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = || DIALECTS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    DialectId::from_name(&name).ok_or_else(|| D::Error::custom(format!("no dialect {name:?}; known: {}", known())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_reads_and_says_where_its_facts_are_from() {
        assert!(builtins().len() >= 15);
        assert!(builtins().is_sorted_by_key(|provider| provider.name.as_str()));
        for provider in builtins() {
            let name = &provider.name;
            assert!(!provider.source.is_empty() && provider.date.len() == "2026-11-20".len(), "{name}: source and date");
            assert!(provider.served(Operation::Chat, DialectId::OpenaiChat).is_some(), "{name} serves chat");
            assert!(!provider.base_url.ends_with('/'), "{name}");
            assert_eq!(builtin(name).map(|found| &found.name), Some(name));
        }
        assert!(builtin("nobody").is_none());
    }

    #[test]
    fn chat_is_served_in_the_clients_dialect_if_there_is_one() {
        let path = |provider: &str, operation, dialect| {
            let served = builtin(provider).unwrap().served(operation, dialect)?;
            Some((served.dialect, served.path.as_str()))
        };
        assert_eq!(path("openai", Operation::Chat, DialectId::OpenaiChat), Some((DialectId::OpenaiChat, "/chat/completions")));
        assert_eq!(path("openai", Operation::Chat, DialectId::OpenaiResponses), Some((DialectId::OpenaiResponses, "/responses")));
        assert_eq!(path("openai", Operation::Chat, DialectId::Anthropic), Some((DialectId::OpenaiChat, "/chat/completions")));
        assert_eq!(path("anthropic", Operation::Chat, DialectId::OpenaiChat), Some((DialectId::Anthropic, "/v1/messages")));
        assert_eq!(path("groq", Operation::Rerank, DialectId::OpenaiChat), None);
    }

    #[test]
    fn paths_name_the_model_where_the_body_does_not() {
        let azure = builtin("azure").unwrap();
        let served = azure.served(Operation::Chat, DialectId::OpenaiChat).unwrap();
        assert_eq!(azure.path(served, "gpt 4/o"), "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21");
        let served = azure.served(Operation::Chat, DialectId::OpenaiResponses).unwrap();
        assert_eq!(azure.path(served, "gpt-4o"), "/openai/v1/responses");
    }

    #[test]
    fn a_provider_like_another_has_its_own_name_and_keys() {
        let mut derived = like("openai", "my-vllm").unwrap();
        derived.base_url = "http://10.0.0.5:8000/v1".to_owned();
        assert_eq!(derived.name, "my-vllm");
        assert!(derived.env_keys.is_empty(), "the key of another company never goes to it");
        assert_eq!(derived.operations, builtin("openai").unwrap().operations);
        assert!(derived.catalog.is_empty(), "another company has other prices");
        assert_eq!(builtin("openai").unwrap().catalog[0], "openai");
        assert!(like("nobody", "x").is_none());
        let text = "like = \"anthropic\"\nbase_url = \"http://127.0.0.1:9100/\"\nauth = {header = \"x-key\"}";
        let derived = parse("mine", text).unwrap();
        assert_eq!((derived.base_url.as_str(), &derived.auth), ("http://127.0.0.1:9100", &Auth::Header("x-key".to_owned())));
        assert_eq!(derived.headers, builtin("anthropic").unwrap().headers);
    }

    #[test]
    fn mistakes_name_the_file_and_the_field() {
        for (text, words) in [
            ("auth = \"bearer\"\nurl = \"x\"", ["mine.toml", "line 2", "`url`"]),
            ("auth = \"basic\"", ["mine.toml", "line 1", "basic"]),
            ("base_url = \"https://x\"", ["mine.toml", "`auth`", "bearer"]),
            ("auth = \"none\"", ["mine.toml", "`operations`", "absent"]),
            ("like = \"openai\"\nbase_url = \"x.com\"", ["mine.toml", "`base_url`", "x.com"]),
            ("like = \"nobody\"", ["mine.toml", "`like`", "nobody"]),
            (
                "auth = \"none\"\noperations = [{operation = \"chat\", dialect = \"x\", path = \"/\"}]",
                ["mine.toml", "line 2", "openai-chat"],
            ),
            (
                "auth = \"none\"\noperations = [{operation = \"talk\", dialect = \"anthropic\", path = \"/\"}]",
                ["mine.toml", "line 2", "embed"],
            ),
        ] {
            let message = parse("mine", text).unwrap_err();
            assert!(words.iter().all(|word| message.contains(word)), "{text}: {message}");
        }
    }

    #[test]
    fn newer_models_are_not_prefilled_where_they_refuse_it() {
        let quirks = &builtin("anthropic").unwrap().quirks;
        for model in ["claude-3-5-haiku-20241022", "claude-sonnet-4-20250514", "claude-sonnet-4-5", "claude-opus-4-5-20251101"] {
            assert!(quirks.takes_prefill(model), "{model}");
        }
        for model in ["claude-opus-4-6", "claude-sonnet-4-6", "claude-sonnet-5"] {
            assert!(!quirks.takes_prefill(model), "{model}");
        }
        assert!(builtin("groq").unwrap().quirks.takes_prefill("any"));
        assert!(!builtin("openai").unwrap().quirks.takes_prefill("gpt-4.1"));
    }
}
