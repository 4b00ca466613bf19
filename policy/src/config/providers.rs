//! `providers`: where each one is, and what it takes to talk to it.

use std::sync::Arc;

use ringway_adapters::provider::{Auth, Provider, Quirks, RateLimitFields, Served, Spec};
use schemars::JsonSchema;

use super::expand::Lookup;
use super::node::{Node, Value};
use super::read::{self, Fields, note};
use super::{At, Budget, Limit, Problem, budgets, limits, prices, provider_schema, schema, typed, variables};
use crate::catalog::Abilities;
use crate::cost::{Margin, Rate};
use crate::endpoint::Endpoint;
use crate::snapshot::UsageMode;

/// Most keys of one provider.
const KEYS_MAX: usize = 256;
/// Most models that one provider lists.
const MODELS_MAX: usize = 10_000;

/// One provider.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default, transform = schema::with_variables)]
pub struct ProviderConfig {
    /// The built-in provider whose dialects, auth and quirks this one has; for a name that is not built in.
    #[schemars(schema_with = "schema::text")]
    pub like: Option<At<String>>,
    /// `http://HOST:PORT/PREFIX`, `https://…` or `unix:/path`. OpenAI-compatible: up to where `/chat/completions` begins.
    #[schemars(schema_with = "schema::text")]
    pub base_url: Option<At<String>>,
    /// What its URL and paths leave open, each under a key of its own: `region`, `project`.
    #[schemars(skip)]
    pub variables: variables::Values,
    /// Its API keys: text, or `{name, value, weight}`. Drawn by weight; one that is refused or limited rests.
    #[schemars(schema_with = "schema::keys")]
    pub keys: Vec<KeyConfig>,
    /// The models that it serves: names, or `{name, …}`. They resolve without the provider's name in front.
    #[schemars(schema_with = "schema::models")]
    pub models: Vec<ModelConfig>,
    /// How usage of a stream is learned: `inject` (default) asks for the usage event, `tap` leaves the bytes alone.
    #[schemars(schema_with = "schema::usage")]
    pub usage: Option<At<UsageMode>>,
    /// `caller`: the caller's own provider credential goes through. Else the text of a service-account file.
    #[schemars(schema_with = "schema::text")]
    pub credentials: Option<At<Credentials>>,
    /// An AWS access key id.
    #[schemars(schema_with = "schema::text")]
    pub access_key_id: Option<At<String>>,
    /// Its secret.
    #[schemars(schema_with = "schema::text")]
    pub secret_access_key: Option<At<String>>,
    /// The token of a temporary AWS credential.
    #[schemars(schema_with = "schema::text")]
    pub session_token: Option<At<String>>,
    /// A profile of the AWS files, where no access key is given.
    #[schemars(schema_with = "schema::text")]
    pub profile: Option<At<String>>,
    /// An AWS role to take on: `arn:aws:iam::ACCOUNT:role/NAME`.
    #[schemars(schema_with = "schema::text")]
    pub role_arn: Option<At<String>>,
    /// The external id that the role asks for.
    #[schemars(schema_with = "schema::text")]
    pub external_id: Option<At<String>>,
    /// A date that the API is asked for by.
    #[schemars(schema_with = "schema::text")]
    pub api_version: Option<At<String>>,
    /// Microsoft Entra tenant.
    #[schemars(schema_with = "schema::text")]
    pub tenant_id: Option<At<String>>,
    /// Microsoft Entra application.
    #[schemars(schema_with = "schema::text")]
    pub client_id: Option<At<String>>,
    /// Its secret.
    #[schemars(schema_with = "schema::text")]
    pub client_secret: Option<At<String>>,
    /// A bearer token that was fetched elsewhere.
    #[schemars(schema_with = "schema::text")]
    pub access_token: Option<At<String>>,
    /// Path of a PEM file with the authorities that sign its certificate, beside the public ones.
    #[schemars(schema_with = "schema::text")]
    pub ca: Option<Pem>,
    /// Path of the client certificate for mutual TLS, PEM.
    #[schemars(schema_with = "schema::text")]
    pub client_cert: Option<Pem>,
    /// Path of its private key, PEM.
    #[schemars(schema_with = "schema::text")]
    pub client_key: Option<Pem>,
    /// `http://HOST:PORT` of a proxy, or `none`. Without it HTTPS_PROXY and NO_PROXY decide.
    #[schemars(schema_with = "schema::text")]
    pub proxy: Option<At<String>>,
    /// What is put on its prices, in percent: "10%"; "-12.5%" is a discount. Default 0.
    #[schemars(schema_with = "schema::margin")]
    pub margin: Option<At<Margin>>,
    /// Its name in the catalog of prices (`ringway models --catalog`), or `none`. A built-in name knows its own.
    #[schemars(schema_with = "schema::text")]
    pub catalog: Option<At<String>>,
    /// How its key travels: `bearer`, `none`, `{header: NAME}`, `{query: NAME}`, `{scheme: WORD}`; in place of the built-in way.
    #[schemars(schema_with = "provider_schema::auth")]
    pub auth: Option<At<Auth>>,
    /// What it serves, in which dialect and where below its base_url. With `auth` and `base_url` it needs no `like`.
    #[schemars(schema_with = "provider_schema::operations")]
    pub operations: Option<At<Vec<Served>>>,
    /// How it deviates from its dialects.
    #[schemars(schema_with = "provider_schema::quirks")]
    pub quirks: Option<At<Quirks>>,
    /// Headers of every request, unless the client sent its own: `[[NAME, VALUE]]`.
    #[schemars(schema_with = "provider_schema::pairs")]
    pub headers: Option<At<Vec<(String, String)>>>,
    /// Names of the answer fields that say how near a key is to a limit.
    #[schemars(schema_with = "provider_schema::rate_limits")]
    pub rate_limits: Option<At<Vec<RateLimitFields>>>,
    /// Rate limits of all that goes to it.
    #[schemars(schema_with = "schema::limits")]
    pub limits: Vec<At<Limit>>,
    /// Budgets of all that goes to it.
    #[schemars(schema_with = "schema::budgets")]
    pub budgets: Vec<At<Budget>>,
}

