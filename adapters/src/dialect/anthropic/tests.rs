//! Requests and streams across dialects, in the shapes that clients really send.

use serde_json::{Value, json};

use super::{ID, ROW};
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{CacheMark, Chat, Effort, Extra, Gravity, Loss, Mode, PartKind, Reasoning, ToolChoice};
use crate::usage::Usage;

fn decode(body: &Value, then: impl FnOnce(&Chat<'_>)) {
    let mut bytes = body.to_string().into_bytes();
    then(&(ROW.decode_request)(&mut bytes).unwrap());
}

fn refused(body: &Value) -> Fault {
    let mut bytes = body.to_string().into_bytes();
    (ROW.decode_request)(&mut bytes).unwrap_err()
}

fn encode(chat: &Chat<'_>, model: &str) -> (Value, Vec<Loss>) {
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model, max_tokens_default: 4096, inject_stream_usage: false };
    (ROW.encode_request)(chat, &target, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses)
}

/// An OpenAI chat request as it reaches `model`.
fn from_openai(body: &Value, model: &str) -> (Value, Vec<Loss>) {
    let mut bytes = body.to_string().into_bytes();
    let chat = (DialectId::OpenaiChat.row().decode_request)(&mut bytes).unwrap();
    encode(&chat, model)
}

fn fields(losses: &[Loss], gravity: Gravity) -> Vec<&str> {
    losses.iter().filter(|loss| loss.gravity == gravity).map(|loss| loss.field.as_ref()).collect()
}

fn claude_code() -> Value {
    json!({
        "model": "claude-opus-4-8", "max_tokens": 32000, "stream": true,
        "system": [
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "list files"}, {"type": "text", "text": "<reminder/>"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "I list.", "signature": "c2ln"},
                {"type": "text", "text": "Listing."},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls", "n": 1.0}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.rs", "is_error": true},
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}}
            ]}
        ],
        "tools": [{"name": "Bash", "description": "run", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}],
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": "user_1"}, "temperature": 1
    })
}

#[test]
fn a_request_of_claude_code_is_read_in_full() {
    decode(&claude_code(), |chat| {
        assert_eq!((chat.stream, chat.max_tokens, chat.user.as_deref()), (Mode::Stream, Some(32000), Some("user_1")));
        assert_eq!(chat.system.iter().map(|part| part.cache).collect::<Vec<_>>(), [Some(CacheMark::Minutes5), Some(CacheMark::Hour1)]);
        assert_eq!(chat.messages.len(), 3);
        assert!(matches!(&chat.messages[1].parts[0].kind, PartKind::Thinking { signature: Some(signature), .. } if signature == "c2ln"));
        assert!(matches!(&chat.messages[2].parts[0].kind, PartKind::ToolResult { is_error: true, .. }));
        assert_eq!(chat.reasoning.as_ref().and_then(|reasoning| reasoning.effort), Some(Effort::Max));
        assert!(chat.extra.of(ID).is_some_and(|fields| fields.contains_key("context_management")));
        let (again, losses) = encode(chat, "claude-opus-4-8");
        let mut expected = claude_code();
        expected["temperature"] = json!(1.0);
        // One plain text is written as a string; nothing else changes.
        assert_eq!(again, expected);
        assert!(losses.is_empty(), "{losses:?}");
    });
}

#[test]
fn a_request_of_claude_code_reaches_openai_models_with_nothing_that_matters_lost() {
    for dialect in [DialectId::OpenaiChat, DialectId::OpenaiResponses] {
        decode(&claude_code(), |chat| {
            let (mut out, mut losses) = (Vec::new(), Vec::new());
            let target = Target { model: "gpt-5", max_tokens_default: 4096, inject_stream_usage: true };
            (dialect.row().encode_request)(chat, &target, &mut out, &mut losses).unwrap();
            assert_eq!(fields(&losses, Gravity::Meaning), [""; 0], "{dialect:?}");
            let text = String::from_utf8(out).unwrap();
            for word in ["You are Claude Code.", "list files", "toolu_1", "a.rs", "go on", "gpt-5"] {
                assert!(text.contains(word), "{dialect:?} lacks {word}: {text}");
            }
        });
    }
}

