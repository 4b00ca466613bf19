//! Gemini's generateContent, whole and streamed, and what its requests ask for in the words of a chat request.
//!
//! Shapes from ai.google.dev/api/generate-content and recorded traffic, read 2026-11-20.

use serde_json::{Map, Value, json};

use super::answer::{Answer, SIGNATURE, Stop};
use super::chat::halves;
use super::wire::{Piece, PieceRole};

/// The model and whether it streams stand in the path: `…/models/ID:verb`.
pub(super) fn as_chat(path: &str, body: &[u8]) -> Vec<u8> {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let (before, verb) = path.rsplit_once(':').unwrap_or((path, ""));
    let model = before.rsplit('/').next().unwrap_or_default();
    let mut chat = Map::new();
    chat.insert("model".to_owned(), model.into());
    chat.insert("stream".to_owned(), verb.starts_with("stream").into());
    let config = &body["generationConfig"];
    if let Some(max) = config["maxOutputTokens"].as_u64() {
        chat.insert("max_tokens".to_owned(), max.into());
    }
    if config["thinkingConfig"]["includeThoughts"] == true {
        chat.insert("thinking".to_owned(), json!({"type": "enabled"}));
    }
    if let Some(schema) = ["responseJsonSchema", "responseSchema"].iter().find_map(|name| config.get(*name)) {
        chat.insert("response_format".to_owned(), json!({"type": "json_schema", "json_schema": {"schema": schema}}));
    }
    if body["toolConfig"]["functionCallingConfig"]["mode"] == "NONE" {
        chat.insert("tool_choice".to_owned(), "none".into());
    }
    let functions = body["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["functionDeclarations"].as_array()).flatten();
    let tools: Vec<Value> = functions.map(tool).collect();
    if !tools.is_empty() {
        chat.insert("tools".to_owned(), tools.into());
    }
    let system = body.get("systemInstruction").map(|system| json!({"role": "system", "content": texts(system)}));
    let turns = body["contents"].as_array().into_iter().flatten().flat_map(turn);
    chat.insert("messages".to_owned(), system.into_iter().chain(turns).collect());
    Value::Object(chat).to_string().into_bytes()
}

fn tool(function: &Value) -> Value {
    // The Python SDK writes some names in both ways.
    let schema = ["parametersJsonSchema", "parameters_json_schema", "parameters"].iter().find_map(|name| function.get(*name)).cloned();
    json!({"type": "function", "function": {"name": function["name"], "parameters": schema.unwrap_or_else(|| json!({"type": "object"}))}})
}

/// Results of functions are messages of their own.
fn turn(content: &Value) -> Vec<Value> {
    let parts = || content["parts"].as_array().into_iter().flatten();
    let result = |part: &Value| Some(json!({"role": "tool", "content": part.get("functionResponse")?["response"].to_string()}));
    let mut turns: Vec<Value> = parts().filter_map(result).collect();
    let text: Vec<Value> = parts().filter_map(said).collect();
    if !text.is_empty() || turns.is_empty() {
        turns.push(json!({"role": if content["role"] == "model" { "assistant" } else { "user" }, "content": text}));
    }
    turns
}

fn said(part: &Value) -> Option<Value> {
    let media_type = |name: &str| ["mimeType", "mime_type"].iter().find_map(|field| part[name][*field].as_str());
    let is_image = |name: &str| media_type(name).is_some_and(|media_type| media_type.starts_with("image/"));
    if is_image("inlineData") || is_image("fileData") {
        return Some(json!({"type": "image_url"}));
    }
    Some(json!({"type": "text", "text": part.get("text")?}))
}

fn texts(content: &Value) -> String {
    content["parts"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect()
}

pub(super) fn whole(answer: &Answer) -> Value {
    let mut parts = Vec::new();
    if let Some(thinking) = &answer.thinking {
        parts.push(json!({"text": thinking, "thought": true}));
    }
    if answer.calls.is_empty() {
        parts.push(json!({"text": answer.text()}));
    }
    parts.extend(calls(answer));
    let mut chunk = chunk(answer, &parts);
    finish(answer, &mut chunk);
    chunk
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut push = |role, parts: &[Value]| pieces.push(Piece::data(role, &chunk(answer, parts)));
    for half in answer.thinking.as_deref().map(halves).into_iter().flatten() {
        push(PieceRole::Text, &[json!({"text": half, "thought": true})]);
    }
    if answer.calls.is_empty() {
        for text in &answer.pieces {
            push(PieceRole::Text, &[json!({"text": text})]);
        }
    }
    for call in calls(answer) {
        push(PieceRole::Text, &[call]);
    }
    let mut last = chunk(answer, &[json!({"text": ""})]);
    finish(answer, &mut last);
    pieces.push(Piece::data(PieceRole::Done, &last));
    pieces
}

/// The first call is signed, as Gemini 3 does it.
fn calls(answer: &Answer) -> Vec<Value> {
    let call = |(index, call): (usize, &super::answer::ToolCall)| {
        let mut part = json!({"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}});
        if index == 0 {
            part["thoughtSignature"] = SIGNATURE.into();
        }
        part
    };
    answer.calls.iter().enumerate().map(call).collect()
}

fn chunk(answer: &Answer, parts: &[Value]) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}], "modelVersion": answer.model,
        "responseId": "mock0000000000000000"})
}

fn finish(answer: &Answer, chunk: &mut Value) {
    let usage = answer.usage;
    let reason = if answer.stop == Stop::Length { "MAX_TOKENS" } else { "STOP" };
    chunk["candidates"][0]["finishReason"] = reason.into();
    let mut counts = json!({"promptTokenCount": usage.input, "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.input + usage.output, "serviceTier": answer.tier.as_deref().unwrap_or("standard")});
    if usage.cached > 0 {
        counts["cachedContentTokenCount"] = usage.cached.into();
    }
    if usage.reasoning > 0 {
        counts["thoughtsTokenCount"] = usage.reasoning.into();
    }
    chunk["usageMetadata"] = counts;
}

pub(super) fn count_tokens() -> Value {
    json!({"totalTokens": super::INPUT_TOKENS})
}

/// An embedding for each content that is asked for.
pub(super) fn embeddings(body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let one = || json!({"values": [0.25, -0.5, 0.125]});
    match body["requests"].as_array() {
        Some(requests) => json!({"embeddings": requests.iter().map(|_| one()).collect::<Vec<_>>()}),
        None => json!({"embedding": one()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_the_same_in_chats_words() {
        let body = json!({
            "systemInstruction": {"parts": [{"text": "be short"}]},
            "contents": [{"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": ""}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]}],
            "generationConfig": {"maxOutputTokens": 3},
        });
        let chat: Value = serde_json::from_slice(&as_chat("/v1beta/models/m:streamGenerateContent", body.to_string().as_bytes())).unwrap();
        let roles: Vec<&str> = chat["messages"].as_array().unwrap().iter().filter_map(|message| message["role"].as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool"]);
        assert_eq!((&chat["model"], &chat["stream"], &chat["max_tokens"]), (&json!("m"), &json!(true), &json!(3)));
    }

    #[test]
    fn the_last_chunk_holds_the_reason_and_the_usage() {
        let pieces = stream(&Answer::plain("m", 2, None));
        assert_eq!(pieces.len(), 3);
        let last = String::from_utf8_lossy(&pieces[2].bytes).into_owned();
        assert!(last.contains("\"finishReason\":\"STOP\"") && last.contains("\"promptTokenCount\":10"), "{last}");
    }
}
