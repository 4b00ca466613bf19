//! Providers as data: one TOML file each; the same schema works in a user's configuration.
//!
//! ```toml
//! # adapters/providers/NAME.toml; the file's name is the provider's name.
//! source = "where these facts were read"       # required
//! date = "2026-11-20"                          # required; when they were read
//! aliases = ["example-ai"]                     # other names of the same provider
//! base_url = "https://api.example.com/v1"      # absent: the user must give one; "builtin:…" answers inside the gateway
//! # or "none", {header = "x-api-key"}, {query = "key"}, {scheme = "Token"}, {sigv4 = {service = "example"}}
//! auth = "bearer"
//! env_keys = ["EXAMPLE_API_KEY"]               # variables that hold its key, first one set wins
//! tokens = {chain = "entra", scope = "https://…"}   # short-lived tokens where no key is configured; or google, aws
//! headers = [["example-version", "1"]]         # on every request, unless the client sent its own
//! rate_limits = [{remaining = "x-left", reset = "x-reset"}]   # answer fields: what is left of a limit, when it is full again
//! models = ["example-*"]                       # may be asked for without the provider's name; `*` for any rest
//! catalog = ["example"]                        # what the catalog of prices calls it, first one that has a model wins
//! telemetry = "example.ai"                     # gen_ai.provider.name, where OpenTelemetry knows it by another name
//! variables = [{name = "region", env = "EXAMPLE_REGION", default = "eu"}]   # {region} in base_url and paths; env, default may be absent
//! operations = [                               # what it really has; `path` stands below base_url, {model} is the model's name
//!     {operation = "chat", dialect = "openai-chat", path = "/chat/completions"},
//!     # of some models alone (first row that fits wins), under another path where the answer is streamed
//!     {operation = "chat", dialect = "anthropic", path = "/x/{model}", stream_path = "/x/{model}/stream", models = ["claude-*"]},
//!     # and with a body that says less or more than the dialect's own; see `Shape`
//!     {operation = "chat", dialect = "cohere", path = "/y/{model}", body = {set = {version = "v1"}, drop = ["model"]}},
//! ]
//!
//! [quirks]                                     # see `Quirks`; each may be absent
//! stream_options = true
//! ```

use std::sync::OnceLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::dialect::{DIALECTS, DialectId};
use crate::ir::Mode;
use crate::operation::Operation;
pub use crate::provider_file::{Mistake, beside, parse};
use crate::shape::Shape;

/// A company's API: where it is, how it wants its key, what it can do.
#[derive(Clone, Debug)]
pub struct Provider {
    pub name: String,
    /// Other names that the built-in one is known by.
    pub aliases: Vec<String>,
    /// Where its API begins; see the contract's Meanings for what each dialect appends. Empty where the user must say it;
    /// `builtin:…` where the gateway itself answers.
    pub base_url: String,
    pub auth: Auth,
    /// Environment variables that hold its key, first one set wins.
    pub env_keys: Vec<String>,
    /// Where a short-lived token comes from, where no key is configured.
    pub tokens: Option<Tokens>,
    /// Operation → the dialect and path it is served in. Chat may stand more than once: the first is preferred,
    /// and one that equals the client's dialect wins.
    pub operations: Vec<Served>,
    /// What `base_url` and paths leave to the configuration: `{region}`.
    pub variables: Vec<Variable>,
    pub quirks: Quirks,
    /// Headers that every request carries (`anthropic-version`), unless the client sent its own.
    pub headers: Vec<(String, String)>,
    /// Where its answers say how near their credential is to a limit.
    pub rate_limits: Vec<RateLimitFields>,
    /// Models that it is known to serve: names, `*` for any rest. They may be asked for without the provider's name.
    pub models: Vec<String>,
    /// Its names in the catalog of models and prices; the first one that has a model wins.
    pub catalog: Vec<String>,
    /// Its well-known name in OpenTelemetry's GenAI conventions, where that is not its own name.
    pub telemetry: Option<String>,
    /// Page that the facts were read from, and when.
    pub source: String,
    pub date: String,
}

impl Provider {
    /// Where it serves `operation` of `model`: in the client's `dialect` if it can, else in the dialect that it prefers.
    pub fn served(&self, operation: Operation, dialect: DialectId, model: &str) -> Option<&Served> {
        let mut all = self.operations.iter().filter(|served| served.operation == operation && served.fits(model));
        let first = all.clone().next()?;
        Some(all.find(|served| served.dialect == dialect).unwrap_or(first))
    }

    /// The path of `served` for `model`, a query included where the provider wants one.
    pub fn path(&self, served: &Served, model: &str, mode: Mode) -> String {
        self.filled(served.path(mode), model)
    }

