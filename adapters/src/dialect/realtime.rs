//! Sessions of OpenAI's Realtime API: what their events say of usage, how an error is told in one, where browsers put their key.
//!
//! Recorded sessions of api.openai.com, *.openai.azure.com and api.x.ai, read 2026-11-20.
//!
//! Estimate per event: one pass over its top level; of an event with text a copy of that text.

use super::seen::Seen;
use crate::fault::Fault;
use crate::json::patch::write_string;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::usage::Usage;

/// Browsers cannot set header fields, so their key stands among the subprotocols, behind this.
// platform.openai.com/docs/guides/realtime-websocket, read 2026-11-20
pub const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// The header field in which a client offers its subprotocols, split by commas.
pub const PROTOCOL_FIELD: &str = "sec-websocket-protocol";

/// Query parameters that name the model, in the order in which they count; Azure's preview has the second.
// learn.microsoft.com/azure/ai-foundry/openai/how-to/realtime-audio-websockets, read 2026-11-20
pub const MODEL_PARAMETERS: &[&str] = &["model", "deployment"];

/// Events that bring generated text in `delta`.
const TEXTS: &[&[u8]] = &[
    b"response.output_text.delta",
    b"response.text.delta",
    b"response.output_audio_transcript.delta",
    b"response.audio_transcript.delta",
    b"response.function_call_arguments.delta",
];

/// The event that ends an answer, with what it used.
const ANSWERED: &[u8] = b"response.done";

/// The key among subprotocols that a client offers.
pub fn key_of(protocols: &str) -> Option<&str> {
    protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix(KEY_PROTOCOL))
}

/// The other subprotocols, to be offered to the provider; empty where there are none.
pub fn without_key(protocols: &str) -> String {
    let others: Vec<&str> =
        protocols.split(',').map(str::trim).filter(|name| !name.is_empty() && !name.starts_with(KEY_PROTOCOL)).collect();
    others.join(", ")
}

/// Reads the events of a session as they go by.
#[derive(Default)]
pub struct Session {
    /// Of the answers that ended.
    told: Usage,
    /// Answers that ended without a figure were counted.
    is_counted: bool,
    /// The answer that runs.
    open: Seen,
    text_bytes: u64,
    event_count: u64,
}

/// What an event was to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer ended: the session has come to more.
    Answered,
    Other,
}

impl Session {
    /// Takes one event; what is none is passed over.
    pub fn take(&mut self, message: &[u8]) -> Event {
        let kind = kind(message);
        if TEXTS.contains(&kind) {
            let before = self.open.text_bytes;
            let _ = Cursor::new(message).object(|key, value| match key {
                b"delta" => self.open.take_string(value).map(drop),
                _ => Ok(()),
            });
            self.event_count += 1;
            self.text_bytes += self.open.text_bytes - before;
            return Event::Other;
        }
        if kind != ANSWERED {
            return Event::Other;
        }
        match usage(message).filter(|usage| usage.total() > 0) {
            Some(usage) => add(&mut self.told, &usage),
            None => {
                self.is_counted |= self.open.text_bytes > 0;
                self.told.output += self.open.delivered_tokens();
            }
        }
        self.open = Seen::default();
        Event::Answered
    }

    /// What the session has come to. Of an answer that runs its text counts, by a tokenizer; of its audio nobody knows yet.
    pub fn seen(&self) -> Seen {
        let mut usage = self.told;
        usage.output += self.open.delivered_tokens();
        let mut seen = Seen::without_text();
        (seen.text_bytes, seen.event_count) = (self.text_bytes, self.event_count);
        // Every figure is the provider's own, or the text that it is counted from goes along.
        seen.finished = !self.is_counted && self.open.text_bytes == 0;
        seen.usage = Some(usage);
        seen
    }
}

/// The event's `type`.
fn kind(message: &[u8]) -> &[u8] {
    let mut kind: &[u8] = b"";
    let _ = Cursor::new(message).object(|key, value| {
        if key == b"type" && kind.is_empty() {
            kind = value.raw_string()?.unwrap_or_default();
        }
        Ok(())
    });
    kind
}

/// `response.usage`.
fn usage(message: &[u8]) -> Option<Usage> {
    let mut found = None;
    let _ = Cursor::new(message).object(|key, value| {
        if key != b"response" || value.peek_type()? != Type::Object {
            return Ok(());
        }
        value.object(|key, value| {
            if key == b"usage" && value.peek_type()? == Type::Object {
                let mut usage = Usage::default();
                value.object(|key, value| figure(&mut usage, b"", key, value))?;
                found = Some(usage);
            }
            Ok(())
        })
    });
    found
}

