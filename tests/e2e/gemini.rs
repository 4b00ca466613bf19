//! Gemini's clients and models: the same dialect untouched, and every other dialect on either side.

use ringway_tests::standin::{StandIn, json as answer_json};
use serde_json::{Value, json};

use crate::client::{Answer, get, post};
use crate::process::{Mock, Ringway};

fn gateway(mock: &Mock) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  openai: {{base_url: \"http://{0}/v1\", keys: [sk-test-openai-key]}}\n  anthropic: {{base_url: \"http://{0}\", keys: [sk-test-anthropic-key]}}\n  gemini: {{base_url: \"http://{0}\", keys: [test-gemini-key], models: [gemini-2.5-flash]}}\nroutes:\n  r:\n    targets: [{{model: gemini/fault-cut-after-3}}]\n    fallbacks: [gemini/spare]\n    rescue: restart\n    retries: 1\n",
        mock.address
    ))
}

fn sent(mock: &Mock) -> Value {
    let body = mock.log().pop().expect("an attempt")["body"].as_str().expect("a body").to_owned();
    serde_json::from_str(&body).expect("JSON")
}

fn hello() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}], "systemInstruction": {"parts": [{"text": "be short"}]},
        "generationConfig": {"maxOutputTokens": 100}})
}

fn with_tools(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}], "tools": [{"functionDeclarations": [
        {"name": "look", "description": "looks", "parameters": {"type": "OBJECT", "properties": {"at": {"type": "STRING"}}}}]}]})
}

/// The text of all chunks.
fn text(chunks: &[Value]) -> String {
    let parts = chunks.iter().filter_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array()).flatten();
    parts.filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

fn words() -> String {
    (0..16).map(|index| format!("word{index}")).collect::<Vec<_>>().join(" ")
}

/// The chunks of either framing.
fn chunks(answer: &Answer) -> Vec<Value> {
    if answer.body.starts_with(b"[") { answer.json().as_array().cloned().unwrap_or_default() } else { answer.events() }
}

#[test]
fn equal_dialects_pass_bytes_untouched() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let body = r#"{ "contents" : [{"parts":[{"text":"hé\u00e9"}]}], "unknown": {"a": [1, 2.50]} }"#;
    let path = "/v1beta/models/gemini/gemini-x:generateContent?key=client-secret&x=1";
    let answer = crate::client::exchange(ringway.address, &crate::client::request(path, "", body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let log = mock.log();
    assert_eq!(log[0]["body"], body);
    assert_eq!(log[0]["path"], "/v1beta/models/gemini-x:generateContent?x=1");
    assert_eq!(log[0]["headers"]["x-goog-api-key"], "test-gemini-key");
    assert_eq!(text(&[answer.json()]), words());
    let record = ringway.record();
    assert_eq!((&record["usage"]["input"], &record["usage"]["output"]), (&json!(10), &json!(16)), "{record}");
}

#[test]
fn streams_of_equal_dialects_pass_in_every_form_of_the_path() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for prefix in ["/v1beta", "/v1", "/gemini/v1beta", "/genai/v1beta", "/gemini"] {
        let answer = post(ringway.address, &format!("{prefix}/models/gemini%2Fgemini-x:streamGenerateContent?alt=sse"), &hello());
        assert!(answer.complete, "{prefix}: {}", answer.text());
        assert_eq!(text(&answer.events()), words(), "{prefix}");
        assert_eq!(mock.log().pop().expect("an attempt")["path"], "/v1beta/models/gemini-x:streamGenerateContent?alt=sse");
    }
}

