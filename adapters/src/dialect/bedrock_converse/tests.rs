//! Whole requests, answers and streams.

use serde_json::{Value, json};

use super::ROW;
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::frame::event_stream::{EventStreamSplitter, Message, begin_event, begin_exception, end_frame};
use crate::ir::{CacheMark, Chat, Gravity, Loss, Mode, PartKind};
use crate::usage::Usage;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn encode(chat: &Chat<'_>, model: &str) -> (Value, Vec<Loss>) {
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model, max_tokens_default: 4096, inject_stream_usage: false };
    (ROW.encode_request)(chat, &target, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses)
}

fn from(dialect: DialectId, body: Value, model: &str) -> (Value, Vec<Loss>) {
    let mut bytes = body.to_string().into_bytes();
    let chat = (dialect.row().decode_request)(&mut bytes).unwrap();
    encode(&chat, model)
}

fn fields(losses: &[Loss]) -> Vec<&str> {
    losses.iter().map(|loss| loss.field.as_ref()).collect()
}

#[test]
fn a_request_of_its_own_comes_back_as_it_was() {
    let body = json!({
        "messages": [
            {"role": "user", "content": [{"text": "hi"}, {"cachePoint": {"type": "default"}},
                {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/k"}}}},
                {"document": {"format": "pdf", "name": "doc", "source": {"bytes": "AAAA"}, "citations": {"enabled": true}}},
                {"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}}]},
            {"role": "assistant", "content": [{"reasoningContent": {"redactedContent": "AAAA"}},
                {"toolUse": {"toolUseId": "i", "name": "f", "input": {"a": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "i", "content": [{"json": {"b": [1]}}, {"text": "t"}], "status": "error"}}]},
        ],
        "system": [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["a"]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}, "strict": true}}, {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "nova_grounding"}}], "toolChoice": {"tool": {"name": "f"}}},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "top_k": 5, "anthropic_beta": ["b"]},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "serviceTier": {"type": "flex"},
        "requestMetadata": {"a": "b"},
    });
    let mut bytes = body.to_string().into_bytes();
    let chat = (ROW.decode_request)(&mut bytes).unwrap();
    assert_eq!((chat.messages[0].parts[0].cache, chat.system[0].cache), (Some(CacheMark::Minutes5), Some(CacheMark::Hour1)));
    assert!(matches!(chat.messages[0].parts[1].kind, PartKind::Private));
    assert_eq!(chat.reasoning.as_ref().and_then(|reasoning| reasoning.budget_tokens), Some(1024));
    let (again, losses) = encode(&chat, CLAUDE);
    assert_eq!(again, body);
    assert_eq!(losses, []);
}

#[test]
fn what_is_missing_is_named() {
    for (body, path) in [
        (json!({}), "messages"),
        (json!({"messages": [{"role": "x", "content": []}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": "x"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": [{"toolUse": {"name": "n"}}]}]}), "messages[0].content[0].toolUse.toolUseId"),
        (json!({"messages": [], "inferenceConfig": {"maxTokens": "5"}}), "inferenceConfig.maxTokens"),
        (json!({"messages": [], "toolConfig": {"tools": [{"toolSpec": {}}]}}), "toolConfig.tools[0].toolSpec.name"),
    ] {
        let fault = (ROW.decode_request)(&mut body.to_string().into_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (Kind::InvalidRequest, Some(path)), "{body}");
    }
}

#[test]
fn an_openai_request_becomes_one_that_converse_takes() {
    let body = json!({"model": "m", "max_tokens": 100, "temperature": 1.5, "reasoning_effort": "low", "seed": 1,
        "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"properties": {}}}}], "tool_choice": "required",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call:1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "call:1", "content": "r"}, {"role": "user", "content": "b"}]});
    let (got, losses) = from(DialectId::OpenaiChat, body, "amazon.nova-pro-v1:0");
    assert_eq!(
        got,
        json!({"messages": [
            {"role": "user", "content": [{"text": "a"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_1", "name": "f", "input": {"a": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call_1", "content": [{"text": "r"}]}}, {"text": "b"}]}],
            "system": [{"text": "s"}], "inferenceConfig": {"maxTokens": 100, "temperature": 1.5},
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"properties": {}, "type": "object"}}}}], "toolChoice": {"any": {}}}})
    );
    assert_eq!(fields(&losses), ["seed", "reasoning_effort"]);
}

