//! OpenAI chat completions, whole and streamed.
//!
//! Shapes from platform.openai.com/docs/api-reference/chat, read 2026-11-20.

use serde_json::{Value, json};

use super::answer::{Answer, Stop, ToolCall, Usage};
use super::wire::{Piece, PieceRole};

const ID: &str = "chatcmpl-mock0000000000000000000000";
const CREATED: u64 = 1_760_000_000;

pub(super) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.text(), "refusal": null, "annotations": []});
    if !answer.calls.is_empty() {
        message["content"] = Value::Null;
        message["tool_calls"] = answer.calls.iter().map(call).collect();
    }
    json!({
        "id": ID, "object": "chat.completion", "created": CREATED, "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(answer.stop)}],
        "usage": usage(answer.usage), "service_tier": tier(answer), "system_fingerprint": "fp_mock",
    })
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut pieces = vec![delta(answer, PieceRole::Frame, json!({"role": "assistant", "content": "", "refusal": null}), None)];
    for text in &answer.pieces {
        pieces.push(delta(answer, PieceRole::Text, json!({"content": text}), None));
    }
    for (index, tool_call) in answer.calls.iter().enumerate() {
        let arguments = tool_call.arguments.to_string();
        let mut first = call(tool_call);
        first["index"] = json!(index);
        first["function"]["arguments"] = json!("");
        pieces.push(delta(answer, PieceRole::Text, json!({"tool_calls": [first]}), None));
        for part in halves(&arguments) {
            pieces.push(delta(answer, PieceRole::Text, json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]}), None));
        }
    }
    pieces.push(delta(answer, PieceRole::Frame, json!({}), Some(finish_reason(answer.stop))));
    if answer.includes_usage {
        let mut last = envelope(answer);
        last["choices"] = json!([]);
        last["usage"] = usage(answer.usage);
        pieces.push(Piece::data(PieceRole::Frame, &last));
    }
    pieces.push(Piece { bytes: b"data: [DONE]\n\n".to_vec(), role: PieceRole::Done });
    pieces
}

/// Cuts a text in two at a character, as streamed arguments come in parts.
pub(super) fn halves(text: &str) -> [&str; 2] {
    let middle = (0..=text.len() / 2).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    let (left, right) = text.split_at(middle);
    [left, right]
}

fn delta(answer: &Answer, role: PieceRole, delta: Value, finish_reason: Option<&str>) -> Piece {
    let mut chunk = envelope(answer);
    chunk["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    if answer.includes_usage {
        chunk["usage"] = Value::Null;
    }
    Piece::data(role, &chunk)
}

fn envelope(answer: &Answer) -> Value {
    json!({"id": ID, "object": "chat.completion.chunk", "created": CREATED, "model": answer.model,
        "service_tier": tier(answer), "system_fingerprint": "fp_mock"})
}

fn tier(answer: &Answer) -> &str {
    answer.tier.as_deref().unwrap_or("default")
}

fn call(tool_call: &ToolCall) -> Value {
    json!({"id": format!("call_{}", tool_call.id), "type": "function",
        "function": {"name": tool_call.name, "arguments": tool_call.arguments.to_string()}})
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "stop",
        Stop::Length => "length",
        Stop::Tool => "tool_calls",
    }
}

fn usage(usage: Usage) -> Value {
    let output = usage.output + usage.reasoning;
    json!({
        "prompt_tokens": usage.input, "completion_tokens": output, "total_tokens": usage.input + output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_chunk_comes_only_when_asked_for() {
        let mut answer = Answer::plain("m", 2, None);
        let text = |answer: &Answer| String::from_utf8(stream(answer).into_iter().flat_map(|piece| piece.bytes).collect()).unwrap();
        assert!(!text(&answer).contains("usage"));
        answer.includes_usage = true;
        assert!(text(&answer).contains(r#""choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12"#));
        assert!(text(&answer).ends_with("data: [DONE]\n\n"));
    }

    #[test]
    fn a_tool_call_streams_in_parts_that_join() {
        let mut answer = Answer::plain("m", 0, None);
        answer.calls = vec![ToolCall { arguments: json!({"é": "ü"}), ..ToolCall::default() }];
        answer.stop = Stop::Tool;
        assert_eq!(whole(&answer)["choices"][0]["message"]["content"], Value::Null);
        assert_eq!(halves("{\"é\":1}").concat(), "{\"é\":1}");
        assert_eq!(stream(&answer).len(), 1 + 3 + 1 + 1);
    }
}
