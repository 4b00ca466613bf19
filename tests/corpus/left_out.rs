//! The one list of what is not sent or not compared, each with its reason.

use crate::apis::{self, Names};
use crate::load::{Answer, Exchange};

struct LeftOut {
    reason: &'static str,
    is: fn(&Exchange) -> bool,
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut { reason: "the list of models is the gateway's own, not a provider's", is: |exchange| exchange.api == "models" },
    LeftOut {
        reason: "no door of its own: carried untouched under /passthrough, which this suite does not walk through",
        is: |exchange| exchange.row.is_none(),
    },
    LeftOut {
        reason: "voyage's rankings have another form than the door's: they are written anew, which e2e tests look at",
        is: |exchange| exchange.provider == "voyage" && exchange.api == "rerank",
    },
    LeftOut { reason: "the recording has no request body that is JSON", is: |exchange| exchange.body.is_none() },
    LeftOut {
        reason: "the provider's file has no such API in this dialect: the gateway would translate it, or has no codec of it",
        is: |exchange| exchange.row.is_none_or(|row| !row.is_served(apis::provider(&exchange.provider))),
    },
    LeftOut {
        reason: "the request names a stored prompt and no model to route by",
        is: |exchange| {
            let is_in_body = exchange.row.is_some_and(|row| row.names == Names::InBody);
            is_in_body && exchange.body.as_deref().is_some_and(|body| crate::body::model(body).is_none())
        },
    },
    LeftOut {
        reason: "the recorded stream has no finish reason: it is incomplete, so the client is told (design: an answer is complete)",
        is: |exchange| {
            let marks = ["\"finish_reason\":\"", "\"finish_reason\": \""];
            let Some(Answer::Stream(text)) = &exchange.answer else { return false };
            exchange.api == "chat" && text.contains("\"choices\"") && !marks.iter().any(|mark| text.contains(mark))
        },
    },
    LeftOut {
        reason: "an answer of 200 that holds a refusal gets the status of one",
        is: |exchange| exchange.status == 200 && exchange.answer_text().trim_start().starts_with("{\"error\": {"),
    },
    LeftOut {
        reason: "a stream that is an error from its first event on is tried again",
        is: |exchange| {
            let Some(Answer::Stream(text)) = &exchange.answer else { return false };
            let first = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
            first.trim_start().starts_with("{\"error\"")
        },
    },
    LeftOut {
        reason: "an older API with a stream of its own form (`value`), which has no finish reason",
        is: |exchange| matches!(&exchange.answer, Some(Answer::Stream(text)) if text.starts_with("data: {\"value\":")),
    },
    LeftOut { reason: "the recording has no answer body", is: |exchange| exchange.answer.is_none() },
    LeftOut {
        reason: "the recorder kept a binary stream as base64 text, which is not what the provider sent",
        is: |exchange| matches!(&exchange.answer, Some(Answer::Whole(text)) if text.starts_with("AAA")),
    },
];

pub fn reason(exchange: &Exchange) -> Option<&'static str> {
    LEFT_OUT.iter().find(|row| (row.is)(exchange)).map(|row| row.reason)
}
