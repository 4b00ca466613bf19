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
    Models,
}

/// The dialect family, which decides how an error looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    OpenAi,
    Anthropic,
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
            ("GET", "/v1/models/x", Some(Endpoint::Models)),
            ("GET", "/v1/messages", None),
            ("POST", "/v1/nothing", None),
        ];
        for (method, path, endpoint) in cases {
            assert_eq!(Endpoint::of(method, path), endpoint, "{method} {path}");
        }
    }
}
