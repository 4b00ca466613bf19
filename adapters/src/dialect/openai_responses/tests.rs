//! Claims about the dialect on small examples; recorded traffic is checked in `adapters/tests/corpus.rs`.

use serde_json::{Value, json};

use super::ROW;
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{Extra, Gravity, Loss, Mode, PartKind, Role};
use crate::usage::Usage;

fn again(request: &Value, target: DialectId) -> (Value, Vec<Loss>) {
    let mut body = serde_json::to_vec(request).unwrap();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    let place = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    (target.row().encode_request)(&chat, &place, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses)
}

fn request() -> Value {
    json!({
        "model": "m", "instructions": "be brief",
        "input": [
            {"type": "message", "role": "developer", "content": "and kind"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "f.pdf"}
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "x"}]}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"}
        ],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "web_search", "search_context_size": "low"}
        ],
        "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": true, "stream": true, "max_output_tokens": 9,
        "temperature": 0.5, "top_p": 0.5, "user": "u", "service_tier": "flex",
        "reasoning": {"effort": "low", "summary": "auto", "context": "x"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
        "previous_response_id": "resp_0", "include": ["reasoning.encrypted_content"], "store": false, "truncation": "auto",
        "metadata": {"k": "v"}
    })
}

#[test]
fn every_field_comes_back() {
    assert_eq!(again(&request(), DialectId::OpenaiResponses), (request(), vec![]));
}

#[test]
fn items_of_the_assistant_are_one_turn() {
    let mut body = serde_json::to_vec(&request()).unwrap();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    assert_eq!(chat.system.len(), 2);
    assert!(matches!(chat.messages[1].parts[0].kind, PartKind::Thinking { signature: None, .. }));
    assert!(chat.stream_usage);
}

#[test]
fn the_way_to_chat_loses_only_what_it_says() {
    let (after, losses) = again(&request(), DialectId::OpenaiChat);
    assert_eq!(
        after["messages"][0],
        json!({"role": "system", "content": [{"type": "text", "text": "be brief"}, {"type": "text", "text": "and kind"}]})
    );
    assert_eq!(after["messages"][2]["tool_calls"][0]["id"], "c1");
    assert_eq!(after["messages"][3], json!({"role": "tool", "tool_call_id": "c1", "content": "one"}));
    assert_eq!(after["response_format"]["json_schema"]["name"], "s");
    assert_eq!((&after["metadata"]["k"], &after["store"]), (&json!("v"), &json!(false)));
    let meaning: Vec<&str> = losses.iter().filter(|loss| loss.gravity == Gravity::Meaning).map(|loss| loss.field.as_ref()).collect();
    assert_eq!(meaning, ["tools[1]", "previous_response_id"]);
}

#[test]
fn a_plain_string_is_a_user_message() {
    let (after, _) = again(&json!({"model": "m", "input": "hi"}), DialectId::OpenaiChat);
    assert_eq!(after["messages"], json!([{"role": "user", "content": "hi"}]));
}

fn events(reason: Finish) -> Vec<Event> {
    let extra = Extra::default;
    vec![
        Event::Start { id: "chatcmpl-1".into(), model: "up".into(), created: Some(5), extra: extra() },
        Event::Open { choice: 0, block: 0, kind: Block::Thinking },
        Event::Delta { choice: 0, block: 0, delta: Delta::Thinking("hm".into()) },
        Event::Close { choice: 0, block: 0, extra: extra() },
        Event::Open { choice: 0, block: 1, kind: Block::Text },
        Event::Delta { choice: 0, block: 1, delta: Delta::Text("a".into()) },
        Event::Delta { choice: 0, block: 1, delta: Delta::Text("b".into()) },
        Event::Close { choice: 0, block: 1, extra: extra() },
        Event::Open { choice: 0, block: 2, kind: Block::ToolCall { id: "c1".into(), name: "f".into(), extra: extra() } },
        Event::Delta { choice: 0, block: 2, delta: Delta::Arguments("{}".into()) },
        Event::Close { choice: 0, block: 2, extra: extra() },
        Event::Finish { choice: 0, reason, extra: extra() },
        Event::Usage { usage: Usage { input: 3, output: 2, ..Usage::default() }, extra: extra() },
        Event::End,
    ]
}