impl ProviderConfig {
    /// It says by itself what a built-in provider's file says: it is like no other.
    pub fn stands_alone(&self) -> bool {
        self.like.is_none() && self.operations.is_some()
    }

    /// What it says of its own was understood.
    pub(super) fn is_sound(&self) -> bool {
        self.operations.as_ref().is_none_or(|operations| !operations.value.is_empty())
    }

    /// The facts of the provider called `name`: those of `base` with what the file says in their place.
    ///
    /// # Errors
    /// The field that is absent or wrong, and what to write.
    pub fn provider(&self, name: &str, base: Option<&Provider>) -> Result<Provider, String> {
        let spec = Spec {
            auth: self.auth.as_ref().map(|at| at.value.clone()),
            base_url: self.base_url.as_ref().map(|at| at.value.clone()),
            operations: self.operations.as_ref().map(|at| at.value.clone()),
            quirks: self.quirks.as_ref().map(|at| at.value.clone()),
            headers: self.headers.as_ref().map(|at| at.value.clone()),
            rate_limits: self.rate_limits.as_ref().map(|at| at.value.clone()),
            ..Spec::default()
        };
        match base {
            Some(base) => spec.over(base.clone()),
            None => spec.build(name, None),
        }
    }
}

/// Whose credential goes to the provider, where it is not a key.
#[derive(Clone, PartialEq)]
pub enum Credentials {
    /// The caller's own goes through.
    Caller,
    /// The text of a service-account file.
    ServiceAccount(Arc<str>),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::Caller => "Caller",
            Credentials::ServiceAccount(_) => "ServiceAccount",
        })
    }
}

