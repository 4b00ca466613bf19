//! OpenAI's older text completions, whole and streamed.

use serde_json::{Value, json};

use super::answer::{Answer, Stop};
use super::wire::{Piece, PieceRole};

pub(super) fn whole(answer: &Answer) -> Value {
    let mut body = envelope(answer, &answer.text(), Some(answer.stop));
    body["usage"] = usage(answer);
    body
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = answer.pieces.iter().map(|text| Piece::data(PieceRole::Text, &envelope(answer, text, None))).collect();
    pieces.push(Piece::data(PieceRole::Frame, &envelope(answer, "", Some(answer.stop))));
    if answer.includes_usage {
        let mut last = envelope(answer, "", None);
        last["choices"] = json!([]);
        last["usage"] = usage(answer);
        pieces.push(Piece::data(PieceRole::Frame, &last));
    }
    pieces.push(Piece { bytes: b"data: [DONE]\n\n".to_vec(), role: PieceRole::Done });
    pieces
}

fn envelope(answer: &Answer, text: &str, stop: Option<Stop>) -> Value {
    let finish_reason = stop.map(|stop| if stop == Stop::Length { "length" } else { "stop" });
    json!({"id": "cmpl-mock00000000000000000000000000", "object": "text_completion", "created": 1_760_000_000, "model": answer.model,
        "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish_reason}]})
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output})
}
