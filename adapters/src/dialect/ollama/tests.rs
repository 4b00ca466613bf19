//! Claims about the whole dialect.

use super::ROW;
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{Gravity, Mode, PartKind};

fn from_chat(model: &str, body: &str) -> (serde_json::Value, Vec<String>) {
    let mut body = body.as_bytes().to_vec();
    let chat = (DialectId::OpenaiChat.row().decode_request)(&mut body).unwrap();
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model, max_tokens_default: 1, inject_stream_usage: false };
    (ROW.encode_request)(&chat, &target, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses.iter().map(|loss| format!("{} {:?}", loss.field, loss.gravity)).collect())
}

fn decode(stream: &str) -> Result<Vec<Event>, Fault> {
    let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
    decoder.feed(stream.as_bytes(), &mut events)?;
    decoder.finish(&mut events).map(|()| events)
}

#[test]
fn arguments_are_objects_and_results_name_their_tool() {
    let (body, losses) = from_chat(
        "m",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\n \"a\":2}"}}]},{"role":"tool","tool_call_id":"c1","content":"ok"}],"max_tokens":5,"stop":"q","reasoning_effort":"high","stream":true}"#,
    );
    assert_eq!(body["messages"][1]["tool_calls"][0]["function"]["arguments"].to_string(), r#"{"b":1,"a":2}"#);
    let result = serde_json::json!({"role": "tool", "content": "ok", "tool_name": "f", "tool_call_id": "c1"});
    assert_eq!(body["messages"][2], result);
    assert_eq!(body["options"], serde_json::json!({"num_predict": 5, "stop": ["q"]}));
    assert_eq!((&body["think"], &body["stream"]), (&true.into(), &true.into()));
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn only_some_models_are_told_how_much_to_think() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"low"}"#;
    assert_eq!(from_chat("gpt-oss:20b", body).0["think"], "low");
    assert_eq!(from_chat("qwen3", body).0["think"], true);
    assert_eq!(from_chat("qwen3", &body.replace("low", "none")).0["think"], false);
}

#[test]
fn what_it_cannot_do_is_said() {
    let (body, losses) = from_chat(
        "m",
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://h/i.png"}}]}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required","n":2}"#,
    );
    assert!(body["messages"][0]["images"].is_null());
    let meaning = format!(" {:?}", Gravity::Meaning);
    assert_eq!(losses, ["messages[0].content[1]", "tool_choice", "n"].map(|field| format!("{field}{meaning}")));
}

#[test]
fn images_are_base64_and_keep_their_kind() {
    let mut body = br#"{"model":"m","messages":[{"role":"user","content":"x","images":["/9j/4AAQ"]}]}"#.to_vec();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    assert_eq!(chat.stream, Mode::Stream, "a stream unless the request says no");
    let mut out = Vec::new();
    let target = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    (DialectId::OpenaiChat.row().encode_request)(&chat, &target, &mut out, &mut Vec::new()).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("data:image/jpeg;base64,/9j/4AAQ"));
}

#[test]
fn calls_without_ids_find_their_results_by_name() {
    let mut body = br#"{"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}},{"function":{"name":"g","arguments":{}}}]},{"role":"tool","tool_name":"g","content":"1"},{"role":"tool","content":"2"}]}"#.to_vec();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    let results: Vec<&str> = chat.messages[1]
        .parts
        .iter()
        .filter_map(|part| if let PartKind::ToolResult { call_id, .. } = &part.kind { Some(call_id.as_ref()) } else { None })
        .collect();
    assert_eq!(results, ["call_0_1", "call_0_0"]);
}

#[test]
fn a_call_ends_with_tool_calls_and_has_an_id() {
    let line = r#"{"model":"m","created_at":"2026-01-02T03:04:05.6Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":true,"done_reason":"stop"}"#;
    let events = decode(line).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::ToolCalls, .. })));
    assert!(
        events.iter().any(|event| matches!(event, Event::Open { kind: Block::ToolCall { id, .. }, .. } if id == "call_202601020304056_0"))
    );
}

#[test]
fn a_stream_that_breaks_off_is_no_end() {
    let part = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"done\":false}\n";
    assert_eq!(decode(part).unwrap_err().kind, Kind::UpstreamCut);
    assert_eq!(decode(&part[..30]).unwrap_err().kind, Kind::UpstreamCut);
    let events = decode(&format!("{part}{{\"error\":\"it broke\"}}\n")).unwrap();
    assert!(matches!(events.last(), Some(Event::Fault(fault)) if fault.message == "it broke"));
    for bad in ["nonsense\n", "[]\n", "{}\n"] {
        assert_eq!(decode(bad).unwrap_err().kind, Kind::MalformedResponse, "{bad}");
    }
}

#[test]
fn an_error_is_one_line() {
    let mut out = Vec::new();
    let mut encoder =
        (ROW.stream_encoder)(Client { model: "m".into(), mode: Mode::Stream, stream_usage: true, now_unix: 0, framing: Framing::Ndjson });
    encoder.encode(&Event::Fault(Fault::new(Kind::UpstreamCut, "cut\nshort")), &mut out);
    encoder.encode(&Event::End, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "{\"error\":\"cut\\nshort\",\"code\":\"upstream_error\"}\n");
}
