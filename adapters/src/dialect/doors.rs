//! The doors of every dialect: paths that clients speak to, as data for `crate::door`.
//!
//! A new dialect adds a table of rows and the prefixes that it hangs under.

use super::DialectId;
use crate::ir::Mode;
use crate::operation::Operation;

/// A path below a prefix, what is asked there, in which dialect, and how the answer comes.
///
/// A `*` between slashes takes any one segment. The last one is the id: `/*` at the end takes one segment and whatever
/// follows, `/**` the whole rest, `/**/verb` what stands before the verb, `/*:verb` what stands before the last colon.
pub(crate) type Row = (&'static str, Operation, DialectId, Option<Mode>);

/// The body says how the answer comes.
const BODY: Option<Mode> = None;

/// Where doors hang.
pub(crate) struct Prefix {
    pub path: &'static str,
    /// The header field without which a prefix is no door.
    pub header: Option<&'static str>,
    pub opens: Opens,
}

const ANTHROPIC_VERSION: Option<&str> = Some("anthropic-version");
/// Gemini's SDKs send their key so, and ask for the models of `/v1` as of `/v1beta`.
const GOOGLE_KEY: Option<&str> = Some("x-goog-api-key");

/// What follows a prefix.
pub(crate) enum Opens {
    Rows(&'static [Row]),
    /// A model's id, then the path of a row.
    Deployment(&'static [Row]),
    /// A provider's name, then any path; one that is in a table is read in that table's dialect.
    Provider(&'static [&'static [Row]]),
}

/// In the order in which they are tried.
pub(crate) const PREFIXES: &[Prefix] = &[
    Prefix { path: "", header: None, opens: Opens::Rows(ANTHROPIC) },
    Prefix { path: "", header: ANTHROPIC_VERSION, opens: Opens::Rows(ANTHROPIC_SHARED) },
    // Before OpenAI's, whose models may have any id: the verb tells.
    Prefix { path: "/v1beta", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/v1beta", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/v1", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/v1", header: GOOGLE_KEY, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/v1", header: None, opens: Opens::Rows(VERTEX) },
    Prefix { path: "/v1beta1", header: None, opens: Opens::Rows(VERTEX) },
    Prefix { path: "/v1", header: None, opens: Opens::Rows(OPENAI) },
    Prefix { path: "/bedrock", header: None, opens: Opens::Rows(BEDROCK) },
    Prefix { path: "", header: None, opens: Opens::Rows(BEDROCK) },
    Prefix { path: "/openai/deployments", header: None, opens: Opens::Deployment(OPENAI) },
    Prefix { path: "/openai/v1", header: None, opens: Opens::Rows(OPENAI) },
    Prefix { path: "/openai", header: None, opens: Opens::Rows(OPENAI) },
    Prefix { path: "/anthropic", header: None, opens: Opens::Rows(ANTHROPIC) },
    Prefix { path: "/anthropic", header: None, opens: Opens::Rows(ANTHROPIC_SHARED) },
    Prefix { path: "/cohere", header: None, opens: Opens::Rows(COHERE) },
    Prefix { path: "/cohere", header: None, opens: Opens::Rows(COHERE_SHARED) },
    Prefix { path: "/gemini/v1beta", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/gemini/v1beta", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/gemini/v1", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/gemini/v1", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/gemini", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/gemini", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/genai/v1beta", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/genai/v1beta", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/genai/v1", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/genai/v1", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/genai", header: None, opens: Opens::Rows(GEMINI) },
    Prefix { path: "/genai", header: None, opens: Opens::Rows(GEMINI_SHARED) },
    Prefix { path: "/passthrough", header: None, opens: Opens::Provider(&[ANTHROPIC, COHERE, OLLAMA, GEMINI_PASSED, BEDROCK, OPENAI]) },
    // Azure's model inference; before the bare form, where it would be a model's id.
    Prefix { path: "/models", header: None, opens: Opens::Rows(AZURE_MODELS) },
    Prefix { path: "", header: None, opens: Opens::Rows(COHERE) },
    Prefix { path: "", header: None, opens: Opens::Rows(OLLAMA) },
    Prefix { path: "", header: None, opens: Opens::Rows(OPENAI) },
];

/// Errors of a path that no table knows are written in this dialect.
pub(crate) const UNKNOWN: DialectId = DialectId::OpenaiChat;

/// Paths of the recorded traffic of api.openai.com, read 2026-11-20.
const OPENAI: &[Row] = &[
    ("/chat/completions", Operation::Chat, DialectId::OpenaiChat, BODY),
    ("/responses", Operation::Chat, DialectId::OpenaiResponses, BODY),
    ("/embeddings", Operation::Embed, DialectId::OpenaiChat, BODY),
    ("/completions", Operation::Chat, DialectId::OpenaiCompletions, BODY),
    ("/models", Operation::Models, DialectId::OpenaiChat, BODY),
    ("/models/**", Operation::Models, DialectId::OpenaiChat, BODY),
    // The gateway's own.
    ("/key", Operation::Key, DialectId::OpenaiChat, BODY),
    ("/responses/input_tokens", Operation::CountTokens, DialectId::OpenaiResponses, BODY),
    // A stored answer's life (get, cancel, delete, input items) has no model and no translation.
    ("/responses/*", Operation::Passthrough, DialectId::OpenaiResponses, BODY),
    ("/chat/completions/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/moderations", Operation::Moderate, DialectId::OpenaiChat, BODY),
    ("/images/*", Operation::Image, DialectId::OpenaiChat, BODY),
    ("/audio/speech", Operation::Speech, DialectId::OpenaiChat, BODY),
    ("/audio/transcriptions", Operation::Transcribe, DialectId::OpenaiChat, BODY),
    ("/audio/translations", Operation::Transcribe, DialectId::OpenaiChat, BODY),
    ("/audio/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/files", Operation::Files, DialectId::OpenaiChat, BODY),
    ("/files/*", Operation::Files, DialectId::OpenaiChat, BODY),
    ("/batches", Operation::Batch, DialectId::OpenaiChat, BODY),
    ("/batches/*", Operation::Batch, DialectId::OpenaiChat, BODY),
    ("/realtime", Operation::Realtime, DialectId::OpenaiChat, BODY),
    ("/realtime/*", Operation::Realtime, DialectId::OpenaiChat, BODY),
    ("/rerank", Operation::Rerank, DialectId::OpenaiChat, BODY),
    // What has no translation goes as it is to a provider that has it.
    ("/conversations", Operation::Passthrough, DialectId::OpenaiResponses, BODY),
    ("/conversations/*", Operation::Passthrough, DialectId::OpenaiResponses, BODY),
    ("/assistants", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/assistants/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/threads", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/threads/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/vector_stores", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/vector_stores/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/uploads", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/uploads/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/containers", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/containers/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/fine_tuning/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/evals", Operation::Passthrough, DialectId::OpenaiChat, BODY),
    ("/evals/*", Operation::Passthrough, DialectId::OpenaiChat, BODY),
];

const AZURE_MODELS: &[Row] = &[("/chat/completions", Operation::Chat, DialectId::OpenaiChat, BODY)];

/// Paths of the recorded traffic of api.anthropic.com, read 2026-11-20.
const ANTHROPIC: &[Row] = &[
    ("/v1/messages", Operation::Chat, DialectId::Anthropic, BODY),
    ("/v1/messages/count_tokens", Operation::CountTokens, DialectId::Anthropic, BODY),
    ("/v1/messages/batches", Operation::Batch, DialectId::Anthropic, BODY),
    ("/v1/messages/batches/*", Operation::Batch, DialectId::Anthropic, BODY),
    ("/v1/complete", Operation::Complete, DialectId::Anthropic, BODY),
];

/// Paths that OpenAI has, too.
const ANTHROPIC_SHARED: &[Row] = &[
    ("/v1/models", Operation::Models, DialectId::Anthropic, BODY),
    ("/v1/models/**", Operation::Models, DialectId::Anthropic, BODY),
    ("/v1/files", Operation::Files, DialectId::Anthropic, BODY),
    ("/v1/files/*", Operation::Files, DialectId::Anthropic, BODY),
];

/// Paths of the recorded traffic of bedrock-runtime.*.amazonaws.com, read 2026-11-20.
const BEDROCK: &[Row] = &[
    ("/model/**/converse", Operation::Chat, DialectId::BedrockConverse, Some(Mode::Whole)),
    ("/model/**/converse-stream", Operation::Chat, DialectId::BedrockConverse, Some(Mode::Stream)),
    ("/model/**/invoke", Operation::Chat, DialectId::BedrockInvoke, Some(Mode::Whole)),
    ("/model/**/invoke-with-response-stream", Operation::Chat, DialectId::BedrockInvoke, Some(Mode::Stream)),
    ("/model/**/count-tokens", Operation::CountTokens, DialectId::BedrockConverse, Some(Mode::Whole)),
    ("/guardrail/*", Operation::Passthrough, DialectId::BedrockConverse, Some(Mode::Whole)),
];

/// docs.cohere.com/reference, v2 and v1, read 2026-11-20. Without a prefix `/v1/rerank` is the OpenAI family's, whose body is the same.
const COHERE: &[Row] = &[
    ("/v2/chat", Operation::Chat, DialectId::Cohere, BODY),
    ("/v2/embed", Operation::Embed, DialectId::Cohere, BODY),
    ("/v2/rerank", Operation::Rerank, DialectId::Cohere, BODY),
    ("/v1/chat", Operation::Chat, DialectId::CohereV1, BODY),
    ("/v1/embed", Operation::Embed, DialectId::CohereV1, BODY),
    ("/v1/tokenize", Operation::CountTokens, DialectId::CohereV1, BODY),
];

/// Paths that OpenAI's family has, too.
const COHERE_SHARED: &[Row] = &[
    ("/v1/rerank", Operation::Rerank, DialectId::CohereV1, BODY),
    ("/v1/models", Operation::Models, DialectId::CohereV1, BODY),
    ("/v1/models/**", Operation::Models, DialectId::CohereV1, BODY),
];

/// github.com/ollama/ollama/blob/main/docs/api.md, read 2026-11-20. A completion of its own form is not translated.
const OLLAMA: &[Row] = &[
    ("/api/chat", Operation::Chat, DialectId::Ollama, BODY),
    ("/api/generate", Operation::Complete, DialectId::Ollama, BODY),
    ("/api/embed", Operation::Embed, DialectId::Ollama, BODY),
    ("/api/tags", Operation::Models, DialectId::Ollama, BODY),
];

const WHOLE: Option<Mode> = Some(Mode::Whole);
const STREAM: Option<Mode> = Some(Mode::Stream);

/// Paths of the recorded traffic of generativelanguage.googleapis.com, read 2026-11-20.
const GEMINI: &[Row] = &[
    ("/models/*:generateContent", Operation::Chat, DialectId::Gemini, WHOLE),
    ("/models/*:streamGenerateContent", Operation::Chat, DialectId::Gemini, STREAM),
    ("/models/*:embedContent", Operation::Embed, DialectId::Gemini, WHOLE),
    ("/models/*:batchEmbedContents", Operation::Embed, DialectId::Gemini, WHOLE),
    ("/models/*:countTokens", Operation::CountTokens, DialectId::Gemini, WHOLE),
];

/// Paths that OpenAI has, too.
const GEMINI_SHARED: &[Row] =
    &[("/models", Operation::Models, DialectId::Gemini, WHOLE), ("/models/**", Operation::Models, DialectId::Gemini, WHOLE)];

/// Passed through untouched, with the version before them.
const GEMINI_PASSED: &[Row] = &[
    ("/v1beta/models/*:generateContent", Operation::Chat, DialectId::Gemini, WHOLE),
    ("/v1beta/models/*:streamGenerateContent", Operation::Chat, DialectId::Gemini, STREAM),
    ("/v1/models/*:generateContent", Operation::Chat, DialectId::Gemini, WHOLE),
    ("/v1/models/*:streamGenerateContent", Operation::Chat, DialectId::Gemini, STREAM),
    ("/v1beta/**", Operation::Passthrough, DialectId::Gemini, WHOLE),
];

/// Paths of the recorded traffic of aiplatform.googleapis.com, read 2026-11-20. Project and location are the target's own.
const VERTEX: &[Row] = &[
    ("/projects/*/locations/*/publishers/*/models/*:generateContent", Operation::Chat, DialectId::Gemini, WHOLE),
    ("/projects/*/locations/*/publishers/*/models/*:streamGenerateContent", Operation::Chat, DialectId::Gemini, STREAM),
    ("/projects/*/locations/*/publishers/*/models/*:rawPredict", Operation::Chat, DialectId::Anthropic, WHOLE),
    ("/projects/*/locations/*/publishers/*/models/*:streamRawPredict", Operation::Chat, DialectId::Anthropic, STREAM),
    ("/projects/*/locations/*/publishers/*/models/*:embedContent", Operation::Embed, DialectId::Gemini, WHOLE),
    ("/projects/*/locations/*/publishers/*/models/*:countTokens", Operation::CountTokens, DialectId::Gemini, WHOLE),
];
