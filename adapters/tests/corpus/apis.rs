//! Which dialect each recorded API speaks, and what of it a codec reads. A new dialect is one row here.

use ringway_adapters::dialect::{Dialect, DialectId};

use crate::load::Exchange;

/// One API of a provider, or of all that have it.
pub struct Api {
    is: fn(&Exchange) -> bool,
    /// By name, so that a row may stand here before its dialect does.
    dialect: &'static str,
    pub says: Says,
    pub reads: Reads,
}

/// Where a request names its model and whether it streams.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Says {
    InBody,
    InPath,
}

/// What of an exchange the dialect's codec reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Requests and answers.
    Chat,
    /// Requests alone: their answers are numbers.
    Requests,
    /// Error answers alone; the reason why the rest is carried untouched.
    Errors(&'static str),
}

const UNTOUCHED: &str = "carried untouched as passthrough: no generated answer, so no chat codec";
const OPERATION: &str = "an operation with a small answer of its own, which no chat codec reads";
const OLD: &str = "an API before the provider's present one, carried untouched as passthrough";
/// APIs with a small answer of their own.
const OPERATIONS: &[&str] = &["embeddings", "rerank", "moderations", "images", "audio", "models", "count_tokens", "ocr", "videos"];
/// Providers whose other APIs have errors of their own shape.
const OWN_ERRORS: &[(&str, &str)] = &[
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
    ("vertex", "gemini"),
    ("cohere", "cohere"),
    ("bedrock", "bedrock-converse"),
    ("bedrock-agent", "bedrock-converse"),
    ("bedrock-control", "bedrock-converse"),
    ("ollama", "ollama"),
];

const fn chat(dialect: &'static str, says: Says, is: fn(&Exchange) -> bool) -> Api {
    Api { is, dialect, says, reads: Reads::Chat }
}

/// In the order in which they are tried.
pub static APIS: &[Api] = &[
    // v1's form is read by the same codec, and translated by it.
    chat("cohere", Says::InBody, |one| one.provider == "cohere" && one.api == "chat"),
    // Recordings without a request are of its own API, too.
    chat("ollama", Says::InBody, |one| one.provider == "ollama" && one.api == "chat" && matches!(one.path.as_str(), "" | "/api/chat")),
    chat("ollama", Says::InBody, |one| one.path == "/api/generate"),
    Api { is: |one| one.path == "/v1/complete", dialect: "anthropic", says: Says::InBody, reads: Reads::Errors(OLD) },
    chat("gemini", Says::InPath, |one| one.api == "generateContent"),
    chat("bedrock-converse", Says::InPath, |one| one.api == "converse"),
    chat("bedrock-invoke", Says::InPath, |one| one.api == "invoke"),
    chat("anthropic", Says::InPath, |one| one.api == "messages" && one.provider == "vertex"),
    chat("anthropic", Says::InBody, |one| one.api == "messages"),
    Api { is: |one| one.path.ends_with("/messages/count_tokens"), dialect: "anthropic", says: Says::InBody, reads: Reads::Requests },
    chat("openai-chat", Says::InBody, |one| one.api == "chat" && one.provider != "cartesia"),
    Api {
        is: |one| one.path.ends_with("/responses/input_tokens"),
        dialect: "openai-responses",
        says: Says::InBody,
        reads: Reads::Requests,
    },
    chat("openai-responses", Says::InBody, |one| {
        one.api == "responses" && matches!(one.method.as_str(), "" | "POST") && (one.path.is_empty() || one.path.ends_with("/responses"))
    }),
    chat("openai-completions", Says::InBody, |one| {
        let is_stored = one.path.contains("/prompts/") || one.path.contains("/organization/");
        one.api == "completions" && matches!(one.method.as_str(), "" | "POST") && !is_stored && one.provider != "writer"
    }),
    // The rest, by what it is.
    Api { is: |one| OPERATIONS.contains(&one.api.as_str()), dialect: "openai-chat", says: Says::InBody, reads: Reads::Errors(OPERATION) },
    Api { is: |_| true, dialect: "openai-chat", says: Says::InBody, reads: Reads::Errors(UNTOUCHED) },
];

impl Api {
    pub fn of(exchange: &Exchange) -> &'static Api {
        APIS.iter().find(|row| (row.is)(exchange)).unwrap_or(Api::any())
    }

    /// The row of what no other row takes.
    pub fn any() -> &'static Api {
        &APIS[APIS.len() - 1]
    }

    pub fn is(&self, dialect: &str) -> bool {
        self.dialect == dialect
    }

    /// Its wire format, `None` where this build has none of that name.
    pub fn dialect(&self, exchange: &Exchange) -> Option<&'static Dialect> {
        let own = OWN_ERRORS.iter().find(|(provider, _)| matches!(self.reads, Reads::Errors(_)) && *provider == exchange.provider);
        DialectId::from_name(own.map_or(self.dialect, |(_, dialect)| dialect)).map(DialectId::row)
    }
}