#[test]
fn a_gemini_client_reaches_models_of_other_dialects() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    for model in ["openai/gpt-x", "anthropic/claude-x"] {
        let ask = |verb: &str, body: &Value| post(ringway.address, &format!("/v1beta/models/{model}:{verb}"), body);
        let whole = ask("generateContent", &hello());
        assert_eq!(whole.status, 200, "{model}: {}", whole.text());
        assert_eq!(text(&[whole.json()]), words());
        assert_eq!(
            (&whole.json()["candidates"][0]["finishReason"], &whole.json()["usageMetadata"]["promptTokenCount"]),
            (&json!("STOP"), &json!(10))
        );
        for (verb, content_type) in [("streamGenerateContent?alt=sse", "text/event-stream"), ("streamGenerateContent", "application/json")]
        {
            let stream = ask(verb, &hello());
            assert!(
                stream.complete && stream.field("content-type").is_some_and(|field| field.starts_with(content_type)),
                "{}",
                stream.head
            );
            let chunks = chunks(&stream);
            assert_eq!(text(&chunks), words(), "{model} {verb}: {}", stream.text());
            let last = chunks.last().expect("a last chunk");
            assert_eq!(
                (&last["candidates"][0]["finishReason"], &last["usageMetadata"]["candidatesTokenCount"]),
                (&json!("STOP"), &json!(16))
            );
        }
        let calls = ask("generateContent", &with_tools("use the tools"));
        let parts = calls.json()["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
        let names: Vec<&Value> = parts.iter().map(|part| &part["functionCall"]["name"]).collect();
        assert_eq!(names, ["look", "look"], "{model}: {}", calls.text());
        let stream = ask("streamGenerateContent?alt=sse", &with_tools("use the tools"));
        let count = stream.text().matches("functionCall").count();
        assert_eq!(count, 2, "{model}: {}", stream.text());
    }
}

#[test]
fn clients_of_other_dialects_reach_gemini_models() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}});
    let ask = |stream: bool, text: &str| {
        json!({"model": "gemini/gemini-3-x", "stream": stream, "stream_options": {"include_usage": true}, "tools": [tool], "messages": [
            {"role": "system", "content": "be short"}, {"role": "user", "content": "look"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "seen"}, {"role": "user", "content": text}]})
    };
    let whole = post(ringway.address, "/v1/chat/completions", &ask(false, "hello"));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], words(), "{}", whole.text());
    let body = sent(&mock);
    assert_eq!(mock.log().pop().expect("an attempt")["path"], "/v1beta/models/gemini-3-x:generateContent");
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "be short");
    assert_eq!(body["contents"][1]["parts"][0]["functionCall"], json!({"id": "c1", "name": "look", "args": {"at": "x"}}));
    assert!(body["contents"][1]["parts"][0]["thoughtSignature"].is_string(), "Gemini 3 demands one: {body}");
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"], json!({"id": "c1", "name": "look", "response": {"output": "seen"}}));
    assert_eq!(body.get("model").or(body.get("stream")), None);
    let calls = post(ringway.address, "/v1/chat/completions", &ask(false, "now use the tools"));
    let choice = &calls.json()["choices"][0];
    assert_eq!(
        (choice["message"]["tool_calls"].as_array().map(Vec::len), &choice["finish_reason"]),
        (Some(2), &json!("tool_calls")),
        "{}",
        calls.text()
    );
    let stream = post(ringway.address, "/v1/chat/completions", &ask(true, "hello"));
    assert!(stream.complete && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    assert_eq!(stream.chat_text(), words());
    assert_eq!(mock.log().pop().expect("an attempt")["path"], "/v1beta/models/gemini-3-x:streamGenerateContent?alt=sse");
    let messages = json!({"model": "gemini/gemini-3-x", "max_tokens": 64, "stream": true, "thinking": {"type": "enabled", "budget_tokens": 2048},
        "messages": [{"role": "user", "content": "hello"}]});
    let stream = post(ringway.address, "/v1/messages", &messages);
    assert!(stream.complete && stream.text().contains("event: message_stop"), "{}", stream.text());
    assert_eq!(stream.messages_text(), words());
    assert!(stream.text().contains("thinking_delta"), "{}", stream.text());
    assert_eq!(sent(&mock)["generationConfig"]["thinkingConfig"]["includeThoughts"], true);
}