/// One key of a provider.
#[derive(Clone, Default, PartialEq)]
pub struct KeyConfig {
    /// For records and the admin API; `key-N` where the file gives none.
    pub name: String,
    pub value: At<String>,
    pub weight: u32,
    pub limits: Vec<At<Limit>>,
    pub budgets: Vec<At<Budget>>,
}

impl std::fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyConfig").field("name", &self.name).field("weight", &self.weight).finish_non_exhaustive()
    }
}

/// One model that a provider serves. What is absent is as the catalog says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    pub name: At<String>,
    /// Its name in the catalog, where that is another one: of a deployment, of a fine-tune.
    pub catalog: Option<At<String>>,
    /// Tokens of prompt and answer together.
    pub context: Option<u64>,
    pub output_max: Option<u64>,
    pub abilities: Option<Abilities>,
    /// Rates in place of the catalog's, or beside them.
    pub price: Vec<Rate>,
    pub limits: Vec<At<Limit>>,
    pub budgets: Vec<At<Budget>>,
}

/// A PEM file with its bytes.
#[derive(Clone, PartialEq)]
pub struct Pem {
    pub path: At<String>,
    pub bytes: Arc<[u8]>,
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pem").field("path", &self.path.value).finish_non_exhaustive()
    }
}

/// Reads one provider.
pub(super) fn read(node: &Node, lookup: Lookup<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) -> Option<ProviderConfig> {
    let mut fields = Fields::open(node, "a provider", problems)?;
    let mut config = ProviderConfig {
        like: fields.take("like").and_then(|node| read::text(node, "like", problems)),
        base_url: fields.take("base_url").and_then(|node| read_url(node, "base_url", problems)),
        usage: fields
            .take("usage")
            .and_then(|node| read::choice(node, "usage", &[("inject", UsageMode::Inject), ("tap", UsageMode::Tap)], problems)),
        credentials: fields.take("credentials").and_then(|node| read_credentials(node, problems)),
        proxy: fields.take("proxy").and_then(|node| read_proxy(node, problems)),
        margin: fields.take("margin").and_then(|node| read::parsed(node, "margin", problems, Margin::parse)),
        catalog: fields.take("catalog").and_then(|node| read::text(node, "catalog", problems)),
        // What is wrong is told; in its place stands what keeps others from telling that it is absent.
        auth: fields.take("auth").map(|node| typed::read(node, "auth", problems).unwrap_or(node.place.with(Auth::None))),
        operations: fields.take("operations").map(|node| read_operations(node, problems)),
        quirks: fields.take("quirks").and_then(|node| typed::read(node, "quirks", problems)),
        headers: fields.take("headers").and_then(|node| typed::read(node, "headers", problems)),
        rate_limits: fields.take("rate_limits").and_then(|node| typed::read(node, "rate_limits", problems)),
        ..ProviderConfig::default()
    };
    if let Some(node) = fields.take("keys") {
        config.keys = read_keys(node, problems);
    }
    if let Some(node) = fields.take("models") {
        config.models = read_models(node, problems);
    }
    for (name, field) in [
        ("access_key_id", &mut config.access_key_id),
        ("secret_access_key", &mut config.secret_access_key),
        ("session_token", &mut config.session_token),
        ("profile", &mut config.profile),
        ("role_arn", &mut config.role_arn),
        ("external_id", &mut config.external_id),
        ("tenant_id", &mut config.tenant_id),
        ("client_id", &mut config.client_id),
        ("client_secret", &mut config.client_secret),
        ("access_token", &mut config.access_token),
    ] {
        *field = fields.take(name).and_then(|node| read::secret(node, name, problems, header_safe));
    }
    config.api_version = fields.take("api_version").and_then(|node| read::parsed(node, "api_version", problems, path_safe));
    for (name, field) in [("ca", &mut config.ca), ("client_cert", &mut config.client_cert), ("client_key", &mut config.client_key)] {
        *field = fields.take(name).and_then(|node| read_pem(node, name, lookup, problems));
    }
    config.limits = limits::read(&mut fields, problems);
    config.budgets = budgets::read(&mut fields, problems);
    config.variables = variables::read(&mut fields, builtins, problems);
    check_pairs(&config, problems);
    fields.close(problems);
    Some(config)
}