#[test]
fn openai_turns_become_anthropics() {
    let (body, losses) = from_openai(
        &json!({"model": "x", "max_completion_tokens": 100, "temperature": 1.4, "stop": ["END"], "user": "u", "parallel_tool_calls": false,
            "tool_choice": {"type": "function", "function": {"name": "add"}},
            "tools": [{"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}}},
                      {"type": "function", "function": {"name": "now"}}],
            "messages": [
                {"role": "system", "content": "S1"}, {"role": "developer", "content": "S2"},
                {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "call.1", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 1}"}},
                    {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}]},
                {"role": "tool", "tool_call_id": "call.1", "content": "2"},
                {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
                {"role": "user", "content": "thanks"}]}),
        "claude-sonnet-4-5",
    );
    assert_eq!(
        body,
        json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "temperature": 1.0, "stop_sequences": ["END"], "metadata": {"user_id": "u"},
            "system": [{"type": "text", "text": "S1"}, {"type": "text", "text": "S2"}],
            "tool_choice": {"type": "tool", "name": "add", "disable_parallel_tool_use": true},
            "tools": [{"name": "add", "description": "adds", "input_schema": {"type": "object", "properties": {}}},
                      {"name": "now", "input_schema": {"type": "object", "properties": {}}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "look"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
                    {"type": "tool_use", "id": "call_2", "name": "now", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "2"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "noon"},
                    {"type": "text", "text": "thanks"}]}]})
    );
    assert_eq!(fields(&losses, Gravity::Tuning), ["temperature"]);
    assert_eq!(fields(&losses, Gravity::Meaning), [""; 0]);
}

#[test]
fn what_anthropic_cannot_carry_is_told() {
    let (_, losses) = from_openai(
        &json!({"model": "x", "n": 2, "seed": 7, "logprobs": true, "frequency_penalty": 0.5, "response_format": {"type": "json_object"},
            "logit_bias": {"1": 2}, "modalities": ["audio"], "service_tier": "flex", "messages": [{"role": "user", "content": "hi"}]}),
        "claude-opus-4-6",
    );
    let mut meaning = fields(&losses, Gravity::Meaning);
    meaning.sort_unstable();
    assert_eq!(meaning, ["logprobs", "modalities", "n", "response_format"]);
    let mut tuning = fields(&losses, Gravity::Tuning);
    tuning.sort_unstable();
    assert_eq!(tuning, ["frequency_penalty", "logit_bias", "seed", "service_tier"]);
}

#[test]
fn fallbacks_are_the_gateways_own_and_lost_without_a_word() {
    let body = json!({"model": "m", "max_tokens": 9, "fallbacks": ["a/b"], "messages": [{"role": "user", "content": "hi"}]});
    decode(&body, |chat| assert!(chat.extra.fields.is_empty(), "{:?}", chat.extra.fields));
}

#[test]
fn an_effort_is_asked_for_in_the_words_of_the_model() {
    let ask = |model: &str, max_tokens: u64| {
        let body = json!({"model": "x", "reasoning_effort": "medium", "max_completion_tokens": max_tokens,
            "messages": [{"role": "user", "content": "hi"}]});
        let (body, losses) = from_openai(&body, model);
        (body["thinking"].clone(), body["output_config"]["effort"].clone(), losses.len())
    };
    assert_eq!(ask("claude-opus-4-6", 100), (json!({"type": "adaptive"}), json!("medium"), 0));
    assert_eq!(ask("claude-sonnet-4-5", 20000), (json!({"type": "enabled", "budget_tokens": 8192}), Value::Null, 0));
    assert_eq!(ask("claude-sonnet-4-5", 4000), (json!({"type": "enabled", "budget_tokens": 2000}), Value::Null, 0));
    assert_eq!(ask("claude-sonnet-4-5", 500), (Value::Null, Value::Null, 1));
    assert_eq!(ask("claude-3-5-haiku-latest", 20000), (Value::Null, Value::Null, 1));
}

