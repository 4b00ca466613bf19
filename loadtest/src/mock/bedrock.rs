//! Bedrock: Converse and InvokeModel with Anthropic's bodies, whole and in AWS event-stream frames.
//!
//! Shapes from docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and recorded traffic, read 2026-11-20.

use flate2::Crc;
use serde_json::{Value, json};

use super::answer::{Answer, SIGNATURE, Stop, ToolCall};
use super::asked::Asked;
use super::chat::halves;
use super::listing::encode_base64;
use super::messages;
use super::wire::{Piece, PieceRole};

/// What a request asks for whose path names the model.
pub(super) fn asked(path: &str, body: &[u8], streams: bool) -> Asked {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let number = |pointer: &str| body.pointer(pointer).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let kind = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let specs = body.pointer("/toolConfig/tools").and_then(Value::as_array).into_iter().flatten();
    let mut tools: Vec<(String, Value)> = specs.filter_map(|tool| read_tool(tool.get("toolSpec")?, "/inputSchema/json")).collect();
    tools.extend(body.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(|tool| read_tool(tool, "/input_schema")));
    let schema = kind("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(|text| serde_json::from_str(text).ok());
    let thinking = kind("/additionalModelRequestFields/thinking/type").or(kind("/thinking/type"));
    let mut asked = Asked::default();
    asked.model = model(path);
    asked.streams = streams;
    asked.includes_usage = true;
    asked.tokens_max = number("/inferenceConfig/maxTokens").or(number("/max_tokens"));
    asked.schema = schema;
    asked.wants_thinking = thinking.is_some_and(|kind| kind != "disabled");
    asked.tools = tools;
    asked.read_turns(&body);
    asked
}

fn read_tool(spec: &Value, schema: &str) -> Option<(String, Value)> {
    Some((spec.get("name")?.as_str()?.to_owned(), spec.pointer(schema).cloned().unwrap_or_else(|| json!({"type": "object"}))))
}

/// `/model/ID/converse`, the id percent-decoded.
fn model(path: &str) -> String {
    let id = path.split_once("/model/").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let mut out = Vec::new();
    let mut bytes = id.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|byte| (byte as char).to_digit(16));
        match byte {
            b'%' => out.extend(digit().zip(digit()).map(|(high, low)| (high << 4 | low) as u8)),
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn count() -> Value {
    json!({"inputTokens": super::INPUT_TOKENS})
}

pub(super) fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"reasoningContent": {"reasoningText": {"text": thinking, "signature": SIGNATURE}}}));
    }
    if answer.calls.is_empty() {
        content.push(json!({"text": answer.text()}));
    }
    content.extend(answer.calls.iter().map(|call| json!({"toolUse": {"toolUseId": id(call), "name": call.name, "input": call.arguments}})));
    json!({"metrics": {"latencyMs": 1}, "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer.stop), "usage": usage(answer)})
}

pub(super) fn stream(answer: &Answer) -> Vec<Piece> {
    let mut pieces = vec![event(PieceRole::Frame, "messageStart", &json!({"role": "assistant"}))];
    let mut index = 0;
    let mut block = |start: Option<Value>, deltas: Vec<(PieceRole, Value)>| {
        if let Some(start) = start {
            pieces.push(event(PieceRole::Frame, "contentBlockStart", &json!({"contentBlockIndex": index, "start": start})));
        }
        for (role, delta) in deltas {
            pieces.push(event(role, "contentBlockDelta", &json!({"contentBlockIndex": index, "delta": delta, "p": "abcdefgh"})));
        }
        pieces.push(event(PieceRole::Frame, "contentBlockStop", &json!({"contentBlockIndex": index})));
        index += 1;
    };
    if let Some(thinking) = &answer.thinking {
        let texts = halves(thinking).into_iter().map(|text| (PieceRole::Text, json!({"reasoningContent": {"text": text}})));
        block(None, texts.chain([(PieceRole::Frame, json!({"reasoningContent": {"signature": SIGNATURE}}))]).collect());
    }
    if answer.calls.is_empty() {
        block(None, answer.pieces.iter().map(|text| (PieceRole::Text, json!({"text": text}))).collect());
    }
    for call in &answer.calls {
        let arguments = call.arguments.to_string();
        let deltas = halves(&arguments).into_iter().map(|part| (PieceRole::Text, json!({"toolUse": {"input": part}})));
        block(Some(json!({"toolUse": {"toolUseId": id(call), "name": call.name}})), deltas.collect());
    }
    pieces.push(event(PieceRole::Frame, "messageStop", &json!({"stopReason": stop_reason(answer.stop)})));
    pieces.push(event(PieceRole::Done, "metadata", &json!({"usage": usage(answer), "metrics": {"latencyMs": 1}})));
    pieces
}

/// Anthropic's events, each in a chunk.
pub(super) fn invoke_stream(answer: &Answer) -> Vec<Piece> {
    let chunk = |piece: Piece| {
        let text = String::from_utf8_lossy(&piece.bytes).into_owned();
        let json = text.split_once("data: ").map_or("", |(_, json)| json.trim_end());
        event(piece.role, "chunk", &json!({"bytes": encode_base64(json.as_bytes())}))
    };
    messages::stream(answer).into_iter().map(chunk).collect()
}

/// The exception that ends a stream that began well.
pub(super) fn exception(message: &str) -> Piece {
    let headers = [(":exception-type", "modelStreamErrorException"), (":content-type", "application/json"), (":message-type", "exception")];
    Piece { bytes: frame(&headers, json!({"message": message}).to_string().as_bytes()), role: PieceRole::Frame }
}

fn event(role: PieceRole, name: &str, payload: &Value) -> Piece {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    Piece { bytes: frame(&headers, payload.to_string().as_bytes()), role }
}

/// Lengths, their checksum, headers, payload, checksum of all.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let total = 16 + head.len() + payload.len();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(head.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn id(call: &ToolCall) -> String {
    format!("tooluse_{}", call.id)
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Tool => "tool_use",
    }
}

/// Here the input figure leaves out what the cache gave and took.
fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({"inputTokens": usage.input - usage.cached - usage.written, "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output, "cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": usage.written})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_frame_is_the_documented_one() {
        // github.com/awslabs/aws-c-event-stream, its tests.
        assert_eq!(frame(&[], b""), [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
    }

    #[test]
    fn models_are_percent_decoded() {
        assert_eq!(model("/prefix/model/us.a%3A0/converse"), "us.a:0");
    }

    #[test]
    fn a_converse_body_is_understood() {
        let body = br#"{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"use a tool"}]}],"inferenceConfig":{"maxTokens":3},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{"q":{"type":"string"}}}}}}]}}"#;
        let asked = asked("/model/m/converse", body, false);
        assert_eq!((asked.model.as_str(), asked.tokens_max), ("m", Some(3)));
        assert_eq!(asked.tool_calls()[0].arguments, json!({"q": "text"}));
    }
}