fn figure(usage: &mut Usage, group: &[u8], name: &[u8], value: &mut Cursor<'_>) -> Result<(), Malformed> {
    let place = match (group, name) {
        (b"", b"input_token_details" | b"output_token_details") if value.peek_type()? == Type::Object => {
            let group = name.to_vec();
            return value.object(|key, value| figure(usage, &group, key, value));
        }
        (b"", b"input_tokens") => &mut usage.input,
        (b"", b"output_tokens") => &mut usage.output,
        (b"input_token_details", b"cached_tokens") => &mut usage.cached_read,
        (b"input_token_details", b"audio_tokens") => &mut usage.audio_input,
        (b"input_token_details", b"image_tokens") => &mut usage.image_input,
        (b"output_token_details", b"audio_tokens") => &mut usage.audio_output,
        (b"output_token_details", b"reasoning_tokens") => &mut usage.reasoning,
        _ => return Ok(()),
    };
    if value.peek_type()? == Type::Number {
        *place = value.u64()?.unwrap_or(0);
    }
    Ok(())
}

fn add(sum: &mut Usage, more: &Usage) {
    for (sum, more) in [
        (&mut sum.input, more.input),
        (&mut sum.output, more.output),
        (&mut sum.cached_read, more.cached_read),
        (&mut sum.audio_input, more.audio_input),
        (&mut sum.image_input, more.image_input),
        (&mut sum.audio_output, more.audio_output),
        (&mut sum.reasoning, more.reasoning),
    ] {
        *sum = sum.saturating_add(more);
    }
}

/// The event that tells a session why it ends.
pub fn error_event(fault: &Fault, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"error\",\"event_id\":\"event_ringway\",\"error\":{\"type\":");
    let class = if fault.status() < 500 { "invalid_request_error" } else { "server_error" };
    write_string(class, out);
    out.extend_from_slice(b",\"code\":");
    write_string(fault.code.as_deref().unwrap_or_else(|| fault.kind.code()), out);
    out.extend_from_slice(b",\"message\":");
    write_string(&fault.message, out);
    out.extend_from_slice(b",\"param\":null,\"event_id\":null}}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;
    use crate::usage::Provenance;

    /// Recorded at api.openai.com.
    const DONE: &[u8] = br#"{"type":"response.done","event_id":"event_E6U0","response":{"object":"realtime.response","id":"resp_E6","status":"completed","output":[],"usage":{"total_tokens":205,"input_tokens":41,"output_tokens":164,"input_token_details":{"text_tokens":14,"audio_tokens":27,"image_tokens":0,"cached_tokens":8,"cached_tokens_details":{"text_tokens":0,"audio_tokens":8,"image_tokens":0}},"output_token_details":{"text_tokens":28,"audio_tokens":136}}}}"#;

    fn delta(text: &str) -> Vec<u8> {
        format!(r#"{{"type":"response.output_audio_transcript.delta","response_id":"r","delta":"{text}","obfuscation":"x"}}"#).into_bytes()
    }

    #[test]
    fn usage_adds_up_over_the_answers_of_a_session() {
        let mut session = Session::default();
        for _ in 0..2 {
            assert_eq!(session.take(&delta("hello you")), Event::Other);
            assert_eq!(session.take(br#"{"type":"response.output_audio.delta","delta":"AAAA"}"#), Event::Other);
            assert_eq!(session.take(DONE), Event::Answered);
        }
        let bill = session.seen().bill();
        let expected = Usage { input: 82, output: 328, cached_read: 16, audio_input: 54, audio_output: 272, ..Usage::default() };
        assert_eq!((bill.usage, bill.provenance, bill.lacks_input), (expected, Provenance::Provider, false));
        // An answer that is cut counts the text that was delivered.
        session.take(&delta("one two three four"));
        let bill = session.seen().bill();
        assert!(bill.usage.output > 328 && bill.provenance == Provenance::Delivered, "{bill:?}");
    }

    #[test]
    fn an_answer_without_figures_is_counted() {
        let mut session = Session::default();
        session.take(&delta("one two three four"));
        assert_eq!(session.take(br#"{"type":"response.done","response":{"usage":{}}}"#), Event::Answered);
        let bill = session.seen().bill();
        assert!((2..10).contains(&bill.usage.output) && bill.provenance == Provenance::Delivered, "{bill:?}");
    }

    #[test]
    fn what_is_no_event_says_nothing() {
        let mut session = Session::default();
        for message in
            [&b""[..], b"[]", b"{", br#"{"type":7}"#, br#"{"type":"response.done"}"#, br#"{"type":"response.done","response":[]}"#]
        {
            session.take(message);
        }
        assert_eq!(session.seen().bill().usage, Usage::default());
    }

    #[test]
    fn a_browsers_key_stands_among_its_protocols() {
        let offered = "realtime, openai-insecure-api-key.rw-key,openai-beta.realtime-v1";
        assert_eq!(key_of(offered), Some("rw-key"));
        assert_eq!(without_key(offered), "realtime, openai-beta.realtime-v1");
        assert_eq!((key_of("realtime"), without_key("openai-insecure-api-key.k").as_str()), (None, ""));
    }

    #[test]
    fn an_error_is_an_event_of_the_session() {
        let mut out = Vec::new();
        error_event(&Fault::new(Kind::BudgetExceeded, "the \"budget\" is used up"), &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((value["type"].as_str(), value["error"]["code"].as_str()), (Some("error"), Some("budget_exceeded")));
    }
}
