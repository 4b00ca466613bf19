//! What a request may ask of the gateway beside its own API: `fallbacks` and the `x-ringway-*` fields. None reaches a provider.

use serde_json::{Value, json};

use crate::client::{post, post_with};
use crate::process::{Mock, Ringway};

const ALL: &str = "authorization: Bearer test-key-of-all-models\r\n";
const FEW: &str = "authorization: Bearer test-key-of-few-models\r\n";

struct Gateway {
    mock: Mock,
    ringway: Ringway,
}

fn gateway() -> Gateway {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  oa: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-a-key]}}\n  claude: {{like: anthropic, base_url: \"http://{0}\", keys: [sk-test-b-key]}}\n  own: {{like: openai, base_url: \"http://{0}/v1\", credentials: caller}}\n  own-claude: {{like: anthropic, base_url: \"http://{0}\", credentials: caller}}\nroutes:\n  rescued: {{targets: [{{model: claude/fault-cut-after-3}}], retries: 0, rescue: resume}}\n  warned: {{targets: [{{model: oa/x}}], losses: warn}}\n  warned-claude: {{targets: [{{model: claude/x}}], losses: warn}}\nvirtual_keys:\n  all: {{key: test-key-of-all-models}}\n  few: {{key: test-key-of-few-models, models: [\"claude/*\"]}}\n",
        mock.address
    ));
    Gateway { mock, ringway }
}

fn ask(model: &str, fallback: &str) -> Value {
    json!({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}], "fallbacks": [fallback]})
}

fn assert_never_upstream(gateway: &Gateway) {
    for request in gateway.mock.log() {
        let text = request.to_string();
        let found = ["fallbacks", "x-ringway", "test-key-of"].into_iter().find(|word| text.contains(word));
        assert_eq!(found, None, "{text}");
    }
}

#[test]
fn fallbacks_of_a_request_serve_every_api_on_every_other() {
    let gateway = gateway();
    for path in ["/v1/chat/completions", "/v1/messages"] {
        for (model, fallback) in
            [("oa/fault-500-always", "claude/spare"), ("claude/fault-500-always", "oa/spare"), ("oa/fault-500-always", "oa/spare")]
        {
            let fields = format!("{ALL}x-ringway-tags: team=a\r\nx-request-id: mine-1\r\n");
            let answer = post_with(gateway.ringway.address, path, &fields, &ask(model, fallback));
            assert_eq!(answer.status, 200, "{path} {model}: {}", answer.text());
            assert_eq!(answer.field("x-ringway-model"), Some("spare"));
            let record = gateway.ringway.record();
            assert_eq!((&record["tags"], &record["client_request_id"]), (&json!("team=a"), &json!("mine-1")), "{record}");
        }
    }
    assert_never_upstream(&gateway);
}

#[test]
fn fallbacks_of_a_request_serve_its_rescue() {
    let gateway = gateway();
    for fallback in ["oa/spare", "claude/claude-3-5-haiku-20241022"] {
        let mut body = ask("rescued", fallback);
        body["stream"] = json!(true);
        let answer = post_with(gateway.ringway.address, "/v1/messages", ALL, &body);
        assert!(answer.complete && answer.error_count() == 0, "{fallback}: {}", answer.text());
        assert!(answer.messages_text().ends_with("word15"), "{}", answer.text());
    }
    assert_never_upstream(&gateway);
}

#[test]
fn fallbacks_of_a_request_are_checked_against_the_keys_models() {
    let gateway = gateway();
    let answer = post_with(gateway.ringway.address, "/v1/messages", FEW, &ask("claude/fault-401", "oa/spare"));
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (403, &json!("permission_error")), "{}", answer.text());
    assert!(gateway.mock.log().is_empty(), "nothing was tried");
    let answer = post(gateway.ringway.address, "/v1/messages", &ask("claude/x", "claude/y"));
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (401, &json!("authentication_error")), "{}", answer.text());
}

#[test]
fn no_name_of_a_client_begins_a_field_of_its_own() {
    let gateway = gateway();
    for name in ["oa/x\r\nset-cookie: a=b", "oa/x\n", "oa/\u{0}", ""] {
        for body in [ask(name, "oa/y"), ask("oa/fault-401", name)] {
            let answer = post_with(gateway.ringway.address, "/v1/chat/completions", ALL, &body);
            assert_eq!((answer.status, answer.field("set-cookie")), (400, None), "{name:?}: {}", answer.head);
        }
    }
    let path = "/openai/deployments/oa%2Fx%0D%0Aset-cookie:%20a=b/chat/completions";
    let answer = post_with(gateway.ringway.address, path, ALL, &ask("oa/x", "oa/y"));
    assert_eq!((answer.status, answer.field("set-cookie")), (400, None), "{}", answer.head);

    let mut body = ask("warned", "oa/spare");
    body["x\r\nset-cookie: a=b"] = json!(1);
    body["thinking\n"] = json!({"a\r\nb: c": 1});
    for path in ["/v1/messages", "/v1/chat/completions"] {
        for model in ["warned", "warned-claude"] {
            body["model"] = json!(model);
            let answer = post_with(gateway.ringway.address, path, ALL, &body);
            assert_eq!((answer.status, answer.field("set-cookie"), answer.field("b")), (200, None, None), "{}", answer.head);
        }
    }
}

#[test]
fn a_callers_own_credential_goes_where_the_provider_says_so() {
    let gateway = gateway();
    let own = "x-api-key: sk-own-of-the-caller\r\n";
    for (path, model, field, value) in [
        ("/v1/messages", "own-claude/x", "x-api-key", Some("sk-own-of-the-caller")),
        ("/v1/chat/completions", "own/x", "x-api-key", Some("sk-own-of-the-caller")),
        ("/v1/chat/completions", "own-claude/x", "x-api-key", Some("sk-own-of-the-caller")),
        ("/v1/messages", "own/x", "authorization", Some("Bearer sk-own-of-the-caller")),
        ("/v1/messages", "claude/x", "x-api-key", Some("sk-test-b-key")),
        ("/v1/chat/completions", "oa/x", "x-api-key", None),
    ] {
        let answer = post_with(gateway.ringway.address, path, &format!("{ALL}{own}"), &ask(model, "oa/y"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let log = gateway.mock.log();
        assert_eq!(log.last().expect("a request")["headers"][field].as_str(), value, "{path} {model}");
    }
    let twice = format!("{ALL}{}", ALL.replace("authorization: Bearer", "x-api-key:"));
    assert_eq!(post_with(gateway.ringway.address, "/v1/messages", &twice, &ask("own-claude/x", "oa/y")).status, 200);
    assert_never_upstream(&gateway);
}
