//! Cohere's chat v2, whole and streamed.
//!
//! Shapes from docs.cohere.com/v2/reference/chat and chat-stream, read 2026-11-20.

use serde_json::{Value, json};

use super::answer::{Answer, Stop, ToolCall};
use super::chat::halves;
use super::wire::{Piece, PieceRole};

const ID: &str = "mock0000-0000-0000-0000-000000000000";
const PLAN: &str = "I will use a tool.";

pub(super) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant"});
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking}));
    }
    if answer.calls.is_empty() {
        content.push(json!({"type": "text", "text": answer.text()}));
    } else {
        message["tool_plan"] = json!(PLAN);
        message["tool_calls"] = answer.calls.iter().map(|tool_call| call(tool_call, &tool_call.arguments.to_string())).collect();
    }
    if !content.is_empty() {
        message["content"] = json!(content);
    }
    json!({"id": ID, "message": message, "finish_reason": finish_reason(answer.stop), "usage": usage(answer)})
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut push = |role, event: Value| pieces.push(Piece::named(role, &event));
    let opening = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    push(PieceRole::Frame, json!({"type": "message-start", "id": ID, "delta": {"message": opening}}));
    let mut index = 0;
    if let Some(thinking) = &answer.thinking {
        push(PieceRole::Frame, content("content-start", index, json!({"type": "thinking", "thinking": ""})));
        for part in halves(thinking) {
            push(PieceRole::Text, content("content-delta", index, json!({"thinking": part})));
        }
        push(PieceRole::Frame, json!({"type": "content-end", "index": index}));
        index += 1;
    }
    if answer.calls.is_empty() {
        push(PieceRole::Frame, content("content-start", index, json!({"type": "text", "text": ""})));
        for text in &answer.pieces {
            push(PieceRole::Text, content("content-delta", index, json!({"text": text})));
        }
        push(PieceRole::Frame, json!({"type": "content-end", "index": index}));
    } else {
        for part in halves(PLAN) {
            push(PieceRole::Text, json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": part}}}));
        }
    }
    for (index, tool_call) in answer.calls.iter().enumerate() {
        let calls = |kind: &str, call: Value| json!({"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}});
        push(PieceRole::Frame, calls("tool-call-start", call(tool_call, "")));
        for part in halves(&tool_call.arguments.to_string()) {
            push(PieceRole::Text, calls("tool-call-delta", json!({"function": {"arguments": part}})));
        }
        push(PieceRole::Frame, json!({"type": "tool-call-end", "index": index}));
    }
    let delta = json!({"finish_reason": finish_reason(answer.stop), "usage": usage(answer)});
    push(PieceRole::Done, json!({"type": "message-end", "delta": delta}));
    pieces.push(Piece { bytes: b"data: [DONE]\n\n".to_vec(), role: PieceRole::Done });
    pieces
}

/// The event of a stream that began well.
pub(super) fn inband() -> Value {
    json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "The server had an error while processing your request."}})
}

fn content(kind: &str, index: usize, content: Value) -> Value {
    json!({"type": kind, "index": index, "delta": {"message": {"content": content}}})
}

fn call(tool_call: &ToolCall, arguments: &str) -> Value {
    json!({"id": format!("{}_{}", tool_call.name, tool_call.id), "type": "function",
        "function": {"name": tool_call.name, "arguments": arguments}})
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "COMPLETE",
        Stop::Length => "MAX_TOKENS",
        Stop::Tool => "TOOL_CALL",
    }
}

/// Its own prompt template is counted, but not billed.
fn usage(answer: &Answer) -> Value {
    const TEMPLATE_TOKENS: u32 = 500;
    let usage = answer.usage;
    json!({"billed_units": {"input_tokens": usage.input, "output_tokens": usage.output},
        "tokens": {"input_tokens": usage.input + TEMPLATE_TOKENS, "output_tokens": usage.output}, "cached_tokens": usage.cached})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_ends_with_its_reason_and_what_is_billed() {
        let text: String =
            stream(&Answer::plain("m", 2, None)).iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect();
        assert!(text.starts_with("event: message-start\n") && text.ends_with("data: [DONE]\n\n"));
        assert!(text.contains(r#""billed_units":{"input_tokens":10,"output_tokens":2}"#));
    }
}
