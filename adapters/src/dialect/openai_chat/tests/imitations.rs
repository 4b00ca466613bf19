//! Claims about what servers that imitate the dialect do in their own way.

use serde_json::{Value, json};

use super::super::ROW;
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Delta, Event};
use crate::fault::Kind;
use crate::ir::{CacheMark, Gravity, Loss, Mode, PartKind};

/// Decoded here, encoded in `target`.
fn through(target: DialectId, request: &Value) -> (Value, Vec<Loss>) {
    let mut body = serde_json::to_vec(request).unwrap();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let to = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    (target.row().encode_request)(&chat, &to, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses)
}

fn streamed(chunks: &[Value]) -> Vec<Event> {
    let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
    for chunk in chunks {
        decoder.feed(format!("data: {chunk}\n\n").as_bytes(), &mut events).unwrap();
    }
    decoder.finish(&mut events).unwrap();
    events
}

fn whole(body: &Value) -> Vec<Event> {
    let mut events = Vec::new();
    (ROW.decode_answer)(&mut body.to_string().into_bytes(), &mut events).unwrap();
    events
}

fn text(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Delta { delta: Delta::Text(text), .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn members_beside_a_function_and_a_system_text_come_back_and_mark_the_cache() {
    let request = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"role": "user", "content": "u"}
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}, "cache_control": {"type": "ephemeral"}}]
    });
    assert_eq!(through(DialectId::OpenaiChat, &request), (request.clone(), vec![]));
    let mut body = request.to_string().into_bytes();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    assert_eq!((chat.system[0].cache, chat.tools[0].cache), (Some(CacheMark::Hour1), Some(CacheMark::Minutes5)));
    let (anthropic, losses) = through(DialectId::Anthropic, &request);
    assert_eq!(anthropic["tools"][0]["cache_control"], json!({"type": "ephemeral"}));
    assert_eq!(anthropic["system"][0]["cache_control"], json!({"type": "ephemeral", "ttl": "1h"}));
    assert_eq!(losses, []);
}

#[test]
fn a_result_that_names_no_call_answers_the_next_one() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let request = json!({"model": "m", "messages": [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [call("one"), call("two")]},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "2"}
    ]});
    assert_eq!(through(DialectId::OpenaiChat, &request), (request.clone(), vec![]));
    let mut body = request.to_string().into_bytes();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    let ids = chat.messages[2].parts.iter().map(|part| match &part.kind {
        PartKind::ToolResult { call_id, .. } => call_id.to_string(),
        _ => String::new(),
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["one", "two"]);
    let mut lone = json!({"messages": [{"role": "tool", "content": "1"}]}).to_string().into_bytes();
    assert_eq!((ROW.decode_request)(&mut lone).unwrap_err().param.as_deref(), Some("messages[0].tool_call_id"));
}

#[test]
fn a_file_id_is_refused_towards_another_provider_alone() {
    let anthropic = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "file", "file_id": "f"}}
    ]}]});
    let mut body = anthropic.to_string().into_bytes();
    let chat = (DialectId::Anthropic.row().decode_request)(&mut body).unwrap();
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let to = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    (ROW.encode_request)(&chat, &to, &mut out, &mut losses).unwrap();
    assert_eq!(losses, [Loss { field: "messages[0].content[0].file_id".into(), gravity: Gravity::Meaning }]);
    let own = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]});
    assert_eq!(through(DialectId::OpenaiResponses, &own).1, []);
}

#[test]
fn an_error_inside_a_choice_is_the_answers() {
    let error = json!({"code": 502, "message": "Error processing stream"});
    let events = whole(&json!({
        "id": "i", "model": "m", "choices": [{"index": 0, "finish_reason": null, "message": {"content": "half"}, "error": error}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 9, "total_tokens": 17}
    }));
    let [.., Event::Usage { usage, .. }, Event::Fault(fault)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((usage.total(), fault.kind, fault.message.as_ref()), (17, Kind::UpstreamInBand, "Error processing stream"));
    let events = streamed(&[
        json!({"id": "i", "choices": [{"index": 0, "delta": {"content": "half"}}]}),
        json!({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": error}]}),
    ]);
    assert!(matches!(events.last(), Some(Event::Fault(_))) && text(&events) == "half", "{events:?}");
}

#[test]
fn structured_output_that_came_as_an_object_is_its_text() {
    let choice = json!({"index": 0, "message": {"content": {"a": 1}}, "finish_reason": "stop"});
    assert_eq!(text(&whole(&json!({"choices": [choice]}))), r#"{"a":1}"#);
    let events = streamed(&[json!({"id": "i", "choices": [{"index": 0, "delta": {"content": {"a": 1}}, "finish_reason": "stop"}]})]);
    assert_eq!(text(&events), r#"{"a":1}"#);
}

#[test]
fn a_message_beside_each_delta_says_nothing_new() {
    let both = |text: &str| json!({"index": 0, "message": {"content": text}, "delta": {"content": text}, "finish_reason": null});
    let events = streamed(&[
        json!({"id": "i", "choices": [both("a")]}),
        json!({"id": "i", "choices": [both("b")]}),
        json!({"id": "i", "choices": [{"index": 0, "message": {"content": null}, "delta": {}, "finish_reason": "stop"}]}),
    ]);
    let is_private = |event: &Event| matches!(event, Event::Open { kind: Block::Private { .. }, .. });
    assert!(text(&events) == "ab" && !events.iter().any(is_private), "{events:?}");
}

#[test]
fn a_member_that_changes_in_the_stream_stands_once_in_each_chunk() {
    let events = streamed(&[
        json!({"id": "i", "x_groq": {"id": "r"}, "choices": [{"index": 0, "delta": {"content": "a"}}]}),
        json!({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "r", "usage": {}},
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}),
    ]);
    let framing = ROW.framing;
    let client = Client { model: "m".into(), mode: Mode::Stream, stream_usage: true, now_unix: 1, framing };
    let (mut encoder, mut out) = ((ROW.stream_encoder)(client), Vec::new());
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.matches("x_groq").count() <= 1), "{text}");
    assert!(text.contains(r#""x_groq":{"id":"r","usage":{}}"#), "{text}");
}