    /// `{model}` becomes the model's name, percent-encoded, `{api_version}` the quirk of that name.
    pub fn filled(&self, path: &str, model: &str) -> String {
        path.replace("{api_version}", &self.quirks.api_version).replace("{model}", &encode_segment(model))
    }

    /// The variables that stand somewhere in what it has; `base_url` counts where the configuration gives no other one.
    pub fn needed(&self, base_url: BaseUrl) -> impl Iterator<Item = &Variable> {
        self.variables.iter().filter(move |variable| {
            let mark = format!("{{{}}}", variable.name);
            let in_path = |path: &String| path.contains(&mark);
            // A signature names the region, wherever the request goes.
            let signs = matches!(&self.auth, Auth::Sigv4 { .. }) && variable.name == REGION;
            let in_paths = self.operations.iter().any(|served| in_path(&served.path) || served.stream_path.iter().any(in_path));
            signs || in_paths || (base_url == BaseUrl::Own && self.base_url.contains(&mark))
        })
    }

    /// Puts the value of a variable where it stands. In paths it is percent-encoded.
    pub fn fill(&mut self, name: &str, value: &str) {
        let mark = format!("{{{name}}}");
        let segment = encode_segment(value);
        self.base_url = self.base_url.replace(&mark, value);
        for served in &mut self.operations {
            served.path = served.path.replace(&mark, &segment);
            served.stream_path = served.stream_path.take().map(|path| path.replace(&mark, &segment));
        }
    }

    /// `name` is its name, or one of its other names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The gateway itself answers, without an upstream.
    pub fn is_builtin(&self) -> bool {
        self.base_url.starts_with("builtin:")
    }
}

/// One segment of a path (RFC 3986 §3.3): all but the unreserved characters as `%XX`. Of `.` and `..`, which lead elsewhere, the dots, too.
fn encode_segment(text: &str) -> String {
    if matches!(text, "." | "..") {
        return "%2E".repeat(text.len());
    }
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
    /// The path where the answer is to be streamed, if that is another one.
    #[serde(default)]
    pub stream_path: Option<String>,
    /// The models that are served so: names, `*` for any rest. Empty: all.
    #[serde(default)]
    pub models: Vec<String>,
    /// The form of its body, where that is not all the dialect's.
    #[serde(default)]
    pub body: Option<Shape>,
}

impl Served {
    pub fn fits(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| fits(pattern, model))
    }

    /// The path as it stands in the file.
    pub fn path(&self, mode: Mode) -> &str {
        self.stream_path.as_deref().filter(|_| mode == Mode::Stream).unwrap_or(&self.path)
    }
}

/// The variable that a signature names.
pub const REGION: &str = "region";

/// Where the base URL is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseUrl {
    /// The provider's own.
    Own,
    /// The configuration gives another one.
    Given,
}

/// A word that `base_url` and paths leave to the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its key in the configuration, and in braces where it stands.
    pub name: String,
    /// The environment variables that hold it, first one set wins.
    #[serde(default, deserialize_with = "one_or_many")]
    pub env: Vec<String>,
    pub default: Option<String>,
}

/// `*` stands for any text, at either end or between.
fn fits(pattern: &str, model: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| model.strip_prefix(first)) else { return false };
    let mut is_open = false;
    let mut last = "";
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        (is_open, last) = (true, piece);
        rest = &rest[at + piece.len()..];
    }
    if is_open { last.is_empty() || rest.is_empty() || model.ends_with(last) } else { rest.is_empty() }
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
    /// `Authorization: SCHEME KEY`, where the scheme is not Bearer.
    Scheme(String),
    /// A header that holds the bare key.
    Header(String),
    /// A query parameter.
    Query(String),
    /// AWS Signature Version 4. A plain key goes as a bearer token.
    Sigv4 {
        service: String,
    },
    None,
}

/// Where short-lived tokens come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub chain: Chain,
    /// What a token is good for, in the words of who gives it.
    #[serde(default)]
    pub scope: String,
}

/// A company's way to give out tokens: the places where an identity may stand, in its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chain {
    /// A service account's file, application default credentials, the metadata server.
    Google,
    /// An application's secret, a federated token's file, a managed identity.
    Entra,
    /// Environment, profiles, web identity, containers, instances. What it gives signs.
    Aws,
}

