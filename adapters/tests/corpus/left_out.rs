//! The one list of what is left out, each with its reason.

use serde_json::Value;

use crate::apis::{Reads, Says};
use crate::load::{Exchange, Part, Reply};

/// A translation that reports a loss of meaning is refused by the gateway; its text is then not compared.
pub const LOSS_OF_MEANING: &str = "a loss of meaning is reported, which the gateway refuses";
/// A request that its provider answered with an error is not translated.
pub const REFUSED: &str = "a request that its provider refused is decoded, but not translated";

struct LeftOut {
    reason: &'static str,
    is: fn(&Exchange, Part) -> bool,
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        reason: "the recording has no request, or one that is no JSON object",
        is: |exchange, part| part == Part::Request && exchange.request.is_none(),
    },
    LeftOut {
        reason: "the recording has no answer body",
        is: |exchange, part| part == Part::Answer && exchange.status < 400 && matches!(exchange.reply, Reply::Empty),
    },
    LeftOut {
        reason: "a count, no generated answer: only its request is read",
        is: |exchange, part| part == Part::Answer && exchange.status < 400 && exchange.row.reads == Reads::Requests,
    },
    LeftOut {
        reason: "the recorded stream has no finish reason: incomplete by the design's rule, so it gives UpstreamCut",
        is: |exchange, part| {
            let Reply::Stream { bytes, .. } = &exchange.reply else { return false };
            let text = String::from_utf8_lossy(bytes);
            let has_finish = ["\"finish_reason\":\"", "\"finish_reason\": \"", "\"error\""].iter().any(|mark| text.contains(mark));
            part == Part::Answer && exchange.row.is("openai-chat") && !has_finish
        },
    },
    LeftOut {
        reason: "an answer of another API of gemini's (a cached content, a session of the Live API, an embedding): nothing generated",
        is: |exchange, part| {
            let is_other = match &exchange.reply {
                Reply::Json(body) => !["candidates", "promptFeedback", "error"].iter().any(|name| body.get(name).is_some()),
                Reply::Events(lines) => lines.iter().any(|line| line.contains("\"serverContent\"")),
                _ => false,
            };
            part == Part::Answer && exchange.row.is("gemini") && is_other
        },
    },
    LeftOut {
        reason: "a hand-made answer whose status is no word of the API (`complete`)",
        is: |exchange, part| part == Part::Answer && matches!(&exchange.reply, Reply::Json(body) if body["status"] == "complete"),
    },
    LeftOut {
        reason: "an answer of another API (skills, speech, pages), filed under this one's name",
        is: |exchange, part| part == Part::Answer && is_strange(exchange),
    },
    LeftOut {
        reason: "two streams are joined, or an event is broken in two: hand-made, or by the recorder",
        is: |exchange, part| match &exchange.reply {
            Reply::Events(lines) if part == Part::Answer => {
                let is_broken = lines.iter().any(|line| serde_json::from_str::<Value>(line).is_err());
                let mut starts = lines.iter().filter(|line| ["response.created", "message_start"].iter().any(|name| line.contains(name)));
                is_broken || starts.next().is_some_and(|first| starts.any(|other| other != first))
            }
            _ => false,
        },
    },
    LeftOut {
        reason: "the recorder kept the events of a binary stream without their frames",
        is: |exchange, part| {
            part == Part::Answer
                && exchange.row.says == Says::InPath
                && matches!(exchange.reply, Reply::Events(_))
                && exchange.api != "generateContent"
        },
    },
    LeftOut {
        reason: "an InvokeModel body of a family other than Anthropic's is carried untouched: only what it used is read",
        is: |exchange, part| {
            let is_error = part == Part::Answer && exchange.status >= 400;
            let is_anthropic = exchange.request.as_ref().is_some_and(|body| body.get("anthropic_version").is_some());
            exchange.row.is("bedrock-invoke") && !is_error && !is_anthropic
        },
    },
];

/// Without a request nothing tells it but its shape.
fn is_strange(exchange: &Exchange) -> bool {
    match &exchange.reply {
        Reply::Json(body) if exchange.request.is_none() => {
            let known = ["choices", "content", "output", "candidates", "message", "error", "generations"];
            exchange.method.is_empty() && !known.iter().any(|name| body.get(*name).is_some())
        }
        Reply::Events(lines) => lines.iter().any(|line| line.contains("\"type\":\"session.")),
        _ => false,
    }
}

/// This build has no codec of its dialect.
const NO_DIALECT: &str = "no codec of this dialect is part of the program";

pub fn reason(exchange: &Exchange, part: Part) -> Option<&'static str> {
    if let (Reads::Errors(reason), true) = (exchange.row.reads, part == Part::Request || exchange.status < 400) {
        return Some(reason);
    }
    if exchange.row.dialect(exchange).is_none() {
        return Some(NO_DIALECT);
    }
    LEFT_OUT.iter().find(|row| (row.is)(exchange, part)).map(|row| row.reason)
}
