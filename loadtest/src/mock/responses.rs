//! OpenAI Responses, whole and streamed.
//!
//! Shapes from platform.openai.com/docs/api-reference/responses and responses-streaming, read 2026-11-20.

use serde_json::{Value, json};

use super::answer::{Answer, Stop, ToolCall};
use super::chat::halves;
use super::wire::{Piece, PieceRole};

const MESSAGE_ID: &str = "msg_mock00000000000000000000000000000000";

pub(super) fn whole(answer: &Answer) -> Value {
    let output: Vec<Value> = if answer.calls.is_empty() {
        vec![message(&answer.text(), "completed")]
    } else {
        answer.calls.iter().map(|tool_call| call(tool_call, &tool_call.arguments.to_string(), "completed")).collect()
    };
    let mut response = envelope(answer, if answer.stop == Stop::Length { "incomplete" } else { "completed" });
    response["output"] = json!(output);
    response["usage"] = usage(answer);
    if answer.stop == Stop::Length {
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    response
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut out = Numbered::default();
    out.push(PieceRole::Frame, json!({"type": "response.created", "response": envelope(answer, "in_progress")}));
    out.push(PieceRole::Frame, json!({"type": "response.in_progress", "response": envelope(answer, "in_progress")}));
    if answer.calls.is_empty() {
        stream_message(&mut out, answer);
    }
    for (index, tool_call) in answer.calls.iter().enumerate() {
        stream_call(&mut out, index, tool_call);
    }
    let kind = if answer.stop == Stop::Length { "response.incomplete" } else { "response.completed" };
    out.push(PieceRole::Done, json!({"type": kind, "response": whole(answer)}));
    out.pieces
}

/// Events with their running `sequence_number`.
#[derive(Default)]
struct Numbered {
    pieces: Vec<Piece>,
}

impl Numbered {
    fn push(&mut self, role: PieceRole, mut event: Value) {
        event["sequence_number"] = json!(self.pieces.len());
        self.pieces.push(Piece::named(role, &event));
    }
}

fn stream_message(out: &mut Numbered, answer: &Answer) {
    let mut opened = message("", "in_progress");
    opened["content"] = json!([]);
    let at = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "item_id": MESSAGE_ID, "output_index": 0, "content_index": 0});
        more.as_object().into_iter().flatten().for_each(|(key, value)| event[key] = value.clone());
        event
    };
    out.push(PieceRole::Frame, json!({"type": "response.output_item.added", "output_index": 0, "item": opened}));
    out.push(PieceRole::Frame, at("response.content_part.added", json!({"part": part("")})));
    for text in &answer.pieces {
        out.push(PieceRole::Text, at("response.output_text.delta", json!({"delta": text, "logprobs": []})));
    }
    let text = answer.text();
    out.push(PieceRole::Frame, at("response.output_text.done", json!({"text": text, "logprobs": []})));
    out.push(PieceRole::Frame, at("response.content_part.done", json!({"part": part(&text)})));
    out.push(PieceRole::Frame, json!({"type": "response.output_item.done", "output_index": 0, "item": message(&text, "completed")}));
}

fn stream_call(out: &mut Numbered, index: usize, tool_call: &ToolCall) {
    let arguments = tool_call.arguments.to_string();
    let item_id = format!("fc_{}", tool_call.id);
    out.push(
        PieceRole::Frame,
        json!({"type": "response.output_item.added", "output_index": index, "item": call(tool_call, "", "in_progress")}),
    );
    for delta in halves(&arguments) {
        let event = json!({"type": "response.function_call_arguments.delta", "item_id": item_id, "output_index": index, "delta": delta});
        out.push(PieceRole::Text, event);
    }
    let done = json!({"type": "response.function_call_arguments.done", "item_id": item_id, "output_index": index,
        "name": tool_call.name, "arguments": arguments});
    out.push(PieceRole::Frame, done);
    out.push(
        PieceRole::Frame,
        json!({"type": "response.output_item.done", "output_index": index, "item": call(tool_call, &arguments, "completed")}),
    );
}

fn envelope(answer: &Answer, status: &str) -> Value {
    json!({
        "id": "resp_mock0000000000000000000000000000000", "object": "response", "created_at": 1_760_000_000, "status": status,
        "background": false, "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "model": answer.model, "output": [], "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": true, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": null, "user": null, "metadata": {},
        "service_tier": answer.tier.as_deref().unwrap_or("default"),
    })
}

fn message(text: &str, status: &str) -> Value {
    json!({"id": MESSAGE_ID, "type": "message", "status": status, "role": "assistant", "content": [part(text)]})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn call(tool_call: &ToolCall, arguments: &str, status: &str) -> Value {
    json!({"id": format!("fc_{}", tool_call.id), "type": "function_call", "status": status, "arguments": arguments,
        "call_id": format!("call_{}", tool_call.id), "name": tool_call.name})
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    let output = usage.output + usage.reasoning;
    json!({"input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning}, "total_tokens": usage.input + output})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_and_end_with_the_whole_response() {
        let pieces = stream(&Answer::plain("m", 2, None));
        let last = String::from_utf8(pieces.last().unwrap().bytes.clone()).unwrap();
        assert!(last.starts_with("event: response.completed\n"));
        assert!(last.contains(&format!(r#""sequence_number":{}"#, pieces.len() - 1)));
        assert!(last.contains("word0 word1"));
    }

    #[test]
    fn a_cut_answer_is_incomplete() {
        let answer = Answer::plain("m", 5, Some(1));
        assert_eq!(whole(&answer)["incomplete_details"]["reason"], "max_output_tokens");
        assert!(stream(&answer).last().unwrap().bytes.starts_with(b"event: response.incomplete"));
    }
}