fn client(mode: Mode) -> Client<'static> {
    Client { model: "asked".into(), mode, stream_usage: true, now_unix: 7, framing: Framing::Sse }
}

fn stream(events: &[Event]) -> String {
    let mut encoder = (ROW.stream_encoder)(client(Mode::Stream));
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_foreign_stream_has_the_whole_lifecycle_in_order() {
    let text = stream(&events(Finish::ToolCalls));
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: response.")).collect();
    let wanted = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, wanted);
    for (index, data) in text.lines().filter_map(|line| line.strip_prefix("data: ")).enumerate() {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["sequence_number"], index);
    }
}

#[test]
fn whole_and_streamed_end_in_the_same_response() {
    for (reason, status) in [(Finish::ToolCalls, "completed"), (Finish::Length, "incomplete"), (Finish::Refusal, "incomplete")] {
        let events = events(reason);
        let mut whole = Vec::new();
        (ROW.encode_answer)(&events, &client(Mode::Whole), &mut whole);
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        let text = stream(&events);
        let last: Value = serde_json::from_str(text.trim_end().rsplit_once("data: ").unwrap().1).unwrap();
        assert_eq!(last["response"], whole);
        assert_eq!(last["type"], format!("response.{status}"));
        assert_eq!((&whole["id"], &whole["status"], &whole["model"]), (&json!("resp_chatcmpl-1"), &json!(status), &json!("asked")));
        for name in ["object", "created_at", "output", "parallel_tool_calls", "tool_choice", "tools", "usage", "metadata", "text"] {
            assert!(!whole[name].is_null(), "{name}");
        }
    }
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
    let text = stream(&events(Finish::ToolCalls));
    let whole = format!("{:?}", decode(text.as_bytes(), 0).unwrap());
    for cut in (0..=text.len()).step_by(3) {
        assert_eq!(format!("{:?}", decode(text.as_bytes(), cut).unwrap()), whole, "{cut}");
    }
    let last = text.rfind("event: ").unwrap();
    assert_eq!(decode(&text.as_bytes()[..last], 0).unwrap_err().kind, Kind::UpstreamCut);
    assert_eq!(decode(&text.as_bytes()[..last + 60], 0).unwrap_err().kind, Kind::UpstreamCut);
}

#[test]
fn a_failed_response_is_a_fault_for_decoder_and_tap() {
    let bodies = [
        r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"boom"}}}"#,
        r#"{"type":"error","code":"server_error","message":"boom","param":null,"sequence_number":3}"#,
    ];
    for body in bodies {
        let text = format!("event: x\ndata: {body}\n\n");
        let events = decode(text.as_bytes(), 0).unwrap();
        let [Event::Fault(fault)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((fault.kind, fault.message.as_ref(), fault.code()), (Kind::UpstreamInBand, "boom", "server_error"));
        let mut tap = (ROW.tap)();
        tap.feed(text.as_bytes()).unwrap();
        assert_eq!(tap.seen().fault.as_ref().map(|fault| fault.message.as_ref()), Some("boom"));
        assert!(!tap.seen().finished && !tap.seen().ended);
    }
}

#[test]
fn the_tap_sees_what_the_decoder_sees() {
    let text = stream(&events(Finish::Length));
    let mut tap = (ROW.tap)();
    for byte in text.as_bytes() {
        tap.feed(std::slice::from_ref(byte)).unwrap();
    }
    let seen = tap.seen();
    assert!(seen.finished && seen.ended && !seen.mid_event);
    assert_eq!((seen.text_bytes, seen.event_count), (2 + 1 + 1 + 1 + 2, 5));
    assert_eq!(seen.usage.map(|usage| usage.total()), Some(5));
}

#[test]
fn a_broken_stream_ends_with_one_failed_response() {
    let mut events = events(Finish::Stop);
    events.truncate(7);
    events.push(Event::Fault(Fault::new(Kind::UpstreamCut, "upstream broke off")));
    let text = stream(&events);
    let last = text.rsplit_once("event: ").unwrap().1;
    assert!(last.starts_with("response.failed\n"));
    let event: Value = serde_json::from_str(last.split_once("data: ").unwrap().1).unwrap();
    assert_eq!(event["response"]["status"], "failed");
    assert_eq!(event["response"]["error"], json!({"code": "upstream_error", "message": "upstream broke off"}));
    assert_eq!(event["response"]["id"], "resp_chatcmpl-1");
}
