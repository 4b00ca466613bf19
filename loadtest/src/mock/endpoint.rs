//! Which operation of which dialect a path is.

/// A served operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Chat,
    Responses,
    Completions,
    Embeddings,
    Messages,
    CountTokens,
    Cohere,
    Ollama,
    Models,
    Gemini,
    GeminiCount,
    GeminiEmbed,
    Converse,
    ConverseStream,
    Invoke,
    InvokeStream,
    BedrockCount,
}

/// The dialect family, which decides how an error looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    OpenAi,
    Anthropic,
    Cohere,
    Ollama,
    Google,
    Bedrock,
}

/// Endings of POST paths; the first that fits wins, so the longer stand first. Any prefix is accepted
/// (`/v1`, `/openai/deployments/ID`, a base URL of one's own).
const POST_ENDINGS: &[(&str, Endpoint)] = &[
    ("/messages/count_tokens", Endpoint::CountTokens),
    ("/messages", Endpoint::Messages),
    ("/chat/completions", Endpoint::Chat),
    ("/completions", Endpoint::Completions),
    ("/responses", Endpoint::Responses),
    ("/embeddings", Endpoint::Embeddings),
    ("/v2/chat", Endpoint::Cohere),
    ("/api/chat", Endpoint::Ollama),
    (":generateContent", Endpoint::Gemini),
    (":streamGenerateContent", Endpoint::Gemini),
    (":countTokens", Endpoint::GeminiCount),
    (":embedContent", Endpoint::GeminiEmbed),
    (":batchEmbedContents", Endpoint::GeminiEmbed),
    // Claude on Vertex AI.
    (":rawPredict", Endpoint::Messages),
    (":streamRawPredict", Endpoint::Messages),
    ("/converse", Endpoint::Converse),
    ("/converse-stream", Endpoint::ConverseStream),
    ("/invoke", Endpoint::Invoke),
    ("/invoke-with-response-stream", Endpoint::InvokeStream),
    ("/count-tokens", Endpoint::BedrockCount),
];

impl Endpoint {
    pub(super) fn of(method: &str, path: &str) -> Option<Self> {
        match method {
            "POST" => POST_ENDINGS.iter().find(|(ending, _)| path.ends_with(ending)).map(|(_, endpoint)| *endpoint),
            "GET" => (path.ends_with("/models") || path.contains("/models/")).then_some(Self::Models),
            _ => None,
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::Messages | Self::CountTokens => Family::Anthropic,
            Self::Cohere => Family::Cohere,
            Self::Ollama => Family::Ollama,
            Self::Gemini | Self::GeminiCount | Self::GeminiEmbed => Family::Google,
            Self::Converse | Self::ConverseStream | Self::Invoke | Self::InvokeStream | Self::BedrockCount => Family::Bedrock,
            _ => Family::OpenAi,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_and_without_a_version_are_known() {
        let cases = [
            ("POST", "/v1/chat/completions", Some(Endpoint::Chat)),
            ("POST", "/chat/completions", Some(Endpoint::Chat)),
            ("POST", "/openai/deployments/d/chat/completions", Some(Endpoint::Chat)),
            ("POST", "/v1/completions", Some(Endpoint::Completions)),
            ("POST", "/v1/messages/count_tokens", Some(Endpoint::CountTokens)),
            ("POST", "/v2/chat", Some(Endpoint::Cohere)),
            ("POST", "/api/chat", Some(Endpoint::Ollama)),
            ("POST", "/v1beta/models/m:streamGenerateContent", Some(Endpoint::Gemini)),
            ("GET", "/v1/models/x", Some(Endpoint::Models)),
            ("POST", "/model/us.anthropic.claude%3A0/converse-stream", Some(Endpoint::ConverseStream)),
            ("GET", "/v1/messages", None),
            ("POST", "/v1/nothing", None),
        ];
        for (method, path, endpoint) in cases {
            assert_eq!(Endpoint::of(method, path), endpoint, "{method} {path}");
        }
    }
}