/// Its operations; none where they are wrong, which is told.
fn read_operations(node: &Node, problems: &mut Vec<Problem>) -> At<Vec<Served>> {
    let operations: Option<At<Vec<Served>>> = typed::read(node, "operations", problems);
    if operations.as_ref().is_some_and(|operations| operations.value.is_empty()) {
        note(problems, node.place, "operations is an empty list; write what the provider serves");
    }
    operations.unwrap_or(node.place.with(Vec::new()))
}

/// Fields that are nothing without each other.
fn check_pairs(config: &ProviderConfig, problems: &mut Vec<Problem>) {
    let cert = config.client_cert.as_ref().map(|pem| &pem.path);
    let key = config.client_key.as_ref().map(|pem| &pem.path);
    let pairs = [
        ("client_cert", cert, "client_key", key),
        ("access_key_id", config.access_key_id.as_ref(), "secret_access_key", config.secret_access_key.as_ref()),
    ];
    for (first_name, first, second_name, second) in pairs {
        let (there, name, missing) = match (first, second) {
            (Some(there), None) => (there, first_name, second_name),
            (None, Some(there)) => (there, second_name, first_name),
            _ => continue,
        };
        note(problems, there.place(), format!("{name} needs {missing} beside it"));
    }
}

/// A PEM file, by its path.
pub(super) fn read_pem(node: &Node, what: &str, lookup: Lookup<'_>, problems: &mut Vec<Problem>) -> Option<Pem> {
    let path = read::text(node, what, problems)?;
    let Some(text) = lookup(&format!("file:{}", path.value)) else {
        note(problems, path.place(), format!("the file {} of {what} cannot be read", node.describe()));
        return None;
    };
    if !text.contains("-----BEGIN ") {
        note(problems, path.place(), format!("the file {} of {what} holds no PEM; it has no -----BEGIN line", node.describe()));
        return None;
    }
    Some(Pem { path, bytes: text.into_bytes().into() })
}

