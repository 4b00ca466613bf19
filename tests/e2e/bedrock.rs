//! Bedrock both ways: as the provider behind other dialects, and as what a client speaks.

use serde_json::{Value, json};

use ringway_adapters::frame::event_stream::{EventStreamSplitter, Message, write_frame};
use ringway_tests::standin::StandIn;

use crate::client::{post, post_with};
use crate::process::{Mock, Ringway};

const MODEL: &str = "us.anthropic.claude-mock-v1:0";

fn gateway(mock: &Mock) -> Ringway {
    Ringway::start(&format!(
        "providers:
  openai: {{base_url: \"http://{0}/v1\", keys: [sk-test-openai-key]}}
  anthropic: {{base_url: \"http://{0}\", keys: [sk-test-anthropic-key]}}
  bedrock: {{region: us-east-1, base_url: \"http://{0}\", access_key_id: AKIDEXAMPLE, secret_access_key: test-secret, session_token: test-token}}
  bearer: {{like: bedrock, region: eu-west-1, base_url: \"http://{0}\", keys: [bedrock-api-key]}}
routes:
  refused: {{targets: [{{model: bedrock/fault-context-length}}], retries: 0}}
  limited: {{targets: [{{model: bedrock/fault-429-retry-after-long}}], retries: 0}}
  broken: {{targets: [{{model: bedrock/fault-cut-after-3}}], retries: 0}}
  inband: {{targets: [{{model: bedrock/fault-inband-error}}], retries: 0}}
",
        mock.address
    ))
}

fn ask(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": text}]}], "inferenceConfig": {"maxTokens": 64}, "unknownField": {"a": [1, 2.5]}})
}

/// Names and payloads of the frames, exceptions with a `!`.
fn frames(body: &[u8]) -> Vec<(String, Value)> {
    let mut got = Vec::new();
    let mut splitter = EventStreamSplitter::default();
    let fed = splitter.feed(body, |frame| {
        let name = match frame.message() {
            Message::Event(name) => name.to_owned(),
            Message::Exception(name) => format!("!{name}"),
            Message::Error(code) => format!("!!{code}"),
        };
        got.push((name, serde_json::from_slice(frame.payload).expect("JSON in a frame")));
        Ok(())
    });
    fed.expect("whole frames");
    assert!(!splitter.mid_event(), "a torn frame at the end");
    got
}

fn text(frames: &[(String, Value)]) -> String {
    frames.iter().filter_map(|(_, payload)| payload["delta"]["text"].as_str()).collect()
}

#[test]
fn converse_passes_untouched_and_is_signed() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let path = "/model/bedrock%2Fus.anthropic.claude-mock-v1%3A0/converse";
    let whole = post(ringway.address, path, &ask("hello"));
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.json()["output"]["message"]["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("word0")));
    let stream = post(ringway.address, &format!("/bedrock{path}-stream"), &ask("hello"));
    assert_eq!(stream.field("content-type"), Some("application/vnd.amazon.eventstream"), "{}", stream.head);
    let got = frames(&stream.body);
    assert!(stream.complete && text(&got).starts_with("word0 word1"), "{got:?}");
    assert_eq!(got.last().map(|(name, payload)| (name.as_str(), &payload["usage"]["outputTokens"])), Some(("metadata", &json!(16))));
    let log = mock.log();
    assert_eq!(log[0]["path"], "/model/us.anthropic.claude-mock-v1%3A0/converse");
    assert_eq!(log[1]["path"], "/model/us.anthropic.claude-mock-v1%3A0/converse-stream");
    assert_eq!(log[0]["body"], ask("hello").to_string());
    let headers = &log[0]["headers"];
    let authorization = headers["authorization"].as_str().unwrap_or_default();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="));
    assert_eq!((headers["x-amz-security-token"].as_str(), headers["x-amz-date"].as_str().map(str::len)), (Some("test-token"), Some(16)));
    let record = ringway.record();
    assert_eq!((&record["usage"]["input"], &record["usage"]["output"]), (&json!(10), &json!(16)), "{record}");
}

#[test]
fn a_bedrock_api_key_goes_as_a_bearer_token() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let answer = post(ringway.address, "/model/bearer%2Fm/converse", &ask("hello"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(mock.log()[0]["headers"]["authorization"], "Bearer bedrock-api-key");
}

#[test]
fn invoke_passes_untouched_whole_and_streamed() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]});
    let whole = post(ringway.address, &format!("/model/bedrock%2F{MODEL}/invoke"), &body);
    assert_eq!((whole.status, whole.json()["type"].as_str()), (200, Some("message")), "{}", whole.text());
    let stream = post(ringway.address, &format!("/model/bedrock%2F{MODEL}/invoke-with-response-stream"), &body);
    let got = frames(&stream.body);
    assert!(stream.complete && got.iter().all(|(name, payload)| name == "chunk" && payload["bytes"].is_string()), "{got:?}");
    let record = ringway.record();
    assert_eq!((&record["usage"]["input"], &record["usage"]["output"]), (&json!(10), &json!(16)), "{record}");
    let log = mock.log();
    assert_eq!((log[0]["body"].as_str(), log[1]["body"].as_str()), (Some(body.to_string().as_str()), Some(body.to_string().as_str())));
}

#[test]
fn clients_of_other_dialects_reach_bedrock() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}});
    let chat = |stream: bool, text: &str| {
        json!({"model": format!("bedrock/{MODEL}"), "stream": stream, "stream_options": {"include_usage": true}, "tools": [tool],
            "messages": [{"role": "system", "content": "be short"}, {"role": "user", "content": text}]})
    };
    let whole = post(ringway.address, "/v1/chat/completions", &chat(false, "use the tools"));
    assert_eq!(whole.json()["choices"][0]["message"]["tool_calls"].as_array().map(Vec::len), Some(2), "{}", whole.text());
    let stream = post(ringway.address, "/v1/chat/completions", &chat(true, "hello"));
    assert!(stream.complete && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    assert!(stream.chat_text().starts_with("word0 word1"));
    assert_eq!(stream.events().last().expect("a usage event")["usage"]["completion_tokens"], 16);
    let sent: Value = serde_json::from_str(mock.log()[0]["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!((&sent["system"], &sent["toolConfig"]["tools"][0]["toolSpec"]["name"]), (&json!([{"text": "be short"}]), &json!("look")));
    assert_eq!(mock.log()[1]["path"], "/model/us.anthropic.claude-mock-v1%3A0/converse-stream");
    let messages = json!({"model": format!("bedrock/{MODEL}"), "max_tokens": 2048, "stream": true, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": "hello"}]});
    let stream = post(ringway.address, "/v1/messages", &messages);
    assert!(
        stream.complete && stream.text().contains("event: message_stop") && stream.text().contains("signature_delta"),
        "{}",
        stream.text()
    );
    assert!(stream.messages_text().starts_with("word0 word1"));
    let sent: Value = serde_json::from_str(mock.log()[2]["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(sent["additionalModelRequestFields"]["thinking"]["budget_tokens"], 1024);
}

#[test]
fn clients_of_bedrock_reach_other_providers() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for provider in ["openai", "anthropic"] {
        let path = format!("/model/{provider}%2Fm/converse");
        let whole = post(ringway.address, &path, &json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}));
        assert!(
            whole.json()["output"]["message"]["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("word0")),
            "{}",
            whole.text()
        );
        assert_eq!(whole.json()["usage"]["inputTokens"], 10);
        let stream =
            post(ringway.address, &format!("{path}-stream"), &json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}));
        let got = frames(&stream.body);
        assert!(stream.complete && text(&got).starts_with("word0 word1"), "{provider} {got:?}");
        let names: Vec<_> = got.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "contentBlockDelta").collect();
        assert_eq!(names, ["messageStart", "contentBlockStop", "messageStop", "metadata"], "{provider}");
        assert_eq!(stream.field("content-type"), Some("application/vnd.amazon.eventstream"), "{}", stream.head);
    }
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]});
    let invoked = post(ringway.address, "/model/openai%2Fm/invoke", &body);
    assert_eq!(invoked.json()["stop_reason"], "end_turn", "{}", invoked.text());
    let streamed = post(ringway.address, "/model/anthropic%2Fm/invoke-with-response-stream", &body);
    assert!(streamed.complete && frames(&streamed.body).len() > 16, "{} {:?}", streamed.head, frames(&streamed.body));
}

