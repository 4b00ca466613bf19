//! The inputs: recorded bodies and streams, heads as SDKs and providers send them, and large bodies made of turns.

use ringway_adapters::dialect::DialectId;
use ringway_adapters::frame::Framing;

/// A request's head as the provider's own Python SDK sends it.
pub const REQUEST_HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    User-Agent: OpenAI/Python 1.109.1\r\n\
    X-Stainless-Lang: python\r\n\
    X-Stainless-Package-Version: 1.109.1\r\n\
    X-Stainless-OS: Linux\r\n\
    X-Stainless-Arch: x64\r\n\
    X-Stainless-Runtime: CPython\r\n\
    X-Stainless-Runtime-Version: 3.11.2\r\n\
    Authorization: Bearer rw-0123456789abcdef0123456789abcdef\r\n\
    X-Stainless-Async: false\r\n\
    x-stainless-retry-count: 0\r\n\
    x-stainless-read-timeout: 600\r\n\
    Content-Length: 750\r\n\r\n";

/// A provider's answer head.
pub const ANSWER_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Fri, 20 Nov 2026 10:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 830\r\n\
    Connection: keep-alive\r\n\
    access-control-expose-headers: X-Request-ID\r\n\
    openai-organization: user-0123456789\r\n\
    openai-processing-ms: 412\r\n\
    openai-version: 2020-10-01\r\n\
    x-ratelimit-limit-requests: 10000\r\n\
    x-ratelimit-limit-tokens: 200000\r\n\
    x-ratelimit-remaining-requests: 9999\r\n\
    x-ratelimit-remaining-tokens: 199980\r\n\
    x-ratelimit-reset-requests: 8.64s\r\n\
    x-ratelimit-reset-tokens: 6ms\r\n\
    x-request-id: req_0123456789abcdef0123456789abcdef\r\n\
    strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Server: cloudflare\r\n\r\n";

/// A streamed chat request of about `body_bytes`: turns of prose with escapes, which stand before the fields that are
/// looked for, as SDKs write them.
pub fn chat_body(body_bytes: usize) -> Vec<u8> {
    const PROSE: &str = "She said: \\\"Grüße aus Köln\\\".\\n\\tThe quick brown fox jumps over the lazy dog, and nobody minds. ";
    const TAIL: &str = "],\"model\":\"gpt-4.1\",\"temperature\":0.7,\"max_completion_tokens\":1024,\"stream\":true}";
    let mut body = String::from("{\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}");
    let mut turn = 0;
    while body.len() + TAIL.len() < body_bytes {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let left = body_bytes - body.len() - TAIL.len();
        let repeats = (left / PROSE.len()).clamp(1, 8 + turn % 7);
        body.push_str(&format!(",{{\"role\":\"{role}\",\"content\":\"{}\"}}", PROSE.repeat(repeats)));
        turn += 1;
    }
    body.push_str(TAIL);
    body.into_bytes()
}

/// Dialects whose recorded traffic stands in `fixtures`.
pub const RECORDED: &[DialectId] =
    &[DialectId::OpenaiChat, DialectId::OpenaiResponses, DialectId::Anthropic, DialectId::Cohere, DialectId::Ollama];

/// A recorded request with tools, a tool call and its result.
pub fn request(dialect: DialectId) -> &'static str {
    match dialect {
        DialectId::OpenaiChat => include_str!("../fixtures/chat_request.json"),
        DialectId::OpenaiResponses => include_str!("../fixtures/responses_request.json"),
        DialectId::Anthropic => include_str!("../fixtures/messages_request.json"),
        DialectId::Gemini => include_str!("../fixtures/gemini_request.json"),
        DialectId::BedrockConverse => include_str!("../fixtures/converse_request.json"),
        DialectId::Cohere => include_str!("../fixtures/cohere_request.json"),
        DialectId::Ollama => include_str!("../fixtures/ollama_request.json"),
        other => panic!("no recorded request of {other:?}"),
    }
}

/// A recorded whole answer.
pub fn answer(dialect: DialectId) -> &'static [u8] {
    match dialect {
        DialectId::OpenaiChat => include_bytes!("../fixtures/chat_answer.json"),
        DialectId::OpenaiResponses => include_bytes!("../fixtures/responses_answer.json"),
        DialectId::Anthropic => include_bytes!("../fixtures/messages_answer.json"),
        DialectId::Gemini => include_bytes!("../fixtures/gemini_answer.json"),
        DialectId::BedrockConverse => include_bytes!("../fixtures/converse_answer.json"),
        DialectId::Cohere => include_bytes!("../fixtures/cohere_answer.json"),
        DialectId::Ollama => include_bytes!("../fixtures/ollama_answer.json"),
        other => panic!("no recorded answer of {other:?}"),
    }
}

/// A recorded stream, cut into its events.
pub fn stream_events(dialect: DialectId) -> Vec<&'static [u8]> {
    let mut rest: &[u8] = match dialect {
        DialectId::OpenaiChat => include_bytes!("../fixtures/chat_stream.sse"),
        DialectId::OpenaiResponses => include_bytes!("../fixtures/responses_stream.sse"),
        DialectId::Anthropic => include_bytes!("../fixtures/messages_stream.sse"),
        DialectId::Gemini => include_bytes!("../fixtures/gemini_stream.sse"),
        DialectId::BedrockConverse => include_bytes!("../fixtures/converse_stream.bin"),
        DialectId::Cohere => include_bytes!("../fixtures/cohere_stream.sse"),
        DialectId::Ollama => include_bytes!("../fixtures/ollama_stream.ndjson"),
        other => panic!("no recorded stream of {other:?}"),
    };
    // Gemini's was asked for with `alt=sse`.
    let framing = if dialect == DialectId::Gemini { Framing::Sse } else { dialect.row().framing };
    let mut events = Vec::new();
    while let Some(len) = framing.event_len(rest) {
        let (event, tail) = rest.split_at(len);
        events.push(event);
        rest = tail;
    }
    assert!(rest.is_empty(), "a recorded stream ends with its last event");
    events
}

pub fn chat_stream_events() -> Vec<&'static [u8]> {
    stream_events(DialectId::OpenaiChat)
}

/// The chat stream in chunked coding, one event a chunk and one chunk a read.
pub fn chat_stream_chunks() -> Vec<Vec<u8>> {
    let frame = |event: &&[u8]| [format!("{:x}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat();
    let mut reads: Vec<Vec<u8>> = chat_stream_events().iter().map(frame).collect();
    reads.push(b"0\r\n\r\n".to_vec());
    reads
}