#[test]
fn a_broken_stream_ends_with_one_error_or_is_rescued() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |model: &str, query: &str| post(ringway.address, &format!("/v1beta/models/{model}:streamGenerateContent{query}"), &hello());
    for model in ["gemini/fault-cut-after-3", "gemini/fault-inband-error", "openai/fault-cut-after-3", "anthropic/fault-inband-error"] {
        let answer = ask(model, "?alt=sse");
        // Where the upstream broke before anything went out, the whole answer is the error.
        let errors = answer.text().matches("\"status\":\"").count();
        assert_eq!(errors, 1, "{model}: {}", answer.text());
        assert!(!answer.text().contains("finishReason"), "{model}: {}", answer.text());
    }
    let answer = ask("openai/fault-cut-after-3", "").json();
    let error = answer.as_array().map_or(Some(&answer), |chunks| chunks.last()).expect("an error");
    assert_eq!(error["error"]["code"], 502, "{answer}");
    // A gateway whose only record is this one.
    let ringway = gateway(&mock);
    let answer = post(ringway.address, "/v1beta/models/r:streamGenerateContent?alt=sse", &hello());
    assert!(answer.complete && answer.error_count() == 0, "{}", answer.text());
    assert_eq!(text(&answer.events()), words());
    assert_eq!(ringway.record()["rescued"], true);
}

#[test]
fn errors_have_googles_shape() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let ask = |model: &str| post(ringway.address, &format!("/v1beta/models/{model}:generateContent"), &hello());
    let unknown = ask("nobody/x");
    assert_eq!((unknown.status, &unknown.json()["error"]["status"]), (404, &json!("NOT_FOUND")), "{}", unknown.text());
    let long = ask("openai/fault-context-length");
    assert_eq!((long.status, &long.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")), "{}", long.text());
    let own = ask("gemini/fault-context-length");
    assert_eq!((own.status, own.json()), (400, post(mock.address, "/v1beta/models/fault-context-length:generateContent", &hello()).json()));
}

#[test]
fn tokens_are_counted_and_models_listed_in_geminis_shape() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let count = |model: &str, body: &Value| post(ringway.address, &format!("/v1beta/models/{model}:countTokens"), body).json();
    assert_eq!(count("gemini/gemini-x", &hello())["totalTokens"], 10);
    let wrapped = json!({"generateContentRequest": {"model": "models/x", "contents": hello()["contents"]}});
    for body in [hello(), wrapped] {
        assert!(count("openai/gpt-x", &body)["totalTokens"].as_u64().is_some_and(|tokens| tokens > 4), "{body}");
    }
    let models = get(ringway.address, "/v1beta/models").json();
    let listed =
        models["models"].as_array().expect("models").iter().find(|model| model["name"] == "models/gemini/gemini-2.5-flash").cloned();
    let listed = listed.unwrap_or_else(|| panic!("{models}"));
    assert_eq!((&listed["inputTokenLimit"], listed["outputTokenLimit"].is_u64()), (&json!(1_048_576), true), "{listed}");
}

#[test]
fn embeddings_of_the_same_dialect_pass_untouched() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let one = json!({"content": {"parts": [{"text": "a"}]}});
    let batch = json!({"requests": [one, one]});
    let answer = post(ringway.address, "/v1beta/models/gemini/embedder:batchEmbedContents", &batch);
    assert_eq!(answer.json()["embeddings"].as_array().map(Vec::len), Some(2), "{}", answer.text());
}

#[test]
fn vertex_paths_lead_to_vertex_and_claude_speaks_anthropics_dialect_there() {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  vertex: {{base_url: \"http://{0}\", project: p1, location: us-east5, access_token: test-token}}\n",
        mock.address
    ));
    let path = "/v1beta1/projects/any/locations/global/publishers/google/models/vertex%2Fgemini-x:generateContent";
    let answer = post(ringway.address, path, &hello());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = mock.log().pop().expect("an attempt");
    assert_eq!(seen["path"], "/v1/projects/p1/locations/us-east5/publishers/google/models/gemini-x:generateContent");
    assert_eq!(seen["headers"]["authorization"], "Bearer test-token");
    let path = "/v1/projects/any/locations/l/publishers/anthropic/models/vertex%2Fclaude-x:rawPredict";
    let body = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]});
    let answer = post(ringway.address, path, &body);
    assert_eq!((answer.status, &answer.json()["type"]), (200, &json!("message")), "{}", answer.text());
    let seen = mock.log().pop().expect("an attempt");
    assert_eq!(seen["path"], "/v1/projects/p1/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict");
    assert_eq!(seen["body"], body.to_string());
}

