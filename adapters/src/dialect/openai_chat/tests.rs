//! Claims about the dialect on small examples; recorded traffic is checked in `adapters/tests/corpus.rs`.

mod imitations;

use serde_json::{Value, json};

use super::{ME, ROW};
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{CacheMark, Chat, Effort, Extra, Gravity, Loss, Message, Mode, Part, PartKind, Reasoning, Role, Source, ToolChoice};
use crate::usage::Usage;

fn again(request: &Value) -> (Value, Vec<Loss>) {
    let mut body = serde_json::to_vec(request).unwrap();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    encode(&chat)
}

fn encode(chat: &Chat<'_>) -> (Value, Vec<Loss>) {
    let target = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    (ROW.encode_request)(chat, &target, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses)
}

#[test]
fn every_field_comes_back() {
    let request = json!({
        "model": "m",
        "messages": [
            {"role": "developer", "content": "be brief", "name": "d"},
            {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "name": "u", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "f.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "wav"}},
                {"type": "video_url", "video_url": {"url": "https://x"}}
            ]},
            {"role": "assistant", "content": "calling", "reasoning_content": "hm", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "free text"}}
            ]},
            {"role": "tool", "tool_call_id": "1", "content": "one", "name": "f"},
            {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": null, "refusal": "no", "audio": {"id": "audio_1"}},
            {"role": "developer", "content": "later"}
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"z": 1, "a": 2}, "strict": true}},
            {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}
        ],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        "parallel_tool_calls": false, "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.25, "top_k": 3,
        "frequency_penalty": 1.5, "presence_penalty": -1.0, "stop": ["a", "b"], "seed": -4, "n": 2, "logprobs": true,
        "top_logprobs": 5, "reasoning_effort": "xhigh", "user": "u", "service_tier": "flex", "stream": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}},
        "stream_options": {"include_usage": true, "include_obfuscation": false},
        "metadata": {"k": "v"}, "store": true, "prediction": {"type": "content", "content": "x"}, "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"}, "web_search_options": {}, "verbosity": "low", "logit_bias": {"50256": -100},
        "brand_new": [1, {"deep": null}]
    });
    let (mut after, losses) = again(&request);
    assert_eq!(losses, []);
    // An assistant message without text has `content: null` in both; the private part has kept its own `type`.
    assert_eq!(after["messages"][6]["content"].take(), Value::Null);
    assert_eq!(after, request);
}

#[test]
fn legacy_functions_come_back_as_functions() {
    let request = json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "42"}
        ],
        "functions": [{"name": "f", "description": "d", "parameters": {}}],
        "function_call": {"name": "f"}
    });
    assert_eq!(again(&request), (request, vec![]));
}

#[test]
fn older_bound_lone_parts_and_fallbacks_are_normalised() {
    let (after, _) = again(&json!({
        "model": "x", "max_tokens": 7, "stop": ["a"], "fallbacks": ["p/m"],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    }));
    let wanted = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 7, "stop": "a"});
    assert_eq!(after, wanted);
}

