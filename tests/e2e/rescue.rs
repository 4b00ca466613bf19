//! Rescue: a stream that breaks after its first byte still becomes one whole answer.

use serde_json::{Value, json};

use crate::client::{Answer, post};
use crate::process::{Mock, Ringway};

struct Route {
    mock: Mock,
    ringway: Ringway,
}

fn route(rescue: &str, targets: &str) -> Route {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  a: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-a-key]}}\n  claude: {{like: anthropic, base_url: \"http://{0}\", keys: [sk-test-b-key]}}\n  eager: {{like: groq, base_url: \"http://{0}/v1\", keys: [sk-test-c-key]}}\nroutes:\n  r:\n    {targets}\n    rescue: {rescue}\n    retries: 1\n    timeouts: {{first_byte: 1s, idle: 500ms}}\n",
        mock.address
    ));
    Route { mock, ringway }
}

fn ask(route: &Route) -> Answer {
    let body = json!({"model": "r", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hello"}]});
    post(route.ringway.address, "/v1/chat/completions", &body)
}

fn words(count: usize) -> String {
    (0..count).map(|index| format!("word{index}")).collect::<Vec<_>>().join(" ")
}

fn whole(route: &Route) {
    let answer = ask(route);
    assert!(answer.complete && answer.error_count() == 0, "{}", answer.text());
    assert_eq!(answer.chat_text().trim(), words(16), "{}", answer.text());
    let usages: Vec<Value> = answer.events().into_iter().filter(|event| event["usage"].is_object()).collect();
    assert_eq!(usages.len(), 1, "the client sees one usage: {}", answer.text());
    let record = route.ringway.record();
    assert_eq!(record["rescued"], true, "{record}");
    assert_eq!(record["attempts"].as_array().map(Vec::len), Some(route.mock.log().len()), "{record}");
}

#[test]
fn a_restart_completes_a_broken_stream() {
    for fault in ["cut-after-3", "stall-after-3", "malformed-event", "inband-error", "reset-mid-body"] {
        whole(&route("restart", &format!("targets: [{{model: a/fault-{fault}}}]\n    fallbacks: [a/spare]")));
    }
}

#[test]
fn a_restart_may_ask_the_same_target_again() {
    whole(&route("restart", "targets: [{model: a/fault-cut-after-once-4}]"));
}

#[test]
fn a_restart_that_differs_ends_with_the_error_event() {
    let route = route("restart", "targets: [{model: a/fault-cut-after-3}]\n    fallbacks: [a/diverge-spare]");
    let answer = ask(&route);
    assert!(!answer.complete && answer.error_count() == 1 && !answer.text().contains("[DONE]"), "{}", answer.text());
    assert_eq!(answer.chat_text().trim(), words(3));
    assert_eq!(route.mock.log().len(), 2, "an answer that does not repeat is not asked for again");
}

#[test]
fn a_resume_sends_the_text_so_far_along() {
    let route = route("resume", "targets: [{model: a/fault-cut-after-3}]\n    fallbacks: [claude/claude-3-5-haiku-20241022]");
    whole(&route);
    let log = route.mock.log();
    let sent: Value = serde_json::from_str(log[1]["body"].as_str().expect("a body")).expect("JSON");
    let last = sent["messages"].as_array().and_then(|messages| messages.last()).expect("messages").clone();
    assert_eq!(last["role"], "assistant", "{sent}");
}

#[test]
fn a_refused_prefill_never_reaches_the_client() {
    let route = route("resume", "targets: [{model: a/fault-cut-after-3}]\n    fallbacks: [eager/fault-prefill-refused]");
    whole(&route);
    let log = route.mock.log();
    let tries: Vec<(&Value, bool)> = log[1..]
        .iter()
        .map(|entry| {
            let sent: Value = serde_json::from_str(entry["body"].as_str().expect("a body")).expect("JSON");
            let last = sent["messages"].as_array().and_then(|messages| messages.last()).expect("messages").clone();
            (&entry["status"], last["role"] == "assistant")
        })
        .collect();
    assert_eq!(tries, [(&json!(400), true), (&json!(200), false)], "asked with the prefill, then without");
}
