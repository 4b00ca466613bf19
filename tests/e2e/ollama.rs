//! Ollama's clients and models, and the text interface before chat.

use serde_json::{Value, json};

use crate::client::{Answer, post};
use crate::process::{Mock, Ringway};

fn gateway(mock: &Mock) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  openai: {{base_url: \"http://{0}/v1\", keys: [sk-test-openai-key]}}\n  anthropic: {{base_url: \"http://{0}\", keys: [sk-test-anthropic-key]}}\n  ollama: {{base_url: \"http://{0}\"}}\n  vllm: {{base_url: \"http://{0}/v1\"}}\n",
        mock.address
    ))
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn ask(model: &str, stream: bool, text: &str) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "system", "content": "be short"}, {"role": "user", "content": text}]})
}

#[test]
fn an_ollama_client_reaches_ollama_untouched() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let direct = post(mock.address, "/api/chat", &ask("llama3", true, "hello"));
    let stream = post(ringway.address, "/api/chat", &ask("ollama/llama3", true, "hello"));
    assert_eq!((stream.complete, stream.text()), (true, direct.text()));
    let record = ringway.record();
    assert_eq!(
        (&record["usage"]["input"], &record["usage"]["output"], &record["provenance"]),
        (&json!(10), &json!(16), &json!("provider")),
        "{record}"
    );
    // A request that says nothing of it streams.
    let mut unsaid = ask("anthropic/claude-x", true, "hello");
    unsaid.as_object_mut().expect("an object").remove("stream");
    assert_eq!(lines(&post(ringway.address, "/api/chat", &unsaid)).last().expect("a line")["done"], true);
    let whole = post(ringway.address, "/api/chat", &ask("ollama/llama3", false, "hello"));
    assert!(whole.json()["message"]["content"].as_str().is_some_and(|text| text.starts_with("word0 word1")), "{}", whole.text());
}

#[test]
fn an_ollama_client_reaches_other_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for model in ["openai/gpt-x", "anthropic/claude-x"] {
        let whole = post(ringway.address, "/api/chat", &ask(model, false, "hello"));
        assert_eq!((&whole.json()["done"], &whole.json()["eval_count"]), (&json!(true), &json!(16)), "{}", whole.text());
        let stream = post(ringway.address, "/api/chat", &ask(model, true, "hello"));
        assert_eq!(stream.field("content-type"), Some("application/x-ndjson"), "{}", stream.head);
        let lines = lines(&stream);
        let text: String = lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
        assert!(stream.complete && text.starts_with("word0 word1"), "{}", stream.text());
        assert_eq!(lines.last().expect("a line")["done"], true);
        let broken = post(
            ringway.address,
            "/api/chat",
            &ask(&format!("{}/fault-inband-error", model.split('/').next().unwrap_or_default()), true, "hello"),
        );
        let told = broken.text();
        assert!(told.lines().last().is_some_and(|line| line.contains("\"error\"")) && !told.contains("\"done\":true"), "{told}");
    }
}

#[test]
fn other_clients_reach_ollama_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let messages = |model: &str, stream: bool, text: &str| {
        json!({"model": model, "stream": stream, "max_tokens": 64, "messages": [{"role": "user", "content": text}], "tools": [
            {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}]})
    };
    let stream = post(ringway.address, "/v1/messages", &messages("ollama/llama3", true, "hello"));
    assert!(stream.complete && stream.messages_text().starts_with("word0 word1"), "{}", stream.text());
    assert_eq!(mock.log()[0]["path"], "/api/chat");
    let whole = post(ringway.address, "/v1/messages", &messages("ollama/llama3", false, "now use the tools"));
    let json = whole.json();
    let calls = json["content"].as_array().expect("content").iter().filter(|part| part["type"] == "tool_use").count();
    assert_eq!((calls, &json["stop_reason"]), (2, &json!("tool_use")), "{}", whole.text());
    let broken = post(ringway.address, "/v1/messages", &messages("ollama/fault-inband-error", true, "hello"));
    assert!(broken.text().contains("event: error") && !broken.text().contains("message_stop"), "{}", broken.text());
    let cut = post(ringway.address, "/v1/messages", &messages("ollama/fault-cut-after-2", true, "hello"));
    assert!(cut.text().contains("event: error") && !cut.text().contains("message_stop"), "{}", cut.text());
    // An OpenAI client takes Ollama's compatible side, a Responses client its own.
    let chat = post(ringway.address, "/v1/chat/completions", &ask("ollama/llama3", false, "hello"));
    assert!(chat.json()["choices"][0]["message"]["content"].is_string(), "{}", chat.text());
    assert_eq!(mock.log().pop().expect("an attempt")["path"], "/v1/chat/completions");
    let responses = post(ringway.address, "/v1/responses", &json!({"model": "ollama/llama3", "input": "hello"}));
    assert!(responses.text().contains("word0 word1"), "{}", responses.text());
    assert_eq!(mock.log().pop().expect("an attempt")["path"], "/api/chat");
}

#[test]
fn completions_reach_their_own_servers_and_chat_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |model: &str, stream: bool| json!({"model": model, "prompt": "hello", "max_tokens": 64, "stream": stream});
    for (model, path) in [
        ("vllm/opt", "/v1/completions"),
        ("openai/gpt-3.5-turbo-instruct", "/v1/completions"),
        ("anthropic/claude-x", "/v1/messages"),
        ("ollama/llama3", "/api/chat"),
    ] {
        let whole = post(ringway.address, "/v1/completions", &ask(model, false));
        let choice = &whole.json()["choices"][0];
        assert!(choice["text"].as_str().is_some_and(|text| text.starts_with("word0 word1")), "{model}: {}", whole.text());
        assert_eq!((choice["finish_reason"].as_str(), whole.json()["usage"]["completion_tokens"].as_u64()), (Some("stop"), Some(16)));
        assert_eq!(mock.log().pop().expect("an attempt")["path"], path, "{model}");
        let stream = post(ringway.address, "/v1/completions", &ask(model, true));
        let text: String = stream.events().iter().filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_owned)).collect();
        assert!(stream.complete && text.starts_with("word0 word1") && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    }
    let mut batch = ask("anthropic/claude-x", false);
    batch["prompt"] = json!(["a", "b"]);
    let refused = post(ringway.address, "/v1/completions", &batch);
    assert_eq!(refused.status, 400, "{}", refused.text());
}