#[test]
fn faults_come_in_bedrocks_shape() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for (model, status, class) in [
        ("refused", 400, "ValidationException"),
        ("limited", 429, "ThrottlingException"),
        ("nobody-serves-this", 404, "ResourceNotFoundException"),
    ] {
        let answer = post(ringway.address, &format!("/model/{model}/converse"), &ask("hello"));
        assert_eq!((answer.status, answer.field("x-amzn-errortype")), (status, Some(class)), "{}{}", answer.head, answer.text());
        assert!(answer.json()["message"].is_string(), "{}", answer.text());
    }
    for model in ["broken", "inband"] {
        let stream = post(ringway.address, &format!("/model/{model}/converse-stream"), &ask("hello"));
        let got = frames(&stream.body);
        assert_eq!(got.last().map(|(name, _)| name.as_str()), Some("!modelStreamErrorException"), "{model}: {got:?}");
        assert!(text(&got).starts_with("word0") && !got.iter().any(|(name, _)| name == "messageStop"), "{model}: {got:?}");
        let foreign = post(
            ringway.address,
            "/v1/chat/completions",
            &json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "x"}]}),
        );
        assert!(foreign.error_count() == 1 && !foreign.text().contains("[DONE]"), "{model}: {}", foreign.text());
    }
}

#[test]
fn the_id_of_a_signing_key_is_the_virtual_key() {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  bedrock: {{base_url: \"http://{0}\", access_key_id: a, secret_access_key: b}}\nvirtual_keys:\n  one: {{key: rw-0123456789abcdef}}\n",
        mock.address
    ));
    let signed = |id: &str| {
        format!(
            "authorization: AWS4-HMAC-SHA256 Credential={id}/20261120/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00\r\nx-amz-date: 20261120T000000Z\r\n"
        )
    };
    let path = "/model/bedrock%2Fm/converse";
    assert_eq!(post_with(ringway.address, path, &signed("rw-0123456789abcdef"), &ask("hello")).status, 200);
    let refused = post_with(ringway.address, path, &signed("rw-other-0123456789"), &ask("hello"));
    assert_eq!((refused.status, refused.field("x-amzn-errortype")), (401, Some("UnrecognizedClientException")), "{}", refused.head);
    let log = mock.log();
    assert!(log.len() == 1 && log[0]["headers"]["authorization"].as_str().is_some_and(|line| line.contains("Credential=a/")));
    assert_ne!(log[0]["headers"]["x-amz-date"], "20261120T000000Z");
}

fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let mut frame = Vec::new();
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write_frame(&mut frame, &headers, payload.to_string().as_bytes());
    frame
}

/// A stream of a start, a delta, and the bytes of a second one with this text up to `cut`; then the transport ends.
fn cut_in_a_frame(text: &str, cut: usize) -> StandIn {
    let delta = |text: &str| frame("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": text}}));
    let mut body = [frame("messageStart", &json!({"role": "assistant"})), delta("one")].concat();
    body.extend_from_slice(&delta(text)[..cut]);
    StandIn::start(move |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n";
        [format!("{head}{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
    })
}

/// Half a frame has no end that another one could follow: it is held back until it is whole, so that the exception finds a boundary.
#[test]
fn a_stream_cut_inside_a_frame_ends_with_an_exception() {
    let converse = |upstream: &StandIn| {
        let ringway = Ringway::start(&format!(
            "providers:\n  bedrock: {{region: us-east-1, base_url: \"http://{}\", keys: [k]}}\n",
            upstream.address
        ));
        let answer = post(ringway.address, "/model/bedrock%2Fm/converse-stream", &ask("hello"));
        assert!(ringway.record()["fault"].is_string());
        answer
    };
    let long = "x".repeat(200_000);
    for (text, cut) in [("two", 1), ("two", 11), ("two", 40), (&*long, 150_000)] {
        let answer = converse(&cut_in_a_frame(text, cut));
        let got = frames(&answer.body);
        let names: Vec<&str> = got.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["messageStart", "contentBlockDelta", "!modelStreamErrorException"], "{cut}");
        assert_eq!(self::text(&got), "one");
        assert!(!answer.complete, "no final chunk follows");
    }
}
