//! Conditions, and the explanation of what they decided.

use serde_json::{Value, json};

use crate::client::{exchange, get, post, post_with};
use crate::process::{Mock, Ringway};

fn gateway(mock: &Mock) -> Ringway {
    let config = format!(
        "providers:\n  mine: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-key]}}\nroutes:\n  r:\n    targets: [{{model: mine/eu, when: 'request.tags.env == \"eu\"'}}, {{model: mine/tools, when: request.has.tools}}, {{model: mine/agent, when: 'request.headers[\"x-agent\"].startsWith(\"a\")'}}, {{model: mine/key, when: 'request.key == \"mobile\" && request.team == \"apps\" && request.stream'}}]\n    fallbacks: [mine/rest]\n  seen: {{when: request.stream, targets: [mine/streamed]}}\n  \"see*\": {{targets: [mine/whole]}}\n  nobody: {{targets: [{{model: mine/a, when: request.tokens > 100000}}]}}\nvirtual_keys:\n  mobile: {{key: test-key-mobile-0001, team: apps}}\n  other: {{key: test-key-other-00001}}\nteams: {{apps: {{}}}}\n",
        mock.address
    );
    Ringway::start(&config)
}

const MOBILE: &str = "authorization: Bearer test-key-mobile-0001\r\n";
const OTHER: &str = "authorization: Bearer test-key-other-00001\r\n";

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

#[test]
fn each_request_goes_where_its_conditions_say() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let answered = |fields: &str, body: &Value| {
        let answer = post_with(ringway.address, "/v1/chat/completions", fields, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.field("x-ringway-model").unwrap_or_default().to_owned()
    };
    let mut tools = ask("r");
    tools["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let mut stream = ask("r");
    stream["stream"] = json!(true);
    assert_eq!(answered(OTHER, &ask("r")), "rest");
    assert_eq!(answered(&format!("{OTHER}x-ringway-tags: a=b, env=eu\r\n"), &ask("r")), "eu");
    assert_eq!(answered(&format!("{OTHER}x-ringway-tags: env=us\r\n"), &ask("r")), "rest");
    assert_eq!(answered(OTHER, &tools), "tools");
    assert_eq!(answered(&format!("{OTHER}X-Agent: abc\r\n"), &ask("r")), "agent");
    assert_eq!(answered(MOBILE, &stream), "key");
    assert_eq!(answered(OTHER, &stream), "rest");
    let mut seen = ask("seen");
    assert_eq!(answered(OTHER, &seen), "whole", "a route that is not there gives way to the pattern");
    seen["stream"] = json!(true);
    assert_eq!(answered(OTHER, &seen), "streamed");
    let answer = post_with(ringway.address, "/v1/chat/completions", OTHER, &ask("nobody"));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("model_not_found")));
    assert!(answer.text().contains("conditions"), "{}", answer.text());
}

#[test]
fn what_was_passed_over_is_on_the_record_and_in_the_head_where_asked() {
    let mock = Mock::quick();
    let ringway = gateway(&mock);
    let answer = post_with(ringway.address, "/v1/chat/completions", &format!("{OTHER}x-ringway-explain: 1\r\n"), &ask("r"));
    let explained: Value = serde_json::from_str(answer.field("x-ringway-explain").expect("the field")).expect("JSON");
    assert_eq!(explained["route"], "r");
    assert_eq!(explained["attempts"][0]["model"], "rest");
    let trail = explained["trail"].as_array().expect("a list");
    let mut passed: Vec<&str> = trail.iter().filter_map(|entry| entry["target"].as_str()).collect();
    // They are drawn by weight, so their order is chance.
    passed.sort_unstable();
    assert_eq!(passed, ["mine/agent", "mine/eu", "mine/key", "mine/tools"]);
    let missing = trail.iter().find(|entry| entry["target"] == "mine/eu").map(|entry| &entry["missing"]);
    assert_eq!(missing, Some(&json!("request.tags[\"env\"]")));

    let record = ringway.record();
    assert_eq!(record["trail"], explained["trail"]);
    let path = explained["record"].as_str().expect("a link").to_owned();
    let bytes = format!("GET {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer test-admin-token-0001\r\n\r\n");
    let found = exchange(ringway.admin, bytes.as_bytes()).json();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["data"][0]["id"], record["id"]);

    let plain = post(ringway.address, "/v1/chat/completions?key=test-key-other-00001", &json!({"model": "mine/x", "messages": []}));
    assert!(plain.field("x-ringway-explain").is_none());
    assert!(ringway.record().get("trail").is_none(), "nothing special happened");
    assert_eq!(get(ringway.address, "/livez").status, 200);
}

#[test]
fn who_may_ask_for_explanations_is_the_files_choice() {
    let keys = "virtual_keys:\n  a: {key: test-key-of-explain-a}\n  b: {key: test-key-of-explain-b, explain: true}\n  c: {key: test-key-of-explain-c, profile: p}\n";
    for (default, expected) in [("", [true, true, false]), ("explain: false\n", [false, true, false])] {
        let ringway = Ringway::start(&format!("{default}profiles: {{p: {{explain: false}}}}\n{keys}"));
        let explains = |name: &str| {
            let fields = format!("authorization: Bearer test-key-of-explain-{name}\r\nx-ringway-explain: 1\r\n");
            let answer = post_with(ringway.address, "/v1/chat/completions", &fields, &json!({"model": "ringway/echo", "messages": []}));
            (answer.status, answer.field("x-ringway-explain").is_some())
        };
        assert_eq!(["a", "b", "c"].map(explains), expected.map(|explains| (200, explains)), "{default}");
        assert_eq!(explains("d"), (401, false), "whom nobody knows is told nothing");
    }
}
