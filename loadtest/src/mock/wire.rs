//! From JSON to bytes: server-sent events, chunks, whole responses.

use serde_json::Value;

/// One streamed event, as the dialect frames it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) role: PieceRole,
}

/// What a piece is to the clock and to the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceRole {
    /// Carries generated text: a gap of time stands before it, and "after N events" counts it.
    Text,
    /// Everything else; it is sent along with its neighbour.
    Frame,
    /// The last event, without which the answer is not over by the dialect's own rules.
    Done,
}

impl Piece {
    /// `data: JSON`.
    pub(super) fn data(role: PieceRole, json: &Value) -> Self {
        Self { bytes: format!("data: {json}\n\n").into_bytes(), role }
    }

    /// A line of its own.
    pub(super) fn line(role: PieceRole, json: &Value) -> Self {
        Self { bytes: format!("{json}\n").into_bytes(), role }
    }

    /// `event: TYPE` and `data: JSON`, the name taken from the JSON's own `type`.
    pub(super) fn named(role: PieceRole, json: &Value) -> Self {
        let name = json.get("type").and_then(Value::as_str).unwrap_or("message");
        Self { bytes: format!("event: {name}\ndata: {json}\n\n").into_bytes(), role }
    }
}

/// The head of every streamed answer.
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
transfer-encoding: chunked\r\nx-request-id: req_mock\r\nrequest-id: req_mock\r\n\r\n";

/// The same head for lines of JSON.
const LINES_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncache-control: no-cache\r\n\
transfer-encoding: chunked\r\nx-request-id: req_mock\r\nrequest-id: req_mock\r\n\r\n";

/// The head of a streamed answer that is made of binary frames.
const FRAMES_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ncache-control: no-cache\r\n\
transfer-encoding: chunked\r\nx-amzn-requestid: req_mock\r\n\r\n";

/// The head that fits the framing of `pieces`: a binary frame begins with its length, which is below 16 MiB.
pub(super) fn stream_head(pieces: &[Piece]) -> &'static [u8] {
    match pieces.first().and_then(|piece| piece.bytes.first()) {
        Some(b'{') => LINES_HEAD,
        Some(0) => FRAMES_HEAD,
        _ => STREAM_HEAD,
    }
}

/// The end of a chunked body.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One chunk around `bytes`.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

/// The head of a whole JSON answer, with `extra` header lines (each ended by CRLF).
pub(super) fn whole_head(status: u16, extra: &str, body_bytes: usize) -> Vec<u8> {
    let reason = http_reason(status);
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {body_bytes}\r\n\
         x-request-id: req_mock\r\nrequest-id: req_mock\r\n{extra}\r\n"
    )
    .into_bytes()
}

fn http_reason(status: u16) -> &'static str {
    const REASONS: &[(u16, &str)] = &[
        (200, "OK"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (413, "Content Too Large"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (529, "Overloaded"),
    ];
    REASONS.iter().find(|(code, _)| *code == status).map_or("Status", |(_, reason)| reason)
}
