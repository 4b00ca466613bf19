//! Cohere's clients and models: both forms of its API, to itself and to others.

use serde_json::{Value, json};

use crate::client::{Answer, post};
use crate::process::{Mock, Ringway};

fn gateway(mock: &Mock) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  openai: {{base_url: \"http://{0}/v1\", keys: [sk-test-openai-key]}}\n  anthropic: {{base_url: \"http://{0}\", keys: [sk-test-anthropic-key]}}\n  cohere: {{base_url: \"http://{0}\", keys: [test-cohere-key]}}\n",
        mock.address
    ))
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "look", "description": "looks", "parameters": {"type": "object",
        "properties": {"at": {"type": "string"}}}}})
}

fn ask(model: &str, stream: bool, text: &str) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 64, "messages": [
        {"role": "system", "content": "be short"}, {"role": "user", "content": [{"type": "text", "text": text}]}]})
}

/// What the `content-delta`s of a chat stream say.
fn text(answer: &Answer) -> String {
    answer.events().iter().filter_map(|event| event.pointer("/delta/message/content/text")?.as_str().map(str::to_owned)).collect()
}

#[test]
fn a_cohere_client_reaches_cohere_untouched() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for path in ["/v2/chat", "/cohere/v2/chat"] {
        let whole = post(ringway.address, path, &ask("cohere/command-a", false, "hello"));
        assert_eq!(whole.json()["message"]["content"][0]["text"].as_str().map(|text| &text[..11]), Some("word0 word1"), "{}", whole.text());
    }
    assert_eq!(mock.log()[0]["headers"]["authorization"], "Bearer test-cohere-key");
    let direct = post(mock.address, "/v2/chat", &ask("command-a", true, "hello"));
    let stream = post(ringway.address, "/v2/chat", &ask("cohere/command-a", true, "hello"));
    assert_eq!((stream.complete, stream.text()), (true, direct.text()));
    let record = ringway.record();
    // What is billed, not what the provider's own template adds to it.
    assert_eq!(
        (&record["usage"]["input"], &record["usage"]["output"], &record["provenance"]),
        (&json!(10), &json!(16), &json!("provider")),
        "{record}"
    );
}

