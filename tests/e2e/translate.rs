//! Between dialects: an OpenAI client reaches Claude models, an Anthropic client reaches OpenAI models.

use serde_json::json;

use crate::client::{post, post_with};
use crate::process::{Mock, Ringway};

fn gateway(mock: &Mock) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  openai: {{base_url: \"http://{0}/v1\", keys: [sk-test-openai-key]}}\n  anthropic: {{base_url: \"http://{0}\", keys: [sk-test-anthropic-key]}}\n",
        mock.address
    ))
}

#[test]
fn equal_dialects_pass_bytes_untouched() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let body = r#"{ "model" : "openai/gpt-x",   "messages":[{"role":"user","content":"hé\u00e9"}], "unknown": {"a": [1, 2.50]} }"#;
    let answer = crate::client::exchange(
        ringway.address,
        &crate::client::request("/v1/chat/completions", "authorization: Bearer client-secret\r\n", body),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let log = mock.log();
    assert_eq!(log[0]["body"], body.replace("openai/gpt-x", "gpt-x"));
    assert_eq!(log[0]["headers"]["authorization"], "Bearer sk-test-openai-key");
    assert_eq!(log[0]["path"], "/v1/chat/completions");
}

#[test]
fn an_openai_client_reaches_claude_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |stream: bool| {
        json!({"model": "anthropic/claude-x", "stream": stream, "stream_options": {"include_usage": true}, "messages": [
            {"role": "system", "content": "be short"}, {"role": "user", "content": "hello"}]})
    };
    let whole = post(ringway.address, "/v1/chat/completions", &ask(false));
    let choice = &whole.json()["choices"][0];
    assert!(choice["message"]["content"].as_str().is_some_and(|text| text.starts_with("word0")), "{}", whole.text());
    assert_eq!(choice["finish_reason"], "stop");
    let stream = post(ringway.address, "/v1/chat/completions", &ask(true));
    assert!(stream.complete && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    assert!(stream.chat_text().starts_with("word0 word1"));
    assert_eq!(stream.events().last().expect("a usage event")["usage"]["completion_tokens"], 16);
    let sent: serde_json::Value = serde_json::from_str(mock.log()[0]["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(sent["messages"][0]["role"], "user");
    assert!(sent["system"].to_string().contains("be short") && sent["max_tokens"].is_u64());
    assert_eq!(mock.log()[0]["headers"]["x-api-key"], "sk-test-anthropic-key");
    assert!(mock.log()[0]["headers"]["anthropic-version"].is_string());
}

#[test]
fn an_anthropic_client_reaches_openai_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let tool =
        json!({"name": "look", "description": "looks", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}});
    let ask = |stream: bool, text: &str| {
        json!({"model": "openai/gpt-x", "max_tokens": 64, "stream": stream, "tools": [tool], "system": [
            {"type": "text", "text": "be short", "cache_control": {"type": "ephemeral"}}], "messages": [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "x"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "seen"}, {"type": "text", "text": text}]}]})
    };
    let whole = post(ringway.address, "/v1/messages", &ask(false, "now use the tools"));
    let json = whole.json();
    let calls: Vec<_> = json["content"].as_array().expect("content").iter().filter(|part| part["type"] == "tool_use").collect();
    assert_eq!((calls.len(), &json["stop_reason"]), (2, &json!("tool_use")), "{}", whole.text());
    let stream = post(ringway.address, "/v1/messages", &ask(true, "hello"));
    assert!(stream.complete && stream.text().contains("event: message_stop"), "{}", stream.text());
    assert!(stream.messages_text().starts_with("word0 word1"));
    let sent: serde_json::Value = serde_json::from_str(mock.log()[0]["body"].as_str().expect("a body")).expect("JSON");
    let roles: Vec<_> =
        sent["messages"].as_array().expect("messages").iter().map(|message| message["role"].as_str().unwrap_or("")).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    let count = post(ringway.address, "/v1/messages/count_tokens", &ask(false, "hello"));
    assert!(count.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 10), "{}", count.text());
}

#[test]
fn a_loss_of_meaning_is_refused_and_one_of_tuning_is_told() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let tuned = json!({"model": "anthropic/claude-x", "seed": 7, "messages": [{"role": "user", "content": "hello"}]});
    let answer = post(ringway.address, "/v1/chat/completions", &tuned);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.field("x-ringway-losses").is_some_and(|losses| losses.contains("seed")), "{}", answer.head);
    let changed = json!({"model": "anthropic/claude-x", "n": 3, "messages": [{"role": "user", "content": "hello"}]});
    let answer = post(ringway.address, "/v1/chat/completions", &changed);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("invalid_request_error")), "{}", answer.text());
}

#[test]
fn the_usage_event_is_stripped_unless_the_client_asked() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |options: serde_json::Value| {
        let mut body = json!({"model": "openai/gpt-x", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
        if !options.is_null() {
            body["stream_options"] = options;
        }
        post_with(ringway.address, "/v1/chat/completions", "", &body)
    };
    let quiet = ask(serde_json::Value::Null);
    assert!(quiet.complete && quiet.events().iter().all(|event| event["usage"].is_null()), "{}", quiet.text());
    assert_eq!(quiet.chat_text().split(' ').count(), 16);
    assert_eq!(ringway.record()["provenance"], "provider");
    let asked = ask(json!({"include_usage": true}));
    assert!(asked.events().iter().any(|event| event["usage"]["completion_tokens"] == 16));
}

#[test]
fn a_deployments_path_names_the_model() {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  azure: {{base_url: \"http://{0}\", api_version: 2024-10-21, keys: [k]}}\n  anthropic: {{base_url: \"http://{0}\", keys: [k]}}\n",
        mock.address
    ));
    let ask = |model: &str, body: serde_json::Value| {
        let path = format!("/openai/deployments/{model}/chat/completions?api-version=2023-05-15&x=1");
        post(ringway.address, &path, &body)
    };
    let messages = json!([{"role": "user", "content": "hello"}]);
    for body in [json!({"messages": messages}), json!({"model": "gpt-4o", "messages": messages})] {
        let answer = ask("azure/my-model", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = mock.log().pop().expect("an attempt");
        // The configuration's version, once; the client's other parameters go along.
        assert_eq!(seen["path"], "/openai/deployments/my-model/chat/completions?api-version=2024-10-21&x=1");
        assert_eq!(seen["model"], "my-model");
    }
    let translated = ask("anthropic%2Fclaude-x", json!({"messages": messages}));
    assert_eq!(translated.status, 200, "{}", translated.text());
    assert_eq!(mock.log().pop().expect("an attempt")["model"], "claude-x");
}

#[test]
fn a_refusal_that_is_the_clients_to_mend_keeps_its_words() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |model: &str| json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]});
    for (path, provider) in [("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic")] {
        let direct = post(mock.address, path, &ask("fault-content-filter"));
        let answer = post(ringway.address, path, &ask(&format!("{provider}/fault-content-filter")));
        assert_eq!((answer.status, answer.text()), (direct.status, direct.text()));
        assert_eq!(answer.field("x-should-retry"), Some("false"));
    }
}
