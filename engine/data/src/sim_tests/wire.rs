//! What the virtual clients and upstreams say: questions with a marker, and the one answer that each marker has.
//!
//! A marker says how long its answer is, and every word of the answer carries it: so every upstream gives the same answer,
//! and a word in the wrong place is seen.

use std::fmt::Write;

/// A client's or an upstream's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Chat,
    Messages,
}

pub(super) fn marker(client: usize, request: usize, word_count: usize) -> String {
    format!("mk{client}x{request}w{word_count}z")
}

/// The first marker in `bytes`.
pub(super) fn find_marker(bytes: &[u8]) -> Option<String> {
    all_markers(bytes).next()
}

/// Every marker in `bytes`.
pub(super) fn all_markers(bytes: &[u8]) -> impl Iterator<Item = String> {
    memchr::memmem::find_iter(bytes, b"mk").filter_map(|at| {
        let rest = &bytes[at..];
        let len = rest.iter().position(|byte| *byte == b'z')?;
        let is_marker = rest[2..len].iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'x' | b'w'));
        is_marker.then(|| String::from_utf8_lossy(&rest[..=len]).into_owned())
    })
}

fn words(marker: &str) -> impl Iterator<Item = String> {
    let count: usize = marker.split('w').nth(1).and_then(|rest| rest.trim_end_matches('z').parse().ok()).unwrap_or(0);
    (0..count).map(move |index| format!("{index}.{marker} "))
}

/// The whole text of a marker's answer.
pub(super) fn text(marker: &str) -> String {
    words(marker).collect()
}

/// A question in `wire`.
pub(super) fn question(wire: Wire, model: &str, marker: &str, stream: Form, padding: usize) -> String {
    let limit = if wire == Wire::Messages { "\"max_tokens\":100," } else { "" };
    let stream = if stream == Form::Stream { "\"stream\":true," } else { "" };
    let padding = "p".repeat(padding);
    format!("{{\"model\":\"{model}\",{limit}{stream}\"messages\":[{{\"role\":\"user\",\"content\":\"say {marker} {padding}\"}}]}}")
}

/// Whole or streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Stream,
}

/// An answer's body, and the offsets at which its events end.
pub(super) struct Body {
    pub bytes: Vec<u8>,
    pub event_ends: Vec<usize>,
}

impl Body {
    fn event(&mut self, name: &str, data: &str) {
        if !name.is_empty() {
            self.bytes.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        self.bytes.extend_from_slice(format!("data: {data}\n\n").as_bytes());
        self.event_ends.push(self.bytes.len());
    }
}

/// The answer to `request` as an upstream of `wire` gives it.
pub(super) fn answer(wire: Wire, marker: &str, request: &[u8]) -> Body {
    let request = String::from_utf8_lossy(request);
    let has = |name: &str| request.contains(&format!("\"{name}\":true")) || request.contains(&format!("\"{name}\": true"));
    let skip = prefilled(&request);
    match (wire, has("stream")) {
        (Wire::Chat, true) => chat_stream(marker, skip, has("include_usage")),
        (Wire::Messages, true) => messages_stream(marker, skip),
        (wire, false) => Body { bytes: whole(wire, &text(marker)[skip..]).into_bytes(), event_ends: Vec::new() },
    }
}

/// Bytes of the answer that an assistant prefill already holds.
fn prefilled(request: &str) -> usize {
    let Some(at) = request.find("\"0.mk") else { return 0 };
    request[at + 1..].find('"').unwrap_or(0)
}

/// The words behind the first `skip` bytes, the first of them perhaps cut.
fn rest(marker: &str, skip: usize) -> impl Iterator<Item = String> {
    let mut skip = skip;
    words(marker).filter_map(move |word| {
        let cut = skip.min(word.len());
        skip -= cut;
        (cut < word.len()).then(|| word[cut..].to_owned())
    })
}

fn chat_stream(marker: &str, skip: usize, wants_usage: bool) -> Body {
    let mut body = Body { bytes: Vec::new(), event_ends: Vec::new() };
    let head = "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[";
    body.event("", &format!("{head}{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},\"finish_reason\":null}}]}}"));
    for word in rest(marker, skip) {
        body.event("", &format!("{head}{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}]}}"));
    }
    body.event("", &format!("{head}{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}"));
    if wants_usage {
        body.event("", &format!("{head}],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}}}"));
    }
    body.event("", "[DONE]");
    body
}

fn messages_stream(marker: &str, skip: usize) -> Body {
    let mut body = Body { bytes: Vec::new(), event_ends: Vec::new() };
    let start = "{\"type\":\"message_start\",\"message\":{\"id\":\"c1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\
        \"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}";
    body.event("message_start", start);
    body.event("content_block_start", "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
    body.event("ping", "{\"type\":\"ping\"}");
    for word in rest(marker, skip) {
        let data = format!("{{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}");
        body.event("content_block_delta", &data);
    }
    body.event("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
    let stop =
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":4}}";
    body.event("message_delta", stop);
    body.event("message_stop", "{\"type\":\"message_stop\"}");
    body
}

fn whole(wire: Wire, text: &str) -> String {
    match wire {
        Wire::Chat => format!(
            "{{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"message\":\
             {{\"role\":\"assistant\",\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}],\
             \"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}}}"
        ),
        Wire::Messages => format!(
            "{{\"id\":\"c1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}],\
             \"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{{\"input_tokens\":3,\"output_tokens\":4}}}}"
        ),
    }
}

/// What stands in the event that finishes an answer.
pub(super) fn finish(wire: Wire) -> &'static [u8] {
    match wire {
        Wire::Chat => b"\"finish_reason\":\"stop\"",
        Wire::Messages => b"\"stop_reason\":\"end_turn\"",
    }
}

/// An error inside a stream, as a provider reports it.
pub(super) fn in_band_error(wire: Wire) -> &'static [u8] {
    match wire {
        Wire::Chat => b"data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
        Wire::Messages => b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"boom\"}}\n\n",
    }
}

/// What a client read out of a stream.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub text: String,
    pub error_count: usize,
    /// Events behind an error event.
    pub after_error: usize,
    pub end_markers: usize,
}

/// Reads a stream as an SDK does: whole events, JSON that ends.
pub(super) fn read_stream(wire: Wire, body: &[u8]) -> Read {
    let mut read = Read::default();
    let body = String::from_utf8_lossy(body);
    // What follows the last blank line is no event.
    let Some((events, _)) = body.rsplit_once("\n\n") else { return read };
    for event in events.split("\n\n").filter(|event| !event.is_empty()) {
        read.after_error += usize::from(read.error_count > 0);
        let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
        let is_error = data.starts_with("{\"error\"") || data.starts_with("{\"type\":\"error\"");
        read.error_count += usize::from(is_error);
        read.end_markers += usize::from(data == "[DONE]" || data.contains("\"message_stop\""));
        if !is_error && data.ends_with('}') {
            let _ = write!(read.text, "{}", content(wire, data));
        }
    }
    read
}

/// The text of a whole answer or of one event.
pub(super) fn content(wire: Wire, json: &str) -> &str {
    let key = match wire {
        Wire::Chat => "\"content\":\"",
        Wire::Messages => "\"text\":\"",
    };
    let Some(at) = json.find(key) else { return "" };
    let text = &json[at + key.len()..];
    &text[..text.find('"').unwrap_or(0)]
}
