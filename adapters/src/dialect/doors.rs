//! The doors of every dialect: paths that clients speak to, as data for `crate::door`.
//!
//! A new dialect adds a table of rows and the prefixes that it hangs under.

use super::DialectId;
use crate::operation::Operation;

/// A path below a prefix: `/*` takes one segment as the id and whatever follows, `/**` the whole rest as the id.
pub(crate) type Row = (&'static str, Operation, DialectId);

/// Where doors hang.
pub(crate) struct Prefix {
    pub path: &'static str,
    pub header: Header,
    pub opens: Opens,
}

/// The header without which a prefix is not looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    None,
    AnthropicVersion,
}

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
    Prefix { path: "", header: Header::None, opens: Opens::Rows(ANTHROPIC) },
    Prefix { path: "", header: Header::AnthropicVersion, opens: Opens::Rows(ANTHROPIC_SHARED) },
    Prefix { path: "/v1", header: Header::None, opens: Opens::Rows(OPENAI) },
    Prefix { path: "/openai/deployments", header: Header::None, opens: Opens::Deployment(OPENAI) },
    Prefix { path: "/openai/v1", header: Header::None, opens: Opens::Rows(OPENAI) },
    Prefix { path: "/openai", header: Header::None, opens: Opens::Rows(OPENAI) },
    Prefix { path: "/anthropic", header: Header::None, opens: Opens::Rows(ANTHROPIC) },
    Prefix { path: "/anthropic", header: Header::None, opens: Opens::Rows(ANTHROPIC_SHARED) },
    Prefix { path: "/passthrough", header: Header::None, opens: Opens::Provider(&[ANTHROPIC, OPENAI]) },
    // Azure's model inference; before the bare form, where it would be a model's id.
    Prefix { path: "/models", header: Header::None, opens: Opens::Rows(AZURE_MODELS) },
    Prefix { path: "", header: Header::None, opens: Opens::Rows(OPENAI) },
];

/// Errors of a path that no table knows are written in this dialect.
pub(crate) const UNKNOWN: DialectId = DialectId::OpenaiChat;

/// Paths of the recorded traffic of api.openai.com, read 2026-11-20.
const OPENAI: &[Row] = &[
    ("/chat/completions", Operation::Chat, DialectId::OpenaiChat),
    ("/responses", Operation::Chat, DialectId::OpenaiResponses),
    ("/embeddings", Operation::Embed, DialectId::OpenaiChat),
    ("/completions", Operation::Complete, DialectId::OpenaiChat),
    ("/models", Operation::Models, DialectId::OpenaiChat),
    ("/models/**", Operation::Models, DialectId::OpenaiChat),
    // The gateway's own.
    ("/key", Operation::Key, DialectId::OpenaiChat),
    ("/responses/input_tokens", Operation::CountTokens, DialectId::OpenaiResponses),
    // A stored answer's life (get, cancel, delete, input items) has no model and no translation.
    ("/responses/*", Operation::Passthrough, DialectId::OpenaiResponses),
    ("/chat/completions/*", Operation::Passthrough, DialectId::OpenaiChat),
    ("/moderations", Operation::Moderate, DialectId::OpenaiChat),
    ("/images/*", Operation::Image, DialectId::OpenaiChat),
    ("/audio/speech", Operation::Speech, DialectId::OpenaiChat),
    ("/audio/transcriptions", Operation::Transcribe, DialectId::OpenaiChat),
    ("/audio/translations", Operation::Transcribe, DialectId::OpenaiChat),
    ("/audio/*", Operation::Passthrough, DialectId::OpenaiChat),
    ("/files", Operation::Files, DialectId::OpenaiChat),
    ("/files/*", Operation::Files, DialectId::OpenaiChat),
    ("/batches", Operation::Batch, DialectId::OpenaiChat),
    ("/batches/*", Operation::Batch, DialectId::OpenaiChat),
    ("/realtime", Operation::Realtime, DialectId::OpenaiChat),
    ("/realtime/*", Operation::Realtime, DialectId::OpenaiChat),
    ("/rerank", Operation::Rerank, DialectId::OpenaiChat),
];

const AZURE_MODELS: &[Row] = &[("/chat/completions", Operation::Chat, DialectId::OpenaiChat)];

/// Paths of the recorded traffic of api.anthropic.com, read 2026-11-20.
const ANTHROPIC: &[Row] = &[
    ("/v1/messages", Operation::Chat, DialectId::Anthropic),
    ("/v1/messages/count_tokens", Operation::CountTokens, DialectId::Anthropic),
    ("/v1/messages/batches", Operation::Batch, DialectId::Anthropic),
    ("/v1/messages/batches/*", Operation::Batch, DialectId::Anthropic),
    ("/v1/complete", Operation::Complete, DialectId::Anthropic),
];

/// Paths that OpenAI has, too.
const ANTHROPIC_SHARED: &[Row] = &[
    ("/v1/models", Operation::Models, DialectId::Anthropic),
    ("/v1/models/**", Operation::Models, DialectId::Anthropic),
    ("/v1/files", Operation::Files, DialectId::Anthropic),
    ("/v1/files/*", Operation::Files, DialectId::Anthropic),
];