#[test]
fn bad_requests_name_the_field() {
    let rows = [
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":[{"role":"robot","content":"x"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"user"}]}"#, "messages[0].content"),
        (r#"{"model":"m","messages":[],"temperature":"hot"}"#, "temperature"),
        (r#"{"model":"m","messages":[],"tools":[{"type":"function"}]}"#, "tools[0].function"),
    ];
    for (body, field) in rows {
        let mut body = body.as_bytes().to_vec();
        let fault = (ROW.decode_request)(&mut body).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (Kind::InvalidRequest, Some(field)));
    }
    assert!((ROW.decode_request)(&mut b"{\"model\"".to_vec()).is_err());
    assert!((ROW.decode_request)(&mut b"[]".to_vec()).is_err());
}

#[test]
fn another_dialects_request_loses_only_what_it_says() {
    let result = PartKind::ToolResult {
        call_id: "t1".into(),
        parts: vec![
            Part::text("ok"),
            PartKind::Image { source: Source::Base64 { media_type: "image/png".into(), data: "AA".into() }, detail: None }.into(),
        ],
        is_error: true,
    };
    let thinking = PartKind::Thinking { text: "hm".into(), signature: Some("sig".into()) };
    let call = PartKind::ToolCall { id: "t1".into(), name: "f".into(), arguments: "{}".into() };
    let message = |role, parts| Message { role, parts, name: None, extra: Extra::default() };
    let chat = Chat {
        system: vec![Part { cache: Some(CacheMark::Minutes5), ..Part::text("a") }, Part::text("b")],
        messages: vec![
            message(Role::Assistant, vec![thinking.into(), call.into()]),
            message(Role::User, vec![result.into(), Part::text("go on")]),
        ],
        tool_choice: Some(ToolChoice::Required),
        top_k: Some(5),
        reasoning: Some(Reasoning { budget_tokens: Some(8_000), ..Reasoning::default() }),
        extra: Extra { dialect: Some(DialectId::Anthropic), fields: json!({"container": "c", "mystery": 1}).as_object().unwrap().clone() },
        ..Chat::default()
    };
    let (after, losses) = encode(&chat);
    assert_eq!(after["reasoning_effort"], "medium");
    assert_eq!(
        after["messages"],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "ok"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "text", "text": "go on"}
            ]}
        ])
    );
    let lost: Vec<(&str, Gravity)> = losses.iter().map(|loss| (loss.field.as_ref(), loss.gravity)).collect();
    let wanted = [
        ("messages[0].thinking", Gravity::Tuning),
        ("messages[1].content[0].is_error", Gravity::Tuning),
        ("top_k", Gravity::Tuning),
        ("container", Gravity::Tuning),
        ("mystery", Gravity::Meaning),
    ];
    assert_eq!(lost, wanted);
}

#[test]
fn efforts_are_read_by_name() {
    let mut body = br#"{"model":"m","messages":[],"reasoning_effort":"minimal"}"#.to_vec();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    assert_eq!(chat.reasoning.and_then(|reasoning| reasoning.effort), Some(Effort::Minimal));
}

fn events() -> Vec<Event> {
    let extra = Extra::default;
    let tool = |id: &str| Block::ToolCall { id: id.into(), name: "f".into(), extra: Extra::default() };
    vec![
        Event::Start { id: "x".into(), model: "up".into(), created: None, extra: extra() },
        Event::Open { choice: 0, block: 0, kind: Block::Thinking },
        Event::Delta { choice: 0, block: 0, delta: Delta::Thinking("hm".into()) },
        Event::Delta { choice: 0, block: 0, delta: Delta::Signature("sig".into()) },
        Event::Close { choice: 0, block: 0, extra: extra() },
        Event::Open { choice: 0, block: 1, kind: Block::Text },
        Event::Delta { choice: 0, block: 1, delta: Delta::Text("a\"é".into()) },
        Event::Close { choice: 0, block: 1, extra: extra() },
        Event::Open { choice: 0, block: 2, kind: tool("t1") },
        Event::Delta { choice: 0, block: 2, delta: Delta::Arguments("{}".into()) },
        Event::Close { choice: 0, block: 2, extra: extra() },
        Event::Finish { choice: 0, reason: Finish::ToolCalls, extra: extra() },
        Event::Usage { usage: Usage { input: 3, output: 2, cached_read: 1, ..Usage::default() }, extra: extra() },
        Event::End,
    ]
}

fn client(mode: Mode, stream_usage: bool) -> Client<'static> {
    Client { model: "asked".into(), mode, stream_usage, now_unix: 7, framing: Framing::Sse }
}

fn stream(events: &[Event], stream_usage: bool) -> String {
    let mut encoder = (ROW.stream_encoder)(client(Mode::Stream, stream_usage));
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_foreign_answer_is_written_in_full() {
    let mut out = Vec::new();
    (ROW.encode_answer)(&events(), &client(Mode::Whole, false), &mut out);
    let wanted = json!({
        "id": "x", "object": "chat.completion", "created": 7, "model": "asked",
        "choices": [{"index": 0, "message": {
            "role": "assistant", "content": "a\"é", "refusal": null, "reasoning_content": "hm",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        }, "logprobs": null, "finish_reason": "tool_calls"}],
        "usage": {
            "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}
        }
    });
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), wanted);
}

