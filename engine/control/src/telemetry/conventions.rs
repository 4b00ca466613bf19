//! The names of OpenTelemetry's conventions that are used here, in one place, as none of the GenAI ones is stable.
//!
//! github.com/open-telemetry/semantic-conventions-genai: docs/gen-ai/gen-ai-spans.md, gen-ai-metrics.md and
//! gen-ai-token-metrics.md (status: development), and opentelemetry.io/docs/specs/semconv for the others; read 2026-11-20.

use ringway_adapters::operation::Operation;
use ringway_adapters::usage::Usage;

pub const OPERATION: &str = "gen_ai.operation.name";
pub const PROVIDER: &str = "gen_ai.provider.name";
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
pub const TOKEN_MODALITY: &str = "gen_ai.token.modality";
pub const ERROR_TYPE: &str = "error.type";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";
pub const CLIENT_ADDRESS: &str = "client.address";
pub const STATUS_CODE: &str = "http.response.status_code";
pub const USER_ID: &str = "user.id";

/// Token counts of a span, with what they are read from.
pub const USAGE: &[(&str, fn(&Usage) -> u64)] = &[
    ("gen_ai.usage.input_tokens", |usage| usage.input),
    ("gen_ai.usage.output_tokens", |usage| usage.output),
    ("gen_ai.usage.cache_read.input_tokens", |usage| usage.cached_read),
    ("gen_ai.usage.cache_creation.input_tokens", |usage| usage.cached_write),
    ("gen_ai.usage.reasoning.output_tokens", |usage| usage.reasoning),
    ("gen_ai.usage.audio.input_tokens", |usage| usage.audio_input),
    ("gen_ai.usage.audio.output_tokens", |usage| usage.audio_output),
    ("gen_ai.usage.image.input_tokens", |usage| usage.image_input),
];

/// The older family of token metrics: one histogram, told apart by `gen_ai.token.type`.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// The newer one: counters of what was spent; the last three are parts of the first two.
pub const INFERENCE_USAGE: &[(&str, fn(&Usage) -> u64)] = &[
    ("gen_ai.client.inference.usage.input_tokens", |usage| usage.input),
    ("gen_ai.client.inference.usage.output_tokens", |usage| usage.output),
    ("gen_ai.client.inference.usage.cache_read.input_tokens", |usage| usage.cached_read),
    ("gen_ai.client.inference.usage.cache_write.input_tokens", |usage| usage.cached_write),
    ("gen_ai.client.inference.usage.reasoning.output_tokens", |usage| usage.reasoning),
];
/// And how they are spread over single operations.
pub const OPERATION_TOKENS: [&str; 2] =
    ["gen_ai.client.inference.operation.input_tokens", "gen_ai.client.inference.operation.output_tokens"];
pub const DURATION: &str = "gen_ai.client.operation.duration";
pub const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";

/// Not told apart by most providers.
pub const MODALITY_UNKNOWN: &str = "unknown";

/// Bounds that the conventions advise for durations, in seconds.
pub const SECONDS: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Bounds that the conventions advise for tokens.
pub const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

/// The operation's well-known name, or our own where there is none.
pub fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Complete => "text_completion",
        Operation::Embed => "embeddings",
        other => other.name(),
    }
}
