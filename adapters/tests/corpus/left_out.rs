//! The one list of what is left out, each with its reason.

use ringway_adapters::dialect::DialectId;

use crate::load::{Exchange, Part, Reply};

/// A translation that reports a loss of meaning is refused by the gateway; its text is then not compared.
pub const LOSS_OF_MEANING: &str = "a request's translation reports a loss of meaning, which the gateway refuses";
/// A request that its provider answered with an error is not translated.
pub const REFUSED: &str = "a request that its provider refused is decoded, but not translated";

struct LeftOut {
    reason: &'static str,
    is: fn(&Exchange, Part) -> bool,
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        reason: "stored responses (retrieve, list, delete, count, compact) and usage reports pass through: no chat codec is theirs",
        is: |exchange, _| {
            let is_stored = exchange.dialect == Some(DialectId::OpenaiResponses) && !exchange.path.ends_with("/responses");
            is_stored || exchange.path.contains("organization/usage") || (exchange.api == "responses" && exchange.method != "POST")
        },
    },
    LeftOut { reason: "the recording has no request body", is: |exchange, part| part == Part::Request && exchange.request.is_none() },
    LeftOut {
        reason: "the recording has no answer body",
        is: |exchange, part| part == Part::Answer && exchange.status < 400 && matches!(exchange.reply, Reply::Empty),
    },
    LeftOut {
        reason: "the recorded stream has no finish reason: incomplete by the design's rule, so it gives UpstreamCut",
        is: |exchange, part| {
            let Reply::Stream { text, .. } = &exchange.reply else { return false };
            let has_finish = ["\"finish_reason\":\"", "\"finish_reason\": \""].iter().any(|mark| text.contains(mark));
            part == Part::Answer && exchange.dialect == Some(DialectId::OpenaiChat) && !has_finish
        },
    },
    LeftOut {
        reason: "a hand-made answer whose status is no word of the API (`complete`)",
        is: |exchange, part| part == Part::Answer && matches!(&exchange.reply, Reply::Json(body) if body["status"] == "complete"),
    },
];

pub fn reason(exchange: &Exchange, part: Part) -> Option<&'static str> {
    LEFT_OUT.iter().find(|row| (row.is)(exchange, part)).map(|row| row.reason)
}
