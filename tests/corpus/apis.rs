//! Through which door each recorded API goes, and what it is to the gateway. A new dialect is one row.

use ringway_adapters::dialect::DialectId;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::{Provider, builtin};

use crate::load::Exchange;

/// One API.
pub struct Api {
    is: fn(&Exchange) -> bool,
    pub operation: Operation,
    /// By name, so that a row may stand here before its dialect does.
    dialect: &'static str,
    pub names: Names,
    /// Path and query of the door; the model as a path has it.
    pub door: fn(&Exchange, &str) -> String,
}

/// Where a request names its model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Names {
    InBody,
    InPath,
}

const fn row(operation: Operation, dialect: &'static str, is: fn(&Exchange) -> bool, door: fn(&Exchange, &str) -> String) -> Api {
    Api { is, operation, dialect, names: Names::InBody, door }
}

const fn in_path(operation: Operation, dialect: &'static str, is: fn(&Exchange) -> bool, door: fn(&Exchange, &str) -> String) -> Api {
    Api { is, operation, dialect, names: Names::InPath, door }
}

/// What follows the last `separator` of the recorded path.
fn last(exchange: &Exchange, separator: char) -> &str {
    exchange.target.rsplit(separator).next().unwrap_or_default()
}

fn ends(exchange: &Exchange, end: &str) -> bool {
    exchange.path().ends_with(end)
}

use Operation::{Chat, Complete, CountTokens, Embed, Moderate, Rerank};

/// In the order in which they are tried.
pub const APIS: &[Api] = &[
    row(Chat, "openai-chat", |one| one.provider == "azure" && one.api == "chat", azure),
    row(Chat, "openai-responses", |one| one.provider == "azure" && one.api == "responses", azure),
    row(Chat, "openai-completions", |one| one.provider == "azure" && one.api == "completions", azure),
    row(Embed, "openai-chat", |one| one.provider == "azure" && one.api == "embeddings", azure),
    row(Chat, "cohere", |one| one.provider == "cohere" && ends(one, "/v2/chat"), |_, _| "/v2/chat".to_owned()),
    row(Chat, "cohere-v1", |one| one.provider == "cohere" && ends(one, "/v1/chat"), |_, _| "/v1/chat".to_owned()),
    row(Chat, "ollama", |one| ends(one, "/api/chat"), |_, _| "/api/chat".to_owned()),
    row(Complete, "ollama", |one| ends(one, "/api/generate"), |_, _| "/api/generate".to_owned()),
    in_path(Chat, "gemini", |one| one.api == "generateContent", |one, model| format!("/v1beta/models/{model}:{}", last(one, ':'))),
    in_path(CountTokens, "gemini", |one| ends(one, ":countTokens"), |_, model| format!("/v1beta/models/{model}:countTokens")),
    in_path(Chat, "bedrock-converse", |one| one.api == "converse", |one, model| format!("/model/{model}/{}", last(one, '/'))),
    in_path(Chat, "bedrock-invoke", |one| one.api == "invoke", |one, model| format!("/model/{model}/{}", last(one, '/'))),
    row(Chat, "anthropic", |one| one.api == "messages" && one.provider != "vertex", |_, _| "/v1/messages".to_owned()),
    row(CountTokens, "anthropic", |one| ends(one, "/messages/count_tokens"), |_, _| "/v1/messages/count_tokens".to_owned()),
    row(Chat, "openai-chat", |one| one.api == "chat" && one.provider != "cohere", |_, _| "/v1/chat/completions".to_owned()),
    row(CountTokens, "openai-responses", |one| ends(one, "/responses/input_tokens"), |_, _| "/v1/responses/input_tokens".to_owned()),
    row(Chat, "openai-responses", |one| ends(one, "/responses") && one.method == "POST", |_, _| "/v1/responses".to_owned()),
    row(Chat, "openai-completions", |one| ends(one, "/v1/completions"), |_, _| "/v1/completions".to_owned()),
    row(Embed, "openai-chat", |one| ends(one, "/embeddings"), |_, _| "/v1/embeddings".to_owned()),
    row(Rerank, "openai-chat", |one| ends(one, "/rerank"), |_, _| "/v1/rerank".to_owned()),
    row(Moderate, "openai-chat", |one| ends(one, "/moderations"), |_, _| "/v1/moderations".to_owned()),
];

/// The recorded target where the gateway serves it: a deployment is the model, a proxy's prefix is gone.
fn azure(exchange: &Exchange, model: &str) -> String {
    let target = exchange.target.trim_start_matches("/api");
    let Some((before, after)) = target.split_once("/deployments/") else { return target.to_owned() };
    format!("{before}/deployments/{model}/{}", after.split_once('/').unwrap_or_default().1)
}

impl Api {
    pub fn of(exchange: &Exchange) -> Option<&'static Api> {
        APIS.iter().find(|row| (row.is)(exchange))
    }

    /// This provider has it in this dialect, so that its bytes go through untouched.
    pub fn is_served(&self, provider: &Provider) -> bool {
        let dialect = DialectId::from_name(self.dialect);
        dialect.and_then(|dialect| provider.served(self.operation, dialect, "any")).is_some_and(|served| Some(served.dialect) == dialect)
    }
}

/// The provider's facts: its own, else those of a compatible server.
pub fn provider(name: &str) -> &'static Provider {
    builtin(name).or_else(|| builtin("openai")).expect("openai is built in")
}
