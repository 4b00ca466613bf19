//! The first request of a newcomer: no file, no key, no network.

use serde_json::json;

use crate::client::{get, post};
use crate::process::Ringway;

fn ask(model: &str, stream: bool) -> serde_json::Value {
    json!({"model": model, "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "one two three"}]})
}

#[test]
fn echo_answers_every_dialect_whole_and_streamed() {
    let ringway = Ringway::start("{}");
    let chat = post(ringway.address, "/v1/chat/completions", &ask("ringway/echo", false));
    assert_eq!((chat.status, chat.json()["choices"][0]["message"]["content"].as_str()), (200, Some("one two three")));
    let stream = post(ringway.address, "/v1/chat/completions", &ask("ringway/echo", true));
    assert!(stream.complete && stream.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(stream.chat_text(), "one two three");

    let messages = post(ringway.address, "/v1/messages", &ask("ringway/echo", false));
    assert_eq!(messages.json()["content"][0]["text"], "one two three");
    let count = post(ringway.address, "/v1/messages/count_tokens", &ask("ringway/echo", false));
    assert!(count.json()["input_tokens"].as_u64() > Some(0), "{}", count.text());
    let stream = post(ringway.address, "/anthropic/v1/messages", &ask("ringway/echo", true));
    assert!(stream.complete);
    assert_eq!(stream.messages_text(), "one two three");

    let whole = post(ringway.address, "/v1/responses", &json!({"model": "ringway/echo", "input": "one two three"}));
    assert_eq!(whole.json()["output"][0]["content"][0]["text"], "one two three", "{}", whole.text());
    let stream = post(ringway.address, "/openai/v1/responses", &json!({"model": "ringway/echo", "input": "one two three", "stream": true}));
    assert_eq!(stream.events().last().expect("events")["type"], "response.completed");
}

#[test]
fn the_first_count_is_by_the_vocabulary() {
    let ringway = Ringway::start("{}");
    let count = || post(ringway.address, "/v1/messages/count_tokens", &ask("ringway/echo", false)).json()["input_tokens"].clone();
    // By length it would be another figure: three words, a turn, a prompt.
    let counts = [count(), count(), count()];
    assert!(counts.iter().all(|count| *count == counts[0] && *count == 10), "{counts:?}");
}

#[test]
fn answers_say_who_answered_and_leave_one_record() {
    let ringway = Ringway::start("{}");
    let answer = post(ringway.address, "/v1/chat/completions", &ask("ringway/echo", false));
    let id = answer.field("x-ringway-request-id").expect("an id").to_owned();
    assert_eq!(answer.field("x-ringway-provider"), Some("ringway"));
    assert_eq!(answer.field("x-ringway-model"), Some("echo"));
    let record = ringway.record();
    assert_eq!(record["id"], id);
    assert_eq!((&record["status"], &record["asked"]), (&json!(200), &json!("ringway/echo")));
}

#[test]
fn models_are_listed_in_both_shapes() {
    let ringway = Ringway::start("{}");
    let list = get(ringway.address, "/v1/models").json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("ringway/echo")));
    assert_eq!(get(ringway.address, "/v1/models/ringway%2Fecho").json()["id"], "ringway/echo");
    assert_eq!(get(ringway.address, "/v1/models/nothing").status, 404);
    let bytes = b"GET /v1/models HTTP/1.1\r\nhost: test\r\nanthropic-version: 2023-06-01\r\n\r\n";
    let list = crate::client::exchange(ringway.address, bytes).json();
    assert_eq!((&list["has_more"], &list["data"][0]["type"]), (&json!(false), &json!("model")));
}

#[test]
fn unknown_paths_and_models_say_what_to_do() {
    let ringway = Ringway::start("{}");
    let answer = get(ringway.address, "/nowhere");
    assert_eq!((answer.status, answer.json()["error"]["type"].is_string()), (404, true));
    let answer = post(ringway.address, "/v1/chat/completions", &ask("gpt-9", false));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("model_not_found")));
    let answer = post(ringway.address, "/v1/chat/completions", &ask("ringway/ekko", false));
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(answer.text().contains("ringway/echo"), "{}", answer.text());
    let answer = post(ringway.address, "/v1/messages", &ask("claude-9", false));
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (404, &json!("not_found_error")));
    let answer = post(ringway.address, "/v1/chat/completions", &json!({"messages": []}));
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("model")));
}

#[test]
fn probes_answer_on_both_listeners() {
    let ringway = Ringway::start("{}");
    for address in [ringway.address, ringway.admin] {
        assert_eq!(get(address, "/livez").status, 200);
        assert_eq!(get(address, "/readyz").status, 200);
    }
    let metrics = get(ringway.admin, "/metrics");
    assert!(metrics.text().contains("ringway_"), "{}", metrics.text());
    assert_eq!(get(ringway.admin, "/api/v1/providers").status, 401);
}