/// Named deviations from the dialect: a closed list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Top-level request fields that it refuses; dropped, and reported as losses.
    pub drop: Vec<String>,
    /// Top-level request fields under another name.
    pub rename: Vec<(String, String)>,
    /// Top-level request fields that it wants with this value, whatever the client says.
    pub force: serde_json::Map<String, serde_json::Value>,
    /// What it calls the thinking of an assistant message in a request (`reasoning_content` where absent); empty: it refuses it.
    pub reasoning_field: Option<String>,
    /// The provider knows `stream_options.include_usage`.
    pub stream_options: bool,
    /// The highest temperature it takes.
    pub temperature_max: Option<f64>,
    /// Operations whose requests and answers have a form of their own within the dialect, so that they are written anew: `rerank`.
    pub rewrites: Vec<String>,
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
        self.prefill || self.prefill_models.iter().any(|pattern| fits(pattern, model))
    }
}

/// A provider's file as it is written; what is absent comes from the provider that it is `like`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// A built-in provider to start from.
    pub like: Option<String>,
    pub aliases: Option<Vec<String>>,
    pub base_url: Option<String>,
    pub auth: Option<Auth>,
    pub env_keys: Option<Vec<String>>,
    pub tokens: Option<Tokens>,
    pub operations: Option<Vec<Served>>,
    pub variables: Option<Vec<Variable>>,
    pub quirks: Option<Quirks>,
    pub headers: Option<Vec<(String, String)>>,
    pub rate_limits: Option<Vec<RateLimitFields>>,
    pub models: Option<Vec<String>>,
    pub catalog: Option<Vec<String>>,
    pub telemetry: Option<String>,
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
            aliases: self.aliases.unwrap_or_default(),
            base_url: or(self.base_url, base.map(|base| &base.base_url)).trim_end_matches('/').to_owned(),
            auth: self.auth.or_else(|| base.map(|base| base.auth.clone())).ok_or("field `auth`: absent; write \"bearer\"")?,
            env_keys: self.env_keys.unwrap_or_default(),
            tokens: self.tokens.or_else(|| base.and_then(|base| base.tokens.clone())),
            operations: self.operations.or_else(|| base.map(|base| base.operations.clone())).unwrap_or_default(),
            variables: self.variables.or_else(|| base.map(|base| base.variables.clone())).unwrap_or_default(),
            quirks: self.quirks.or_else(|| base.map(|base| base.quirks.clone())).unwrap_or_default(),
            headers: self.headers.or_else(|| base.map(|base| base.headers.clone())).unwrap_or_default(),
            rate_limits: self.rate_limits.or_else(|| base.map(|base| base.rate_limits.clone())).unwrap_or_default(),
            // What one company serves says nothing of a server that is only compatible with it.
            models: self.models.unwrap_or_default(),
            catalog: self.catalog.unwrap_or_default(),
            telemetry: self.telemetry.or_else(|| base.and_then(|base| base.telemetry.clone())),
            source: or(self.source, base.map(|base| &base.source)),
            date: or(self.date, base.map(|base| &base.date)),
        };
        check(&provider)?;
        Ok(provider)
    }

    /// `provider` with what is said here in place of its own facts. It keeps its name.
    ///
    /// # Errors
    /// As `build`.
    pub fn over(self, mut provider: Provider) -> Result<Provider, String> {
        if let Some(url) = self.base_url {
            provider.base_url = url.trim_end_matches('/').to_owned();
        }
        put(self.auth, &mut provider.auth);
        put(self.env_keys, &mut provider.env_keys);
        put(self.operations, &mut provider.operations);
        put(self.variables, &mut provider.variables);
        put(self.quirks, &mut provider.quirks);
        put(self.headers, &mut provider.headers);
        put(self.rate_limits, &mut provider.rate_limits);
        put(self.models, &mut provider.models);
        put(self.catalog, &mut provider.catalog);
        provider.telemetry = self.telemetry.or(provider.telemetry);
        check(&provider)?;
        Ok(provider)
    }
}

