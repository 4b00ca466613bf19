//! The one list of what is not sent or not compared, each with its reason.

use crate::load::Exchange;

struct LeftOut {
    reason: &'static str,
    is: fn(&Exchange) -> bool,
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut { reason: "the list of models is the gateway's own, not a provider's", is: |exchange| exchange.api == "models" },
    LeftOut { reason: "no generation: a usage report of an organization", is: |exchange| exchange.target.starts_with("/v1/organization/") },
    LeftOut {
        reason: "a stored response (get, list, delete, compact) names no model to route by",
        is: |exchange| exchange.api == "responses" && (exchange.method != "POST" || path(exchange).contains("/responses/")),
    },
    LeftOut { reason: "the recording has no request body", is: |exchange| exchange.body.is_none() },
    LeftOut {
        reason: "the request names a stored prompt and no model to route by",
        is: |exchange| exchange.body.as_deref().is_some_and(|body| crate::body::model(body).is_none()),
    },
    LeftOut {
        reason: "the recorded stream has no finish reason: it is incomplete, so the client is told (design: an answer is complete)",
        is: |exchange| {
            let marks = [&b"\"finish_reason\":\""[..], b"\"finish_reason\": \""];
            let answer = exchange.answer.as_deref().unwrap_or_default();
            exchange.is_stream && exchange.api == "chat" && !marks.iter().any(|mark| memchr::memmem::find(answer, mark).is_some())
        },
    },
    LeftOut {
        reason: "an answer of 200 that holds a refusal gets the status of one",
        is: |exchange| exchange.status == 200 && exchange.answer.as_deref().is_some_and(|answer| answer.starts_with(b"{\"error\": {")),
    },
    LeftOut { reason: "the recording has no answer body", is: |exchange| exchange.answer.is_none() },
];

pub fn reason(exchange: &Exchange) -> Option<&'static str> {
    LEFT_OUT.iter().find(|row| (row.is)(exchange)).map(|row| row.reason)
}

fn path(exchange: &Exchange) -> &str {
    exchange.target.split('?').next().unwrap_or_default()
}
