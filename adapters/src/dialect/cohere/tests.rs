//! Claims about the whole dialect.

use super::{ME, ROW, V1_ROW};
use crate::dialect::{Client, DialectId, Target};
use crate::event::{Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{Effort, Gravity, Loss, Mode};

fn client(mode: Mode) -> Client<'static> {
    Client { model: "m".into(), mode, stream_usage: true, now_unix: 0, framing: Framing::Sse }
}

/// A chat request as Cohere gets it, and what it lost.
fn from_chat(body: &str) -> (serde_json::Value, Vec<Loss>) {
    let mut body = body.as_bytes().to_vec();
    let chat = (DialectId::OpenaiChat.row().decode_request)(&mut body).unwrap();
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model: "command", max_tokens_default: 1, inject_stream_usage: false };
    (ROW.encode_request)(&chat, &target, &mut out, &mut losses).unwrap();
    (serde_json::from_slice(&out).unwrap(), losses)
}

fn decode(stream: &str) -> Result<Vec<Event>, Fault> {
    let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
    decoder.feed(stream.as_bytes(), &mut events)?;
    decoder.finish(&mut events).map(|()| events)
}

#[test]
fn sampling_is_fitted_and_said() {
    let (body, losses) = from_chat(
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"top_p":1,"presence_penalty":-1.5,"frequency_penalty":0.5,"stop":"q","seed":3,"max_tokens":9}"#,
    );
    assert_eq!(body["p"], serde_json::Value::Null);
    assert_eq!((&body["presence_penalty"], &body["frequency_penalty"]), (&0.0.into(), &0.5.into()));
    assert_eq!((&body["stop_sequences"][0], &body["max_tokens"]), (&"q".into(), &9.into()));
    assert_eq!(losses, [Loss { field: "presence_penalty".into(), gravity: Gravity::Tuning }]);
}

#[test]
fn one_forced_tool_is_any_tool_and_one_of_two_is_not() {
    let tool = |name: &str| format!(r#"{{"type":"function","function":{{"name":"{name}","parameters":{{"type":"object"}}}}}}"#);
    let ask = |tools: String| {
        from_chat(&format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{tools}],"tool_choice":{{"type":"function","function":{{"name":"a"}}}}}}"#
        ))
    };
    let (body, losses) = ask(tool("a"));
    assert_eq!((body["tool_choice"].as_str(), losses.len()), (Some("REQUIRED"), 0));
    let (body, losses) = ask([tool("a"), tool("b")].join(","));
    assert!(body["tool_choice"].is_null());
    assert_eq!(losses, [Loss { field: "tool_choice".into(), gravity: Gravity::Meaning }]);
}

#[test]
fn documents_beside_the_messages_return_there_and_are_text_elsewhere() {
    let json =
        r#"{"model":"m","messages":[{"role":"user","content":"who?"}],"documents":["plain",{"id":"d1","data":{"title":"t","text":"x"}}]}"#;
    let mut body = json.as_bytes().to_vec();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    let target = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    let (mut own, mut other, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    (ROW.encode_request)(&chat, &target, &mut own, &mut losses).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&own).unwrap(), serde_json::from_str::<serde_json::Value>(json).unwrap());
    (DialectId::OpenaiChat.row().encode_request)(&chat, &target, &mut other, &mut losses).unwrap();
    let other = String::from_utf8(other).unwrap();
    assert!(other.contains("plain") && other.contains(r#"{\"title\":\"t\",\"text\":\"x\"}"#), "{other}");
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn thinking_reads_as_effort_and_budget() {
    let effort = |thinking: &str| {
        let mut body = format!(r#"{{"model":"m","messages":[],"thinking":{thinking}}}"#).into_bytes();
        let reasoning = (ROW.decode_request)(&mut body).unwrap().reasoning.unwrap();
        (reasoning.effort, reasoning.budget_tokens)
    };
    assert_eq!(effort(r#"{"type":"disabled"}"#), (Some(Effort::None), None));
    assert_eq!(effort(r#"{"type":"enabled","token_budget":700}"#), (None, Some(700)));
    assert_eq!(effort(r#"{"type":"enabled"}"#).0, Some(Effort::High));
    let (body, _) = from_chat(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"medium"}"#);
    assert_eq!(body["thinking"], serde_json::json!({"type": "enabled", "token_budget": 8192}));
}

#[test]
fn a_plan_is_thinking_and_returns_as_a_plan() {
    let stream = "data: {\"type\":\"message-start\",\"id\":\"i\"}\n\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"I will\"}}}\n\n\
        data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}\n\n";
    let events = decode(stream).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Delta { delta: Delta::Thinking(text), .. } if text == "I will")));
    let mut out = Vec::new();
    let mut encoder = (ROW.stream_encoder)(client(Mode::Stream));
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.contains(r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}"#) && !out.contains("content-start"),
        "{out}"
    );
    assert!(out.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_stream_that_breaks_off_is_no_end() {
    assert_eq!(decode("data: {\"type\":\"message-start\",\"id\":\"i\"}\n\n").unwrap_err().kind, Kind::UpstreamCut);
    let events = decode("data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"no\"}}\n\n").unwrap();
    assert!(matches!(&events[..], [Event::Fault(fault)] if fault.message == "no" && fault.kind == Kind::UpstreamInBand));
    for bad in ["data: nonsense\n\n", "data: []\n\n", "data: {\"type\":\"content-delta\",\"index\":7,\"delta\":{}}\n\n"] {
        assert_eq!(decode(bad).unwrap_err().kind, Kind::MalformedResponse, "{bad}");
    }
}

#[test]
fn a_stream_of_the_first_form_reads_in_either_framing() {
    let lines = [
        r#"{"is_finished":false,"event_type":"stream-start","generation_id":"g"}"#,
        r#"{"is_finished":false,"event_type":"text-generation","text":"hi"}"#,
        r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"MAX_TOKENS","response":{"text":"hi","meta":{"billed_units":{"input_tokens":3,"output_tokens":1}}}}"#,
    ];
    for (before, after) in [("", "\n"), ("data: ", "\n\n")] {
        let stream: String = lines.iter().map(|line| format!("{before}{line}{after}")).collect();
        let events = decode(&stream).unwrap();
        assert!(matches!(events.last(), Some(Event::End)));
        assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::Length, .. })));
        let mut tap = (V1_ROW.tap)();
        tap.feed(stream.as_bytes()).unwrap();
        assert_eq!((tap.seen().usage.map(|usage| usage.input), tap.seen().text_bytes, tap.seen().ended), (Some(3), 2, true));
    }
}

#[test]
fn nothing_else_is_translated_into_the_first_form() {
    let mut body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#.to_vec();
    let chat = (ROW.decode_request)(&mut body).unwrap();
    assert_eq!(chat.extra.dialect, Some(ME));
    let mut losses = Vec::new();
    let target = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    let fault = (V1_ROW.encode_request)(&chat, &target, &mut Vec::new(), &mut losses).unwrap_err();
    assert_eq!((fault.kind, losses[0].gravity), (Kind::InvalidRequest, Gravity::Meaning));
}