#[test]
fn clients_of_every_dialect_reach_claude_at_vertex() {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  vertex: {{base_url: \"http://{0}\", project: p1, location: us-east5, access_token: test-token}}\n",
        mock.address
    ));
    let path = |verb: &str| format!("/v1/projects/p1/locations/us-east5/publishers/anthropic/models/claude-x%401:{verb}");
    // The dialect's own body loses its model alone and gains the version; all other bytes stay.
    let body = r#"{ "model" : "vertex/claude-x@1", "max_tokens":64,"messages" : [{"role":"user","content":"h\u00e9"}],"unknown": {"a": [1, 2.50]} }"#;
    let answer = crate::client::exchange(ringway.address, &crate::client::request("/v1/messages", "", body));
    assert_eq!((answer.status, &answer.json()["type"]), (200, &json!("message")), "{}", answer.text());
    let seen = mock.log().pop().expect("an attempt");
    assert_eq!(seen["path"], path("rawPredict"));
    let expected = r#"{"max_tokens":64,"messages" : [{"role":"user","content":"h\u00e9"}],"unknown": {"a": [1, 2.50]},"anthropic_version":"vertex-2023-10-16"}"#;
    assert_eq!(seen["body"], expected);

    let hello = json!([{"role": "user", "content": "hello"}]);
    let messages = |stream: bool| json!({"model": "vertex/claude-x@1", "max_tokens": 64, "stream": stream, "messages": hello});
    let streamed = post(ringway.address, "/v1/messages", &messages(true));
    assert!(streamed.complete && streamed.text().contains("event: message_stop"), "{}", streamed.text());
    assert_eq!(streamed.messages_text(), words());
    let chat = |stream: bool| json!({"model": "vertex/claude-x@1", "stream": stream, "messages": hello});
    let whole = post(ringway.address, "/v1/chat/completions", &chat(false));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], words(), "{}", whole.text());
    let streamed = post(ringway.address, "/v1/chat/completions", &chat(true));
    assert!(streamed.complete && streamed.text().ends_with("data: [DONE]\n\n"), "{}", streamed.text());
    assert_eq!(streamed.chat_text(), words());
    for verb in ["generateContent", "streamGenerateContent"] {
        let answer = post(ringway.address, &format!("/v1beta/models/vertex%2Fclaude-x%401:{verb}"), &self::hello());
        assert!(answer.complete && answer.status == 200, "{verb}: {}", answer.text());
        let chunks = if verb == "generateContent" { vec![answer.json()] } else { chunks(&answer) };
        assert_eq!(text(&chunks), words(), "{verb}");
    }
    let verbs = ["rawPredict", "streamRawPredict", "rawPredict", "streamRawPredict", "rawPredict", "streamRawPredict"];
    let log = mock.log();
    assert_eq!(log.len(), verbs.len());
    for (seen, verb) in log.iter().zip(verbs) {
        assert_eq!(seen["path"], path(verb));
        let body: Value = serde_json::from_str(seen["body"].as_str().expect("a body")).expect("JSON");
        assert_eq!((&body["anthropic_version"], body.get("model")), (&json!("vertex-2023-10-16"), None), "{body}");
        assert_eq!(body["stream"] == json!(true), verb == "streamRawPredict", "{body}");
    }
}

