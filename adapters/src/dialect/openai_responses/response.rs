//! The response object around the output, as it stands in a whole answer and in the events of a stream.

use serde_json::Map;

use super::{ME, usage};
use crate::dialect::openai::error;
use crate::event::Finish;
use crate::fault::Fault;
use crate::frame::sse;
use crate::ir::Extra;
use crate::json::node::{Node, Object};
use crate::json::write;
use crate::usage::Usage;

/// Members that the SDKs expect, for an answer of another dialect.
const DEFAULTS: &[u8] = br#","instructions":null,"max_output_tokens":null,"metadata":{},"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"store":false,"temperature":null,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":null,"truncation":"disabled","user":null"#;

/// What is known when the answer begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created: u64,
    pub(super) extra: Extra,
}

/// How far a response is.
pub(super) enum State<'s> {
    InProgress,
    /// The output as JSON items with commas between them.
    Over {
        reason: &'s Finish,
        extra: &'s Extra,
        output: &'s [u8],
        usage: Option<&'s (Usage, Extra)>,
    },
    Failed {
        fault: &'s Fault,
    },
}

/// `status`, and `incomplete_details.reason` where the answer was cut short.
pub(super) fn status(reason: &Finish) -> (&str, Option<&'static str>) {
    match reason {
        Finish::Length | Finish::ContextWindow => ("incomplete", Some("max_output_tokens")),
        Finish::ContentFilter | Finish::Refusal => ("incomplete", Some("content_filter")),
        Finish::Other(word) if matches!(word.as_str(), "queued" | "in_progress" | "cancelled") => (word, None),
        _ => ("completed", None),
    }
}

/// The object, where a value may stand.
pub(super) fn write(head: &Head, state: &State<'_>, out: &mut Vec<u8>) {
    let none = Map::new();
    let (status, incomplete, output, later) = match state {
        State::InProgress => ("in_progress", None, &b""[..], &none),
        State::Failed { .. } => ("failed", None, &b""[..], &none),
        State::Over { reason, extra, output, .. } => {
            let (status, incomplete) = status(reason);
            (status, incomplete, *output, extra.of(ME).unwrap_or(&none))
        }
    };
    write::open(out);
    write::text(out, "id", &head.id);
    write::text(out, "object", "response");
    write::uint(out, "created_at", head.created);
    write::text(out, "status", status);
    write::key(out, "error");
    match state {
        State::Failed { fault } => {
            write::open(out);
            write::text(out, "code", fault.code());
            write::text(out, "message", &fault.message);
            write::close(out);
        }
        _ => out.extend_from_slice(b"null"),
    }
    if !later.contains_key("incomplete_details") {
        write::key(out, "incomplete_details");
        match incomplete {
            Some(reason) => {
                write::open(out);
                write::text(out, "reason", reason);
                write::close(out);
            }
            None => out.extend_from_slice(b"null"),
        }
    }
    write::text(out, "model", &head.model);
    write::key(out, "output");
    out.push(b'[');
    out.extend_from_slice(output);
    out.push(b']');
    write::key(out, "usage");
    match state {
        State::Over { usage: Some((figure, extra)), .. } => usage::encode(figure, extra, out),
        _ => out.extend_from_slice(b"null"),
    }
    if head.extra.dialect == Some(ME) {
        let unchanged = |name: &String| !later.contains_key(name);
        head.extra.fields.iter().filter(|(name, _)| unchanged(name)).for_each(|(name, value)| write::value(out, name, value));
    } else {
        out.extend_from_slice(DEFAULTS);
    }
    write::members(out, later);
    write::close(out);
}

/// Begins an event; its members follow, then `end_event`.
pub(super) fn begin_event(name: &str, sequence: u64, out: &mut Vec<u8>) {
    sse::begin_event(out, name);
    out.push(b'{');
    write::text(out, "type", name);
    write::uint(out, "sequence_number", sequence);
}

pub(super) fn end_event(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n\n");
}

/// The one error event of a stream.
pub(super) fn failed_event(head: &Head, sequence: u64, fault: &Fault, out: &mut Vec<u8>) {
    begin_event("response.failed", sequence, out);
    write::key(out, "response");
    let named = Head { id: if head.id.is_empty() { "resp_failed".to_owned() } else { head.id.clone() }, ..head.clone() };
    write(&named, &State::Failed { fault }, out);
    end_event(out);
}

/// The fault of a failed response; `error` may be anything.
pub(super) fn fault(error: Option<Node<'_>>) -> Fault {
    error::in_band(error.unwrap_or(Node::Object(Object::default())))
}

/// Members of the response that the hub has words for; what is left is the dialect's own.
pub(super) const KNOWN: &[&str] = &["object", "status", "output", "usage", "error", "incomplete_details", "output_text"];