#[test]
fn a_budget_is_not_asked_for_behind_tool_calls_without_their_thinking() {
    let body = json!({"model": "x", "reasoning_effort": "high", "max_completion_tokens": 32000, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"}]});
    let (body, losses) = from_openai(&body, "claude-sonnet-4-5");
    assert_eq!(body["thinking"], Value::Null);
    assert_eq!(fields(&losses, Gravity::Tuning), ["reasoning_effort"]);
}

#[test]
fn reasoning_and_choices_of_its_own_come_back_as_they_were() {
    for (field, value) in [
        ("thinking", json!({"type": "enabled", "budget_tokens": 1024})),
        ("thinking", json!({"type": "enabled", "budget_tokens": 1024, "display": "omitted"})),
        ("thinking", json!({"type": "disabled"})),
        ("thinking", json!({"type": "adaptive", "display": "summarized"})),
        ("output_config", json!({"effort": "low"})),
        ("output_config", json!({"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}}})),
        ("tool_choice", json!({"type": "any", "disable_parallel_tool_use": true})),
        ("tool_choice", json!({"type": "tool_search", "odd": 1})),
        ("service_tier", json!("standard_only")),
        ("metadata", json!({"user_id": "u", "more": 1})),
        ("mcp_servers", json!([{"type": "url", "url": "https://x", "name": "n"}])),
        (
            "tools",
            json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}, {"type": "mcp_toolset", "mcp_server_name": "n"}]),
        ),
    ] {
        let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        body[field] = value;
        decode(&body, |chat| assert_eq!(encode(chat, "m").0, body));
    }
}

#[test]
fn a_wrong_field_is_named_with_what_to_write() {
    for (body, path) in [
        (json!([]), None),
        (json!({"messages": []}), Some("model")),
        (json!({"model": "m"}), Some("messages")),
        (json!({"model": "m", "messages": [{"role": "tool", "content": "x"}]}), Some("messages[0].role")),
        (json!({"model": "m", "messages": [{"role": "user"}]}), Some("messages[0].content")),
        (json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}), Some("messages[0].content[0].text")),
        (json!({"model": "m", "messages": [], "max_tokens": "9"}), Some("max_tokens")),
        (json!({"model": "m", "messages": [], "tool_choice": {"type": "tool"}}), Some("tool_choice.name")),
    ] {
        let fault = refused(&body);
        assert_eq!((fault.kind, fault.param.as_deref()), (Kind::InvalidRequest, path), "{}", fault.message);
    }
}

#[test]
fn a_foreign_reasoning_block_is_kept_only_with_a_signature_of_anthropics() {
    decode(
        &json!({"model": "m", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "a", "signature": ""}, {"type": "thinking", "thinking": "b", "signature": "ok"},
            {"type": "redacted_thinking", "data": "gAAAAB"}, {"type": "text", "text": "t"}]}]}),
        |chat| {
            let foreign = Chat {
                extra: Extra::default(),
                reasoning: Some(Reasoning::default()),
                tool_choice: Some(ToolChoice::Auto),
                ..chat.clone()
            };
            let (body, losses) = encode(&foreign, "m");
            assert_eq!(
                body["messages"][1]["content"],
                json!([{"type": "thinking", "thinking": "b", "signature": "ok"}, {"type": "text", "text": "t"}])
            );
            assert_eq!(fields(&losses, Gravity::Tuning), ["messages[1].content[0]", "messages[1].content[2]"]);
        },
    );
}