#[test]
fn thinking_is_asked_for_in_the_models_own_words() {
    let ask = |model: &str| {
        let body = json!({"model": "m", "max_completion_tokens": 30_000, "reasoning_effort": "high", "messages": [{"role": "user", "content": "a"}]});
        from(DialectId::OpenaiChat, body, model).0["additionalModelRequestFields"].take()
    };
    assert_eq!(ask(CLAUDE), json!({"thinking": {"type": "enabled", "budget_tokens": 16384}}));
    assert_eq!(ask("us.anthropic.claude-opus-4-6-v1"), json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}));
    assert_eq!(ask("openai.gpt-oss-120b-1:0"), json!({"reasoning_effort": "high"}));
    assert_eq!(ask("meta.llama3-8b-instruct-v1:0"), Value::Null);
}

#[test]
fn anthropics_own_fields_reach_its_models_here() {
    let body = json!({"model": "m", "max_tokens": 100, "top_k": 7, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}]});
    let (got, losses) = from(DialectId::Anthropic, body.clone(), "us.anthropic.claude-opus-4-6-v1");
    assert_eq!(
        got["additionalModelRequestFields"],
        json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}, "top_k": 7})
    );
    assert_eq!(got["messages"][0]["content"], json!([{"text": "a"}, {"cachePoint": {"type": "default"}}]));
    assert!(!losses.iter().any(|loss| loss.gravity == Gravity::Meaning), "{losses:?}");
    let (got, losses) = from(DialectId::Anthropic, body, "meta.llama3-8b-instruct-v1:0");
    assert_eq!((got.get("additionalModelRequestFields"), got["messages"][0]["content"].as_array().map(Vec::len)), (None, Some(1)));
    assert!(fields(&losses).contains(&"messages[0].content[0].cache_control"), "{losses:?}");
}

#[test]
fn no_tool_may_be_called_where_none_is_shown() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let body = json!({"model": "m", "tools": tools, "tool_choice": "none", "messages": [{"role": "user", "content": "a"}]});
    let (got, losses) = from(DialectId::OpenaiChat, body, CLAUDE);
    assert_eq!((got.get("toolConfig"), losses.len()), (None, 0));
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let body = json!({"model": "m", "tools": tools, "tool_choice": "none", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": call}, {"role": "tool", "tool_call_id": "c", "content": "r"}]});
    let (got, losses) = from(DialectId::OpenaiChat, body, CLAUDE);
    assert!(
        got["toolConfig"]["tools"].is_array() && losses.iter().any(|loss| loss.field == "tool_choice" && loss.gravity == Gravity::Meaning)
    );
}

fn stream() -> Vec<u8> {
    let events = [
        ("messageStart", json!({"role": "assistant", "p": "abc"})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}})),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        ("contentBlockDelta", json!({"contentBlockIndex": 1, "delta": {"text": "h\u{e9}"}, "p": "abc"})),
        ("contentBlockDelta", json!({"contentBlockIndex": 1, "delta": {"text": " you"}})),
        ("contentBlockStop", json!({"contentBlockIndex": 1})),
        ("contentBlockStart", json!({"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "i", "name": "f"}}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{\"a\":1}"}}})),
        ("contentBlockStop", json!({"contentBlockIndex": 2})),
        ("messageStop", json!({"stopReason": "tool_use"})),
        (
            "metadata",
            json!({"usage": {"inputTokens": 1, "outputTokens": 5, "totalTokens": 13, "cacheReadInputTokens": 7}, "metrics": {"latencyMs": 4}}),
        ),
    ];
    let mut out = Vec::new();
    for (name, payload) in events {
        let start = begin_event(&mut out, name);
        out.extend_from_slice(payload.to_string().as_bytes());
        end_frame(&mut out, start);
    }
    out
}

fn decode(bytes: &[u8]) -> (Vec<Event>, Result<(), Fault>) {
    let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
    let result = decoder.feed(bytes, &mut events).and_then(|()| decoder.finish(&mut events));
    (events, result)
}

#[test]
fn a_stream_is_read_and_written_again() {
    let (events, result) = decode(&stream());
    assert!(result.is_ok() && matches!(events.last(), Some(Event::End)));
    let usage = Usage { input: 8, output: 5, cached_read: 7, ..Usage::default() };
    assert!(events.iter().any(|event| matches!(event, Event::Usage { usage: got, .. } if *got == usage)));
    assert!(events.iter().any(|event| matches!(event, Event::Open { kind: Block::ToolCall { name, .. }, .. } if name == "f")));
    assert!(events.iter().any(|event| matches!(event, Event::Delta { delta: Delta::Signature(text), .. } if text == "s")));
    assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::ToolCalls, .. })));
    let client = Client { model: "m".into(), mode: Mode::Stream, stream_usage: true, now_unix: 1, framing: Framing::EventStream };
    let (mut encoder, mut out) = ((ROW.stream_encoder)(client), Vec::new());
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let (again, result) = decode(&out);
    assert!(result.is_ok());
    assert_eq!(format!("{again:?}"), format!("{events:?}"));
}

