//! Claims about the whole dialect.

use super::ROW;
use crate::dialect::{Client, DialectId, Target};
use crate::event::Event;
use crate::fault::Kind;
use crate::frame::Framing;
use crate::ir::{Gravity, Mode};

fn encode(from: DialectId, to: DialectId, body: &str) -> (String, Vec<String>) {
    let mut body = body.as_bytes().to_vec();
    let chat = (from.row().decode_request)(&mut body).unwrap();
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model: "m", max_tokens_default: 1, inject_stream_usage: false };
    (to.row().encode_request)(&chat, &target, &mut out, &mut losses).unwrap();
    (String::from_utf8(out).unwrap(), losses.iter().map(|loss| format!("{} {:?}", loss.field, loss.gravity)).collect())
}

#[test]
fn a_prompt_is_one_user_message_and_back() {
    let prompt = r#"{"model":"m","prompt":"say hi","max_tokens":5}"#;
    let (chat, losses) = encode(DialectId::OpenaiCompletions, DialectId::OpenaiChat, prompt);
    assert_eq!(chat, r#"{"model":"m","messages":[{"role":"user","content":"say hi"}],"max_completion_tokens":5}"#);
    assert!(losses.is_empty(), "{losses:?}");
    let (again, losses) = encode(DialectId::OpenaiChat, DialectId::OpenaiCompletions, &chat);
    assert_eq!((again.as_str(), losses.len()), (prompt, 0));
}

#[test]
fn what_is_no_prompt_is_said() {
    let meaning = format!("{:?}", Gravity::Meaning);
    let (_, losses) =
        encode(DialectId::OpenaiCompletions, DialectId::OpenaiChat, r#"{"model":"m","prompt":["x"],"suffix":"s","echo":true,"best_of":2}"#);
    assert!(losses.contains(&format!("suffix {meaning}")) && losses.contains(&format!("echo {meaning}")), "{losses:?}");
    assert!(losses.contains(&format!("best_of {:?}", Gravity::Tuning)), "{losses:?}");
    let (body, losses) = encode(
        DialectId::OpenaiChat,
        DialectId::OpenaiCompletions,
        r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
    );
    assert!(body.contains(r#""prompt":"s\n\nUser: u\n\nAssistant:""#), "{body}");
    assert_eq!(losses, [format!("messages {meaning}"), format!("tools {meaning}")]);
}

#[test]
fn every_choice_needs_its_reason() {
    let chunk = |index: u32, reason: &str| {
        format!("data: {{\"id\":\"i\",\"choices\":[{{\"text\":\"x\",\"index\":{index},\"finish_reason\":{reason}}}]}}\n\n")
    };
    let decode = |stream: String| {
        let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
        decoder.feed(stream.as_bytes(), &mut events)?;
        decoder.finish(&mut events).map(|()| events)
    };
    let half = chunk(0, "\"stop\"") + &chunk(1, "null");
    assert_eq!(decode(half.clone() + "data: [DONE]\n\n").unwrap_err().kind, Kind::UpstreamCut);
    assert!(matches!(decode(half + &chunk(1, "\"length\"")).unwrap().last(), Some(Event::End)));
    let fault = decode("data: {\"error\":{\"message\":\"no\"}}\n\n".to_owned()).unwrap();
    assert!(matches!(&fault[..], [Event::Fault(fault)] if fault.message == "no"));
}

#[test]
fn usage_is_told_only_when_asked_for() {
    let mut events = Vec::new();
    let body = r#"{"id":"i","created":1,"model":"m","choices":[{"text":"x","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    (ROW.decode_answer)(&mut body.as_bytes().to_vec(), &mut events).unwrap();
    for stream_usage in [true, false] {
        let client = Client { model: "m".into(), mode: Mode::Stream, stream_usage, now_unix: 0, framing: Framing::Sse };
        let (mut encoder, mut out) = ((ROW.stream_encoder)(client), Vec::new());
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.contains("prompt_tokens"), stream_usage, "{out}");
        assert!(out.ends_with("data: [DONE]\n\n") && out.contains(r#""finish_reason":"stop""#), "{out}");
    }
}