fn read_url(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<String>> {
    // A URL may hold a password by mistake, and its problem says which part is wrong.
    read::secret(node, what, problems, |text| Endpoint::parse(text).map(|_| text.to_owned()))
}

fn read_proxy(node: &Node, problems: &mut Vec<Problem>) -> Option<At<String>> {
    read::secret(node, "proxy", problems, |text| match Endpoint::parse(text) {
        _ if text == "none" => Ok(text.to_owned()),
        Ok(endpoint) if endpoint.unix.is_none() && endpoint.prefix.is_empty() => Ok(text.to_owned()),
        Ok(_) => Err("write http://HOST:PORT without a path, or none".to_owned()),
        Err(message) => Err(message),
    })
}

fn read_credentials(node: &Node, problems: &mut Vec<Problem>) -> Option<At<Credentials>> {
    read::secret(node, "credentials", problems, |text| match text {
        "caller" => Ok(Credentials::Caller),
        json if json.trim_start().starts_with('{') => Ok(Credentials::ServiceAccount(json.into())),
        _ => Err("write caller, or the text of a service-account file: \"${file:/path.json}\"".to_owned()),
    })
}

fn read_keys(node: &Node, problems: &mut Vec<Problem>) -> Vec<KeyConfig> {
    let nodes = read::items(node, "keys", problems);
    if nodes.len() > KEYS_MAX {
        note(problems, node.place, format!("{} keys are more than the {KEYS_MAX} that a provider may have", nodes.len()));
    }
    let mut keys: Vec<KeyConfig> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate().take(KEYS_MAX) {
        let Some(key) = read_key(node, index, problems) else { continue };
        if keys.iter().any(|other| other.name == key.name) {
            note(problems, node.place, format!("two keys have the name {:?}", key.name));
        }
        keys.push(key);
    }
    keys
}

fn read_key(node: &Node, index: usize, problems: &mut Vec<Problem>) -> Option<KeyConfig> {
    let name = format!("key-{}", index + 1);
    if !matches!(node.value, Value::Map(_)) {
        let value = read::secret(node, "key", problems, header_safe)?;
        return Some(KeyConfig { name, value, weight: 1, ..KeyConfig::default() });
    }
    let mut fields = Fields::open(node, "a key", problems)?;
    let given = fields.take("name").and_then(|node| read::text(node, "name", problems));
    if let Some(given) = &given {
        read::name(given, "a key", problems);
    }
    let value = fields.take("value");
    if value.is_none() {
        note(problems, node.place, "a key has no value; write value: \"${NAME}\"");
    }
    let value = value.and_then(|node| read::secret(node, "value", problems, header_safe));
    let weight = fields.take("weight").and_then(|node| read::number(node, "weight", 0, 1_000_000, problems));
    let (limits, budgets) = (limits::read(&mut fields, problems), budgets::read(&mut fields, problems));
    fields.close(problems);
    let name = given.map_or(name, |given| given.value);
    Some(KeyConfig { name, value: value?, weight: weight.map_or(1, |weight| weight.value as u32), limits, budgets })
}

/// Secrets travel in header lines: what could end one is refused.
pub(super) fn header_safe(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text {
        Ok(text.to_owned())
    } else {
        Err("write printable ASCII without line breaks or spaces around it".to_owned())
    }
}

/// It becomes part of a URL.
fn path_safe(text: &str) -> Result<String, String> {
    let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if good { Ok(text.to_owned()) } else { Err("write letters, digits, dots and hyphens, like 2024-10-21".to_owned()) }
}

fn read_models(node: &Node, problems: &mut Vec<Problem>) -> Vec<ModelConfig> {
    let nodes = read::items(node, "models", problems);
    if nodes.len() > MODELS_MAX {
        note(problems, node.place, format!("{} models are more than the {MODELS_MAX} that a provider may list", nodes.len()));
    }
    nodes.iter().take(MODELS_MAX).filter_map(|node| read_model(node, problems)).collect()
}

fn read_model(node: &Node, problems: &mut Vec<Problem>) -> Option<ModelConfig> {
    if !matches!(node.value, Value::Map(_)) {
        let name = read::text(node, "a model", problems)?;
        return Some(ModelConfig { name, ..ModelConfig::default() });
    }
    let mut fields = Fields::open(node, "a model", problems)?;
    let name = fields.take("name");
    if name.is_none() {
        note(problems, node.place, "a model has no name; write name: NAME");
    }
    let name = name.and_then(|node| read::text(node, "name", problems));
    let mut count = |name, problems: &mut Vec<Problem>| {
        fields.take(name).and_then(|node| read::number(node, name, 1, u64::MAX, problems)).map(|at| at.value)
    };
    let (context, output_max) = (count("context", problems), count("output_max", problems));
    let catalog = fields.take("catalog").and_then(|node| read::text(node, "catalog", problems));
    let abilities = fields.take("abilities").map(|node| read_abilities(node, problems));
    let price = fields.take("price").map(|node| prices::read(node, problems)).unwrap_or_default();
    let (limits, budgets) = (limits::read(&mut fields, problems), budgets::read(&mut fields, problems));
    fields.close(problems);
    Some(ModelConfig { name: name?, catalog, context, output_max, abilities, price, limits, budgets })
}

fn read_abilities(node: &Node, problems: &mut Vec<Problem>) -> Abilities {
    let words = read::items(node, "abilities", problems);
    let known = words.iter().filter_map(|node| read::choice(node, "an ability", Abilities::WORDS, problems));
    known.fold(Abilities::default(), |all, one| all.with(one.value))
}