#[test]
fn a_cohere_client_reaches_other_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for model in ["openai/gpt-x", "anthropic/claude-x"] {
        let whole = post(ringway.address, "/v2/chat", &ask(model, false, "hello"));
        let json = whole.json();
        assert!(json["message"]["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("word0 word1")), "{}", whole.text());
        assert_eq!((&json["finish_reason"], &json["usage"]["billed_units"]["output_tokens"]), (&json!("COMPLETE"), &json!(16)));
        let stream = post(ringway.address, "/v2/chat", &ask(model, true, "hello"));
        assert!(stream.complete && text(&stream).starts_with("word0 word1"), "{}", stream.text());
        assert!(stream.text().ends_with("data: [DONE]\n\n") && stream.text().contains("event: message-end"), "{}", stream.text());

        let mut tools = ask(model, true, "now use the tools");
        tools["tools"] = json!([tool()]);
        let stream = post(ringway.address, "/v2/chat", &tools);
        let starts = stream.events().iter().filter(|event| event["type"] == "tool-call-start").count();
        assert_eq!(starts, 2, "{}", stream.text());
        assert!(stream.text().contains("\"TOOL_CALL\""), "{}", stream.text());

        let broken = post(
            ringway.address,
            "/v2/chat",
            &ask(&format!("{}/fault-inband-error", model.split('/').next().unwrap_or_default()), true, "hello"),
        );
        let ends: Vec<_> = broken.events().into_iter().filter(|event| event["type"] == "message-end").collect();
        assert_eq!(ends.iter().map(|end| &end["delta"]["finish_reason"]).collect::<Vec<_>>(), [&json!("ERROR")], "{}", broken.text());
        assert!(!broken.text().contains("[DONE]"));
    }
}

#[test]
fn other_clients_reach_cohere_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let chat = |stream: bool, text: &str| {
        json!({"model": "cohere/command-a", "stream": stream, "stream_options": {"include_usage": true}, "tools": [tool()], "messages": [
            {"role": "system", "content": "be short"}, {"role": "user", "content": "look"},
            {"role": "assistant", "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "seen"}, {"role": "user", "content": text}]})
    };
    let whole = post(ringway.address, "/v1/chat/completions", &chat(false, "hello"));
    assert!(whole.json()["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.starts_with("word0")), "{}", whole.text());
    let sent: Value = serde_json::from_str(mock.log()[0]["body"].as_str().expect("a body")).expect("JSON");
    let roles: Vec<_> =
        sent["messages"].as_array().expect("messages").iter().map(|message| message["role"].as_str().unwrap_or("")).collect();
    assert_eq!((roles, mock.log()[0]["path"].as_str()), (vec!["system", "user", "assistant", "tool", "user"], Some("/v2/chat")));
    let calls = post(ringway.address, "/v1/chat/completions", &chat(false, "now use the tools"));
    let choice = &calls.json()["choices"][0];
    assert_eq!((choice["message"]["tool_calls"].as_array().map(Vec::len), &choice["finish_reason"]), (Some(2), &json!("tool_calls")));
    assert_eq!(choice["message"]["reasoning_content"], "I will use a tool.");
    let stream = post(ringway.address, "/v1/chat/completions", &chat(true, "hello"));
    assert!(stream.complete && stream.chat_text().starts_with("word0 word1"), "{}", stream.text());
    assert_eq!(stream.events().last().expect("a usage event")["usage"]["prompt_tokens"], 10);

    let messages =
        |model: &str| json!({"model": model, "stream": true, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]});
    let stream = post(ringway.address, "/v1/messages", &messages("cohere/command-a"));
    assert!(stream.complete && stream.messages_text().starts_with("word0 word1"), "{}", stream.text());
    let broken = post(ringway.address, "/v1/messages", &messages("cohere/fault-inband-error"));
    assert!(broken.text().contains("event: error") && !broken.text().contains("message_stop"), "{}", broken.text());
}

#[test]
fn the_first_form_reaches_other_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |stream: bool| {
        json!({"model": "openai/gpt-x", "stream": stream, "preamble": "be short", "message": "hello",
            "chat_history": [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": "yes"}]})
    };
    let whole = post(ringway.address, "/v1/chat", &ask(false));
    assert!(whole.json()["text"].as_str().is_some_and(|text| text.starts_with("word0 word1")), "{}", whole.text());
    assert_eq!(whole.json()["meta"]["billed_units"]["output_tokens"], 16);
    let stream = post(ringway.address, "/cohere/v1/chat", &ask(true));
    assert_eq!((stream.complete, stream.field("content-type")), (true, Some("application/x-ndjson")), "{}", stream.text());
    let lines: Vec<Value> = stream.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let text: String =
        lines.iter().filter_map(|line| if line["event_type"] == "text-generation" { line["text"].as_str() } else { None }).collect();
    assert!(text.starts_with("word0 word1"), "{}", stream.text());
    assert_eq!(lines.last().expect("a line")["finish_reason"], "COMPLETE");
}

#[test]
fn errors_come_in_coheres_shape() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let answer = post(ringway.address, "/v2/chat", &ask("cohere-no/such", false, "hello"));
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(answer.json()["message"].is_string() && answer.json()["error"].is_null(), "{}", answer.text());
    let answer = post(ringway.address, "/v2/chat", &ask("openai/fault-context-length", false, "hello"));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.json()["message"].as_str().is_some_and(|message| message.starts_with("too many tokens")), "{}", answer.text());
}

#[test]
fn the_built_in_model_answers_in_every_form() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for stream in [false, true] {
        let bodies = [
            ("/v2/chat", json!({"messages": [{"role": "user", "content": "hello there"}]})),
            ("/v1/chat", json!({"message": "hello there"})),
            ("/api/chat", json!({"messages": [{"role": "user", "content": "hello there"}]})),
            ("/v1/completions", json!({"prompt": "hello there"})),
        ];
        for (path, mut body) in bodies {
            (body["model"], body["stream"]) = (json!("ringway/echo"), json!(stream));
            let answer = post(ringway.address, path, &body);
            assert!(answer.status == 200 && answer.complete && answer.text().contains("hello"), "{path}: {}", answer.text());
        }
    }
}
