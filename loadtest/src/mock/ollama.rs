//! Ollama's own chat, whole and as lines.
//!
//! Shapes from github.com/ollama/ollama/blob/main/docs/api.md, read 2026-11-20.

use serde_json::{Value, json};

use super::answer::{Answer, Stop};
use super::wire::{Piece, PieceRole};

const CREATED_AT: &str = "2026-11-20T12:00:00.123456Z";

pub(super) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.text()});
    if let Some(thinking) = &answer.thinking {
        message["thinking"] = json!(thinking);
    }
    if !answer.calls.is_empty() {
        message["content"] = json!("");
        message["tool_calls"] = json!(calls(answer));
    }
    finished(answer, message)
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let line = |message: Value| json!({"model": answer.model, "created_at": CREATED_AT, "message": message, "done": false});
    let mut pieces = Vec::new();
    if let Some(thinking) = &answer.thinking {
        pieces.push(Piece::line(PieceRole::Text, &line(json!({"role": "assistant", "content": "", "thinking": thinking}))));
    }
    for text in &answer.pieces {
        pieces.push(Piece::line(PieceRole::Text, &line(json!({"role": "assistant", "content": text}))));
    }
    for call in calls(answer) {
        pieces.push(Piece::line(PieceRole::Text, &line(json!({"role": "assistant", "content": "", "tool_calls": [call]}))));
    }
    pieces.push(Piece::line(PieceRole::Done, &finished(answer, json!({"role": "assistant", "content": ""}))));
    pieces
}

/// The line of a stream that began well.
pub(super) fn inband() -> Value {
    json!({"error": "an error was encountered while running the model: CUDA error"})
}

/// Calls have ids since Ollama 0.12.
fn calls(answer: &Answer) -> Vec<Value> {
    let each = answer.calls.iter().enumerate();
    each.map(|(index, call)| {
        json!({"id": format!("call_{}", call.id), "function": {"index": index, "name": call.name, "arguments": call.arguments}})
    })
    .collect()
}

fn finished(answer: &Answer, message: Value) -> Value {
    let reason = if answer.stop == Stop::Length { "length" } else { "stop" };
    json!({"model": answer.model, "created_at": CREATED_AT, "message": message, "done": true, "done_reason": reason,
        "total_duration": 5_645_304_708_u64, "load_duration": 55_095_250, "prompt_eval_count": answer.usage.input,
        "prompt_eval_duration": 710_671_250, "eval_count": answer.usage.output, "eval_duration": 4_466_025_455_u64})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_one_value_and_the_last_says_done() {
        let pieces = stream(&Answer::plain("m", 2, None));
        let lines: Vec<Value> = pieces.iter().map(|piece| serde_json::from_slice(&piece.bytes).unwrap()).collect();
        assert!(pieces.iter().all(|piece| piece.bytes.ends_with(b"\n")));
        assert_eq!((lines.len(), &lines[2]["done"], &lines[2]["eval_count"]), (3, &json!(true), &json!(2)));
    }
}