#[test]
fn a_stream_is_whole_with_its_stop_and_a_clean_end() {
    let bytes = stream();
    let mut places = vec![0];
    EventStreamSplitter::default()
        .feed_blocks(&bytes, |block, _| {
            places.push(places.last().unwrap() + block.len());
            Ok(())
        })
        .unwrap();
    // Without its metadata an answer is whole, and lacks its usage.
    assert!(decode(&bytes[..places[11]]).1.is_ok());
    for cut in places[..11].iter().chain([&(places[11] + 9)]) {
        let (events, result) = decode(&bytes[..*cut]);
        assert_eq!(result.unwrap_err().kind, Kind::UpstreamCut, "{cut}");
        assert!(!events.iter().any(|event| matches!(event, Event::End)));
    }
}

#[test]
fn a_tap_reads_what_a_decoder_reads() {
    let bytes = stream();
    for size in [1, 7, bytes.len()] {
        let mut tap = (ROW.tap)();
        bytes.chunks(size).for_each(|chunk| tap.feed(chunk).unwrap());
        let seen = tap.seen();
        assert_eq!(seen.usage, Some(Usage { input: 8, output: 5, cached_read: 7, ..Usage::default() }));
        assert_eq!((seen.finished, seen.ended, seen.mid_event, seen.event_count), (true, true, false, 5));
        assert_eq!(seen.kept.text(), "hmh\u{e9} youf{\"a\":1}");
    }
}

#[test]
fn an_exception_inside_a_stream_is_a_fault() {
    let mut bytes = stream();
    bytes.truncate(200);
    let at = crate::frame::event_stream::last_event_start(&bytes);
    bytes.truncate(at);
    let start = begin_exception(&mut bytes, "throttlingException");
    bytes.extend_from_slice(br#"{"message":"slow down"}"#);
    end_frame(&mut bytes, start);
    let (events, result) = decode(&bytes);
    let Some(Event::Fault(fault)) = events.last() else { panic!("no fault") };
    assert!(result.is_ok());
    assert_eq!(
        (fault.kind, fault.message.as_ref(), fault.code.as_deref()),
        (Kind::UpstreamInBand, "slow down", Some("throttlingException"))
    );
    let mut tap = (ROW.tap)();
    tap.feed(&bytes).unwrap();
    assert_eq!(tap.seen().fault.as_ref().map(|fault| fault.message.to_string()), Some("slow down".to_owned()));
}

#[test]
fn an_answer_from_elsewhere_is_one_that_typed_clients_take() {
    let events = crate::echo::answer(&Chat::default(), "id", 1);
    let client = Client { model: "m".into(), mode: Mode::Whole, stream_usage: true, now_unix: 1, framing: Framing::EventStream };
    let mut out = Vec::new();
    (ROW.encode_answer)(&events, &client, &mut out);
    let body: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&body["stopReason"], &body["output"]["message"]["role"]), (&json!("end_turn"), &json!("assistant")));
    assert!(body["usage"]["totalTokens"].is_u64() && body["metrics"]["latencyMs"].is_u64());
}

#[test]
fn a_guardrails_stop_keeps_its_word() {
    let body = json!({"output": {"message": {"role": "assistant", "content": [{"text": "no"}]}}, "stopReason": "guardrail_intervened",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}, "trace": {"guardrail": {"a": 1}}});
    let mut events = Vec::new();
    (ROW.decode_answer)(&mut body.to_string().into_bytes(), &mut events).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::ContentFilter, .. })));
    let client = Client { model: "m".into(), mode: Mode::Whole, stream_usage: true, now_unix: 1, framing: Framing::EventStream };
    let mut out = Vec::new();
    (ROW.encode_answer)(&events, &client, &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), body);
}

#[test]
fn frames_of_the_encoder_are_events() {
    let client = Client { model: "m".into(), mode: Mode::Stream, stream_usage: true, now_unix: 1, framing: Framing::EventStream };
    let (mut encoder, mut out) = ((ROW.stream_encoder)(client), Vec::new());
    crate::echo::answer(&Chat::default(), "id", 1).iter().for_each(|event| encoder.encode(event, &mut out));
    let mut names = Vec::new();
    EventStreamSplitter::default()
        .feed(&out, |frame| {
            let Message::Event(name) = frame.message() else { panic!("no event") };
            assert_eq!(frame.text(":content-type"), "application/json");
            names.push(name.to_owned());
            Ok(())
        })
        .unwrap();
    assert_eq!((names.first().map(String::as_str), names.last().map(String::as_str)), (Some("messageStart"), Some("metadata")));
}