#[test]
fn a_client_of_embeddings_keeps_its_verb() {
    let upstream = StandIn::start(|asked| match asked.line.contains(":embedContent") {
        true => answer_json("200 OK", r#"{"embedding":{"values":[0.5]}}"#),
        false => answer_json("200 OK", r#"{"embeddings":[{"values":[0.5]}]}"#),
    });
    let ringway =
        Ringway::start(&format!("providers:\n  gemini: {{base_url: \"http://{}\", keys: [test-gemini-key]}}\n", upstream.address));
    let one = json!({"content": {"parts": [{"text": "Hello world"}]}, "model": "models/gemini-embedding-001"});
    let answer = post(ringway.address, "/v1beta/models/gemini-embedding-001:embedContent", &one);
    assert_eq!((answer.status, &answer.json()["embedding"]["values"]), (200, &json!([0.5])), "{}", answer.text());
    let answer = post(ringway.address, "/v1beta/models/gemini%2Fgemini-embedding-001:batchEmbedContents", &json!({"requests": [one]}));
    assert_eq!(answer.json()["embeddings"][0]["values"], json!([0.5]), "{}", answer.text());
    let asked = upstream.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    let path = "POST /v1beta/models/gemini-embedding-001";
    assert_eq!(lines, [format!("{path}:embedContent"), format!("{path}:batchEmbedContents")]);
    assert_eq!(asked[0].body, one.to_string().into_bytes());
}

/// An array's element has no end that another one could follow: each is held until it is whole, and the error stands behind the last whole
/// one.
#[test]
fn an_array_cut_inside_an_element_ends_with_an_error() {
    let element = |text: &str| json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}).to_string();
    for (second, keep) in [("two".to_owned(), 20), ("x".repeat(200_000), 150_000)] {
        let body = format!("[{},\r\n{}", element("one"), &element(&second)[..keep]);
        let upstream = StandIn::start(move |_| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ntransfer-encoding: chunked\r\n\r\n";
            format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()
        });
        let ringway =
            Ringway::start(&format!("providers:\n  gemini: {{base_url: \"http://{}\", keys: [test-gemini-key]}}\n", upstream.address));
        let answer = post(ringway.address, "/v1beta/models/gemini%2Fgemini-x:streamGenerateContent", &hello());
        assert!(!answer.complete, "no final chunk follows");
        let chunks = chunks(&answer);
        assert_eq!((chunks.len(), text(&chunks[..1])), (2, "one".to_owned()), "{}", answer.text());
        assert!(chunks[1]["error"]["status"].is_string(), "{}", answer.text());
        assert!(ringway.record()["fault"].is_string());
    }
}

/// A stand-in for Gemini whose stream is this array, in chunks that end with `end`.
fn array(elements: String, end: &'static str) -> (StandIn, Ringway) {
    let upstream = StandIn::start(move |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{:x}\r\n{elements}\r\n{end}", elements.len()).into_bytes()
    });
    let ringway = Ringway::start(&format!("providers:\n  gemini: {{base_url: \"http://{}\", keys: [k]}}\n", upstream.address));
    (upstream, ringway)
}

#[test]
fn an_array_that_is_closed_without_a_finish_ends_with_an_error() {
    // Several reads long: the client has its beginning before the end is seen.
    let long = "x".repeat(200_000);
    let chunk = format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{long}"}}]}},"index":0}}]}},{{}}"#);
    for elements in [format!("[{chunk}\n]"), format!("[{chunk}\n]\n\n")] {
        let (_upstream, ringway) = array(elements, "0\r\n\r\n");
        let answer = post(ringway.address, "/v1beta/models/gemini%2Fx:streamGenerateContent", &hello());
        assert!(!answer.complete, "{}", answer.text());
        let all = answer.json();
        assert_eq!((text(&all.as_array().unwrap()[..1]), all[2]["error"]["code"].is_u64()), (long.clone(), true), "{}", all[2]);
        assert!(ringway.record()["fault"].is_string());
    }
}

#[test]
fn a_break_inside_a_long_element_is_told() {
    let chunk = |text: &str| format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{text}"}}]}},"index":0}}]}}"#);
    // Longer than what a socket takes at once; the rest of it never comes, or is more than an event may have.
    for (len, end) in [(200_000, "zz\r\n"), (1_300_000, "0\r\n\r\n")] {
        let long = chunk(&"x".repeat(len));
        let (_upstream, ringway) = array(format!("[{}\n,{}", chunk("hi"), &long[..long.len() - 9]), end);
        let answer = post(ringway.address, "/v1beta/models/gemini%2Fx:streamGenerateContent", &hello());
        assert!(!answer.complete);
        let all = answer.json();
        assert_eq!((text(&all.as_array().unwrap()[..1]).as_str(), all[1]["error"]["code"].is_u64()), ("hi", true), "{len}");
    }
}