fn stream(events: &[Event]) -> String {
    let client = Client { model: "claude".into(), mode: Mode::Stream, stream_usage: true, now_unix: 0, framing: Framing::Sse };
    let mut encoder = (ROW.stream_encoder)(client);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn start() -> Event {
    Event::Start { id: "c1".into(), model: "gpt".into(), created: None, extra: Extra::default() }
}

fn open(block: u32, name: &str) -> Event {
    let kind = match name {
        "" => Block::Text,
        name => Block::ToolCall { id: format!("id_{name}"), name: name.into(), extra: Extra::default() },
    };
    Event::Open { choice: 0, block, kind }
}

fn arguments(block: u32, text: &str) -> Event {
    Event::Delta { choice: 0, block, delta: Delta::Arguments(text.into()) }
}

fn close(block: u32) -> Event {
    Event::Close { choice: 0, block, extra: Extra::default() }
}

#[test]
fn interleaved_tool_calls_are_written_one_after_the_other() {
    let text = stream(&[
        start(),
        open(0, ""),
        Event::Delta { choice: 0, block: 0, delta: Delta::Text("hi".into()) },
        open(1, "a"),
        open(2, "b"),
        arguments(1, "{\"x\""),
        arguments(2, "{\"y\":2}"),
        arguments(1, ":1}"),
        close(2),
        close(1),
        close(0),
        Event::Finish { choice: 0, reason: Finish::ToolCalls, extra: Extra::default() },
        Event::Usage { usage: Usage { input: 9, output: 4, cached_read: 5, ..Usage::default() }, extra: Extra::default() },
        Event::End,
    ]);
    let data: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let brief: Vec<String> = data
        .iter()
        .map(|event| format!("{} {}", event["type"].as_str().unwrap().trim_start_matches("content_block_"), event["index"]))
        .collect();
    assert_eq!(
        brief,
        [
            "message_start null",
            "start 0",
            "delta 0",
            "stop 0",
            "start 1",
            "delta 1",
            "delta 1",
            "stop 1",
            "start 2",
            "delta 2",
            "stop 2",
            "message_delta null",
            "message_stop null"
        ]
    );
    assert_eq!(data[0]["message"]["model"], "claude");
    assert_eq!(data[11]["delta"], json!({"stop_reason": "tool_use", "stop_sequence": null}));
    assert_eq!(
        data[11]["usage"],
        json!({"input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 4})
    );
    // Every event has its name, as the SDKs demand.
    assert!(
        text.split_terminator("\n\n")
            .zip(&data)
            .all(|(event, data)| event.starts_with(&format!("event: {}\ndata: ", data["type"].as_str().unwrap())))
    );
}

#[test]
fn text_is_written_at_once_also_while_another_block_waits_for_its_end() {
    let text = |block: u32, text: &str| Event::Delta { choice: 0, block, delta: Delta::Text(text.into()) };
    assert!(stream(&[start(), open(0, ""), text(0, "early")]).contains("early"));
    // A private block of another dialect beside the text changes nothing.
    let private = Event::Open { choice: 0, block: 1, kind: Block::Private { extra: Extra::default() } };
    let beside = stream(&[start(), open(0, ""), text(0, "one"), private, text(0, "two")]);
    assert!(beside.contains("two") && !beside.contains("content_block_stop"), "{beside}");
    // The source keeps its text open beside a call: the call is not held back, later text opens a block of its own.
    let mixed = stream(&[start(), open(0, ""), text(0, "one"), open(1, "f"), arguments(1, "{}")]);
    assert!(mixed.contains(r#""partial_json":"{}""#), "{mixed}");
    let all =
        stream(&[start(), open(0, ""), text(0, "one"), open(1, "f"), arguments(1, "{}"), close(1), text(0, "two"), close(0), Event::End]);
    let (events, result) = decode_stream(&all);
    assert!(result.is_ok());
    let texts: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text), .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["one", "{}", "two"]);
}

#[test]
fn a_fault_ends_a_stream_with_one_error_and_nothing_more() {
    let text = stream(&[start(), open(0, ""), Event::Fault(Fault::new(Kind::UpstreamCut, "cut")), Event::End]);
    assert!(
        text.ends_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"cut\"}}\n\n"),
        "{text}"
    );
    assert!(!text.contains("message_stop"));
}

const STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],",
    "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":7,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\\u00e9\\n\\ud83d\\ude00\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn decode_stream(text: &str) -> (Vec<Event>, Result<(), Fault>) {
    let mut decoder = (ROW.stream_decoder)();
    let mut events = Vec::new();
    let result = decoder.feed(text.as_bytes(), &mut events).and_then(|()| decoder.finish(&mut events));
    (events, result)
}

#[test]
fn a_tap_reads_what_a_decoder_reads() {
    let mut tap = (ROW.tap)();
    tap.feed(STREAM.as_bytes()).unwrap();
    let seen = tap.seen();
    assert_eq!(seen.usage, Some(Usage { input: 10, output: 5, cached_read: 7, ..Usage::default() }));
    assert_eq!((seen.finished, seen.ended, seen.mid_event, seen.event_count), (true, true, false, 1));
    assert_eq!(seen.text_bytes, "hé\n😀".len() as u64);
    let (events, result) = decode_stream(STREAM);
    assert!(result.is_ok() && matches!(events.last(), Some(Event::End)));
}

#[test]
fn a_stream_is_whole_only_with_its_finish_and_its_end() {
    let stop = STREAM.find("event: message_stop").unwrap();
    for cut in [stop, STREAM.find("event: message_delta").unwrap(), 20, 0] {
        let (events, result) = decode_stream(&STREAM[..cut]);
        assert_eq!(result.unwrap_err().kind, Kind::UpstreamCut, "{cut}");
        assert!(!events.iter().any(|event| matches!(event, Event::End)));
    }
    // The last blank line may be missing.
    assert!(decode_stream(STREAM.trim_end()).1.is_ok());
}

#[test]
fn an_error_inside_a_stream_is_a_fault() {
    let text = format!(
        "{}event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}}}\n\n",
        &STREAM[..STREAM.find("event: ping").unwrap()]
    );
    let (events, _) = decode_stream(&text);
    let Some(Event::Fault(fault)) = events.last() else { panic!("no fault") };
    assert_eq!((fault.kind, fault.message.as_ref(), fault.code.as_deref()), (Kind::UpstreamInBand, "Overloaded", Some("overloaded_error")));
    let mut tap = (ROW.tap)();
    tap.feed(text.as_bytes()).unwrap();
    assert_eq!(tap.seen().fault.as_ref().map(|fault| fault.message.to_string()), Some("Overloaded".to_owned()));
}

#[test]
fn no_bytes_make_a_codec_panic() {
    let request = claude_code().to_string();
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "text", "text": "h\u{e9}", "citations": [{"type": "x"}]}, {"type": "tool_use", "id": "i", "name": "n", "input": {"a": [1]}},
            {"type": "server_tool_use", "id": "s", "name": "w", "input": {}}], "usage": {"input_tokens": 1, "output_tokens": 2}})
    .to_string();
    let mut state = 1_u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for round in 0..6000 {
        let source = [request.as_bytes(), answer.as_bytes(), STREAM.as_bytes()][round % 3];
        let mut bytes = source.to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(chat) = (ROW.decode_request)(&mut bytes.clone()) {
            encode(&chat, "m");
        }
        let mut events = Vec::new();
        let _ = (ROW.decode_answer)(&mut bytes.clone(), &mut events);
        let mut decoder = (ROW.stream_decoder)();
        if decoder.feed(&bytes, &mut events).is_ok() {
            let _ = decoder.finish(&mut events);
        }
        stream(&events);
        let mut tap = (ROW.tap)();
        tap.whole(&bytes);
        let _ = tap.feed(&bytes);
        (ROW.decode_error)(400, &bytes);
    }
}
