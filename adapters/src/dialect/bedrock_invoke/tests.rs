//! Whole requests, answers and streams of every family.

use serde_json::{Value, json};

use super::{ROW, chunk};
use crate::dialect::{DialectId, Seen, Target};
use crate::event::{Delta, Event};
use crate::usage::Usage;

fn stream(chunks: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    chunks.iter().for_each(|json| chunk::write(json.to_string().as_bytes(), &mut out));
    out
}

fn tapped(bytes: &[u8]) -> Seen {
    let mut tap = (ROW.tap)();
    tap.feed(bytes).unwrap();
    tap.seen().clone()
}

fn whole(body: &Value) -> Seen {
    let mut tap = (ROW.tap)();
    tap.whole(body.to_string().as_bytes());
    tap.seen().clone()
}

fn counts(seen: &Seen) -> (u64, u64) {
    let usage = seen.usage.unwrap_or_default();
    (usage.input, usage.output)
}

#[test]
fn the_body_names_a_version_and_no_model() {
    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "a"}]});
    let mut bytes = body.to_string().into_bytes();
    let chat = (DialectId::Anthropic.row().decode_request)(&mut bytes).unwrap();
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model: "us.anthropic.claude-x", max_tokens_default: 1, inject_stream_usage: false };
    (ROW.encode_request)(&chat, &target, &mut out, &mut losses).unwrap();
    let expected = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]});
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
    let chat = (ROW.decode_request)(&mut out).unwrap();
    assert!(chat.extra.fields.is_empty() && chat.model.is_empty());
}

#[test]
fn another_familys_body_is_refused_with_what_to_do() {
    let fault = (ROW.decode_request)(&mut json!({"inputText": "x"}).to_string().into_bytes()).unwrap_err();
    assert!(fault.message.contains("only Anthropic's bodies"), "{}", fault.message);
}

/// Shapes of recorded answers.
#[test]
fn what_each_familys_answer_used_is_read() {
    for (body, expected) in [
        (
            json!({"type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 4}}),
            (3, 4),
        ),
        (
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}, "stopReason": "end_turn", "usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokenCount": 2}}),
            (5, 4),
        ),
        (json!({"generation": "a", "prompt_token_count": 3, "generation_token_count": 4, "stop_reason": "stop"}), (3, 4)),
        (json!({"inputTextTokenCount": 3, "results": [{"tokenCount": 4, "outputText": "a", "completionReason": "FINISH"}]}), (3, 4)),
        (json!({"embedding": [0.5], "inputTextTokenCount": 3}), (3, 0)),
        (
            json!({"id": "i", "choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
            (3, 4),
        ),
    ] {
        let seen = whole(&body);
        assert_eq!((counts(&seen), seen.finished, seen.is_whole), (expected, true, true), "{body}");
    }
    let cohere = whole(&json!({"generations": [{"text": "some words"}], "id": "i", "prompt": "p"}));
    assert!(cohere.usage.is_none() && cohere.text_bytes == 10 && cohere.bill().lacks_input);
}

#[test]
fn what_each_familys_stream_used_is_read() {
    let metrics = json!({"inputTokenCount": 3, "outputTokenCount": 4, "invocationLatency": 9, "firstByteLatency": 8});
    for chunks in [
        vec![
            json!({"generation": "a", "prompt_token_count": 3, "generation_token_count": 1, "stop_reason": null}),
            json!({"generation": "b", "prompt_token_count": null, "generation_token_count": 4, "stop_reason": "length", "amazon-bedrock-invocationMetrics": metrics}),
        ],
        vec![
            json!({"is_finished": false, "text": "ab"}),
            json!({"is_finished": true, "finish_reason": "MAX_TOKENS", "amazon-bedrock-invocationMetrics": metrics}),
        ],
        vec![
            json!({"outputText": "ab", "index": 0, "totalOutputTextTokenCount": 4, "completionReason": "LENGTH", "inputTextTokenCount": 3, "amazon-bedrock-invocationMetrics": metrics}),
        ],
        vec![
            json!({"completion": "ab", "stop_reason": null, "stop": null}),
            json!({"completion": "", "stop_reason": "stop_sequence", "amazon-bedrock-invocationMetrics": metrics}),
        ],
        vec![
            json!({"messageStart": {"role": "assistant"}}),
            json!({"contentBlockDelta": {"delta": {"text": "ab"}, "contentBlockIndex": 0}}),
            json!({"messageStop": {"stopReason": "end_turn"}}),
            json!({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}, "amazon-bedrock-invocationMetrics": metrics}),
        ],
    ] {
        let seen = tapped(&stream(&chunks));
        assert_eq!(
            (counts(&seen), seen.text_bytes, seen.finished, seen.ended, seen.mid_event),
            ((3, 4), 2, true, true, false),
            "{chunks:?}"
        );
    }
}

#[test]
fn novas_stream_is_decoded_too() {
    let bytes = stream(&[
        json!({"messageStart": {"role": "assistant"}}),
        json!({"contentBlockDelta": {"delta": {"text": "It"}, "contentBlockIndex": 0}}),
        json!({"contentBlockStop": {"contentBlockIndex": 0}}),
        json!({"messageStop": {"stopReason": "max_tokens"}}),
        json!({"metadata": {"usage": {"inputTokens": 5, "outputTokens": 10}}, "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5}}),
    ]);
    let (mut decoder, mut events) = ((ROW.stream_decoder)(), Vec::new());
    decoder.feed(&bytes, &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Delta { delta: Delta::Text(text), .. } if text == "It")));
    assert!(matches!(events.last(), Some(Event::End)));
    let usage = Usage { input: 5, output: 10, ..Usage::default() };
    assert!(events.iter().any(|event| matches!(event, Event::Usage { usage: got, .. } if *got == usage)));
}