#[test]
fn usage_is_streamed_only_on_request_and_done_ends_it() {
    let (asked, unasked) = (stream(&events(), true), stream(&events(), false));
    assert!(asked.contains(r#""choices":[],"usage":{"prompt_tokens":3"#), "{asked}");
    assert!(!unasked.contains("usage"), "{unasked}");
    assert!(asked.ends_with("data: [DONE]\n\n") && unasked.ends_with("data: [DONE]\n\n"));
    assert!(unasked.starts_with(
        r#"data: {"id":"x","object":"chat.completion.chunk","created":7,"model":"asked","choices":[{"index":0,"delta":{"role":"assistant""#
    ));
}

fn decode(bytes: &[u8], cut: usize) -> Result<Vec<Event>, Fault> {
    let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
    decoder.feed(&bytes[..cut], &mut events)?;
    decoder.feed(&bytes[cut..], &mut events)?;
    decoder.finish(&mut events)?;
    Ok(events)
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_events() {
    let text = stream(&events(), true);
    let whole = format!("{:?}", decode(text.as_bytes(), 0).unwrap());
    for cut in 0..=text.len() {
        assert_eq!(format!("{:?}", decode(text.as_bytes(), cut).unwrap()), whole, "{cut}");
    }
}

#[test]
fn an_answer_is_complete_by_its_finish_and_not_by_done() {
    let text = stream(&events(), true);
    let without_done = text.strip_suffix("data: [DONE]\n\n").unwrap();
    assert!(matches!(decode(without_done.as_bytes(), 0).unwrap().last(), Some(Event::End)));
    let finish = text.find("\"finish_reason\":\"tool_calls\"").unwrap();
    for end in 0..finish {
        let fault = decode(&text.as_bytes()[..end], 0).unwrap_err();
        assert_eq!(fault.kind, Kind::UpstreamCut, "{end}");
    }
    let done_alone = format!("{}data: [DONE]\n\n", &text[..text[..finish].rfind("data: ").unwrap()]);
    assert_eq!(decode(done_alone.as_bytes(), 0).unwrap_err().kind, Kind::UpstreamCut);
}

#[test]
fn garbage_is_malformed_and_an_error_chunk_is_a_fault() {
    assert_eq!(decode(b"data: {\"choices\":[}\n\n", 0).unwrap_err().kind, Kind::MalformedResponse);
    let events = decode(b"data: {\"error\":{\"message\":\"overheated\",\"code\":\"hot\"}}\n\n", 0).unwrap();
    let [Event::Fault(fault)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((fault.kind, fault.message.as_ref(), fault.code()), (Kind::UpstreamInBand, "overheated", "hot"));
}

#[test]
fn the_tap_sees_what_the_decoder_sees() {
    let text = stream(&events(), true);
    let mut tap = (ROW.tap)();
    for byte in text.as_bytes() {
        tap.feed(std::slice::from_ref(byte)).unwrap();
    }
    let seen = tap.seen();
    assert_eq!(seen.usage, Some(Usage { input: 3, output: 2, cached_read: 1, ..Usage::default() }));
    assert!(seen.finished && seen.ended && !seen.mid_event && seen.fault.is_none());
    // "hm", the decoded text, the name and the arguments.
    assert_eq!((seen.text_bytes, seen.event_count), (2 + 4 + 1 + 2, 4));
    tap.feed(b"data: {").unwrap();
    assert!(tap.seen().mid_event);
}

#[test]
fn a_broken_stream_ends_with_one_error_event() {
    let mut out = Vec::new();
    (ROW.encode_error_event)(&Fault::new(Kind::UpstreamCut, "upstream broke off"), Framing::Sse, &mut out);
    let wanted =
        "data: {\"error\":{\"message\":\"upstream broke off\",\"type\":\"upstream_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
    assert_eq!(ROW.id, ME);
}
