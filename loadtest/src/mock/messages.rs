//! Anthropic Messages, whole and streamed.
//!
//! Shapes from docs.anthropic.com/en/api/messages and messages-streaming, read 2026-11-20.

use serde_json::{Value, json};

use super::answer::{Answer, SIGNATURE, Stop, ToolCall};
use super::chat::halves;
use super::wire::{Piece, PieceRole};

pub(super) fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE}));
    }
    if answer.calls.is_empty() {
        content.push(json!({"type": "text", "text": answer.text()}));
    }
    content.extend(answer.calls.iter().map(|tool_call| tool_use(tool_call, tool_call.arguments.clone())));
    let mut message = envelope(answer);
    message["content"] = json!(content);
    message["stop_reason"] = json!(stop_reason(answer.stop));
    message["usage"] = usage(answer, answer.usage.output);
    message
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut push = |role, event: Value| pieces.push(Piece::named(role, &event));
    let mut opening = envelope(answer);
    opening["usage"] = usage(answer, 1);
    push(PieceRole::Frame, json!({"type": "message_start", "message": opening}));
    let mut block_index = 0;
    if let Some(thinking) = &answer.thinking {
        let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
        push(PieceRole::Frame, start(0, json!({"type": "thinking", "thinking": "", "signature": ""})));
        for part in halves(thinking) {
            push(PieceRole::Text, delta(json!({"type": "thinking_delta", "thinking": part})));
        }
        push(PieceRole::Frame, delta(json!({"type": "signature_delta", "signature": SIGNATURE})));
        push(PieceRole::Frame, json!({"type": "content_block_stop", "index": 0}));
        block_index = 1;
    }
    if answer.calls.is_empty() {
        push(PieceRole::Frame, start(block_index, json!({"type": "text", "text": ""})));
        push(PieceRole::Frame, json!({"type": "ping"}));
        for text in &answer.pieces {
            let delta = json!({"type": "text_delta", "text": text});
            push(PieceRole::Text, json!({"type": "content_block_delta", "index": block_index, "delta": delta}));
        }
        push(PieceRole::Frame, json!({"type": "content_block_stop", "index": block_index}));
    }
    for (offset, tool_call) in answer.calls.iter().enumerate() {
        let index = block_index + offset;
        push(PieceRole::Frame, start(index, tool_use(tool_call, json!({}))));
        for part in halves(&tool_call.arguments.to_string()) {
            let delta = json!({"type": "input_json_delta", "partial_json": part});
            push(PieceRole::Text, json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        push(PieceRole::Frame, json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": stop_reason(answer.stop), "stop_sequence": null});
    push(PieceRole::Frame, json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": answer.usage.output}}));
    push(PieceRole::Done, json!({"type": "message_stop"}));
    pieces
}

fn envelope(answer: &Answer) -> Value {
    json!({"id": "msg_mock0000000000000000000", "type": "message", "role": "assistant", "model": answer.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {}})
}

fn start(index: usize, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn tool_use(tool_call: &ToolCall, input: Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{}", tool_call.id), "name": tool_call.name, "input": input})
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Tool => "tool_use",
    }
}

/// Here the input figure leaves out what the cache gave and took.
fn usage(answer: &Answer, output: u32) -> Value {
    let usage = answer.usage;
    json!({"input_tokens": usage.input - usage.cached - usage.written, "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written, "ephemeral_1h_input_tokens": 0}, "output_tokens": output,
        "service_tier": answer.tier.as_deref().unwrap_or("standard")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_comes_first_and_is_signed() {
        let mut answer = Answer::plain("m", 1, None);
        answer.thinking = Some("hm".to_owned());
        assert_eq!(whole(&answer)["content"][0]["signature"], SIGNATURE);
        let text: String = stream(&answer).iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect();
        assert!(text.find("signature_delta").unwrap() < text.find("text_delta").unwrap());
        assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    }
}