fn put<T>(own: Option<T>, place: &mut T) {
    if let Some(own) = own {
        *place = own;
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
    for path in provider.operations.iter().flat_map(|served| std::iter::once(&served.path).chain(&served.stream_path)) {
        if !path.starts_with('/') {
            return Err(format!("field `operations`: path {path:?} must begin with a slash"));
        }
        check_marks("operations", path, provider, &["model", "api_version"])?;
    }
    check_marks("base_url", url, provider, &[])
}

/// Every word in braces is one that somebody fills in.
fn check_marks(field: &str, text: &str, provider: &Provider, known: &[&str]) -> Result<(), String> {
    for (at, _) in text.match_indices('{') {
        let mark = text[at + 1..].split('}').next().unwrap_or_default();
        if !known.contains(&mark) && !provider.variables.iter().any(|variable| variable.name == mark) {
            return Err(format!("field `{field}`: {{{mark}}} in {text:?} is no variable; add it to `variables`"));
        }
    }
    Ok(())
}

/// A provider called `name` that does all as the built-in provider `base` does. Set `base_url` and what else differs.
pub fn like(base: &str, name: &str) -> Option<Provider> {
    Spec::default().build(name, Some(builtin(base)?)).ok()
}

/// A built-in provider by its name or one of its other names.
pub fn builtin(name: &str) -> Option<&'static Provider> {
    builtins().iter().find(|provider| provider.is_called(name))
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

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    })
}

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
        assert!(builtins().len() >= 50);
        assert!(builtins().is_sorted_by_key(|provider| provider.name.as_str()));
        for provider in builtins() {
            let name = &provider.name;
            assert!(!provider.source.is_empty() && provider.date.len() == "2026-11-20".len(), "{name}: source and date");
            assert!(!provider.operations.is_empty(), "{name} serves something");
            assert!(!provider.base_url.ends_with('/'), "{name}");
            assert_eq!(builtin(name).map(|found| &found.name), Some(name));
        }
        assert!(builtin("nobody").is_none());
    }

    #[test]
    fn chat_is_served_in_the_clients_dialect_if_there_is_one() {
        let path = |provider: &str, operation, dialect| {
            let served = builtin(provider).unwrap().served(operation, dialect, "")?;
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
        let served = azure.served(Operation::Chat, DialectId::OpenaiChat, "").unwrap();
        assert_eq!(azure.path(served, "gpt 4/o", Mode::Whole), "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21");
        assert!(azure.path(served, "..", Mode::Whole).starts_with("/openai/deployments/%2E%2E/chat"));
        let served = azure.served(Operation::Chat, DialectId::OpenaiResponses, "").unwrap();
        assert_eq!(azure.path(served, "gpt-4o", Mode::Whole), "/openai/v1/responses");
    }

    #[test]
    fn rows_may_be_for_some_models_and_streams_have_a_path_of_their_own() {
        let text = r#"
            base_url = "https://{region}.example.com"
            auth = {sigv4 = {service = "example"}}
            variables = [{name = "region", env = "EXAMPLE_REGION"}, {name = "zone", env = ["A", "B"], default = "z"}]
            operations = [
                {operation = "chat", dialect = "anthropic", path = "/{region}/{model}", stream_path = "/{model}/stream", models = ["claude-*", "*.claude-*"]},
                {operation = "chat", dialect = "openai-chat", path = "/chat"},
            ]"#;
        let mut provider = parse("mine", text).unwrap();
        assert_eq!(provider.needed(BaseUrl::Own).map(|variable| &*variable.name).collect::<Vec<_>>(), ["region"]);
        assert_eq!(provider.needed(BaseUrl::Given).count(), 1, "it stands in a path and in the signature");
        provider.fill("region", "eu west");
        assert_eq!(provider.base_url, "https://eu west.example.com");
        let path = |model: &str, mode| provider.path(provider.served(Operation::Chat, DialectId::OpenaiChat, model).unwrap(), model, mode);
        assert_eq!(path("gpt", Mode::Stream), "/chat");
        let served = provider.served(Operation::Chat, DialectId::Anthropic, "us.claude-3").unwrap();
        assert_eq!(provider.path(served, "us.claude-3", Mode::Whole), "/eu%20west/us.claude-3");
        assert_eq!(provider.path(served, "us.claude-3", Mode::Stream), "/us.claude-3/stream");
        assert!(!served.fits("us.claud"));
    }

    #[test]
    fn patterns_have_stars_anywhere() {
        for (pattern, model, is_fitting) in [
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*c", "abc", true),
            ("*c", "abcd", false),
            ("a*c", "abbc", true),
            ("*aa", "aaa", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, model), is_fitting, "{pattern} {model}");
        }
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
    fn mistakes_name_the_place_and_the_field() {
        for (text, words) in [
            ("auth = \"bearer\"\nurl = \"x\"", ["line 2", "`url`"]),
            ("auth = \"basic\"", ["line 1", "basic"]),
            ("base_url = \"https://x\"", ["`auth`", "bearer"]),
            ("auth = \"none\"", ["`operations`", "absent"]),
            ("like = \"openai\"\nbase_url = \"x.com\"", ["`base_url`", "x.com"]),
            ("like = \"nobody\"", ["`like`", "nobody"]),
            ("auth = \"none\"\noperations = [{operation = \"chat\", dialect = \"x\", path = \"/\"}]", ["line 2", "openai-chat"]),
            (
                "auth = \"none\"\noperations = [{operation = \"chat\", dialect = \"anthropic\", path = \"/{regoin}\"}]",
                ["regoin", "variables"],
            ),
            ("auth = \"none\"\noperations = [{operation = \"talk\", dialect = \"anthropic\", path = \"/\"}]", ["line 2", "embed"]),
        ] {
            let message = parse("mine", text).unwrap_err().to_string();
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
