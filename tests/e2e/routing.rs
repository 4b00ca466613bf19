//! Routing end to end: what a route's strategy, fallbacks, credentials and mirror make of requests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{get, post, post_with};
use crate::process::{Mock, Ringway};

fn body(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

fn gateway(mock: &Mock, routes: &str) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  a: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-key-of-a]}}\n  b: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-key-of-b]}}\n{routes}",
        mock.address
    ))
}

/// Models that the mock was asked for.
fn asked(mock: &Mock) -> Vec<String> {
    mock.log().iter().filter_map(|entry| Some(entry["model"].as_str()?.to_owned())).collect()
}

fn count(asked: &[String], model: &str) -> usize {
    asked.iter().filter(|name| *name == model).count()
}

#[test]
fn the_retry_budget_bounds_what_a_failing_target_is_asked() {
    let mock = Mock::quick();
    // Without a breaker and with retries left, nothing else stands between forty failures and eighty more attempts.
    let ringway = gateway(&mock, "routes:\n  r: {targets: [a/fault-503-always], retries: 2, breaker: off}\n");
    const REQUESTS: usize = 40;
    let begun = std::time::Instant::now();
    let attempts: usize = (0..REQUESTS)
        .map(|_| {
            let answer = post(ringway.address, "/v1/chat/completions", &body("r", false));
            assert_eq!(answer.status, 502, "{}", answer.text());
            answer.field("x-ringway-attempts").and_then(|count| count.parse::<usize>().ok()).expect("a count of attempts")
        })
        .sum();
    assert_eq!(asked(&mock).len(), attempts, "the provider saw what the client was told");
    // Three, or a tenth of the attempts, in any ten seconds; the requests take less than that.
    let windows = begun.elapsed().as_secs() as usize / 10 + 1;
    let retries = attempts - REQUESTS;
    assert!(retries >= 3, "{retries} retries: the budget is there");
    assert!(retries <= windows * (REQUESTS / 10 + 1), "{retries} retries of {REQUESTS} requests in {windows} windows");
}

#[test]
fn a_typed_fallback_is_taken_for_its_own_reason_alone() {
    let mock = Mock::quick();
    let routes = "routes:\n  long: {targets: [a/fault-context-length], fallbacks: [{model: b/for-errors, on: [error]}, {model: b/for-length, on: [context_length]}]}\n  down: {targets: [a/fault-500-always], retries: 0, fallbacks: [{model: b/for-length, on: [context_length]}, {model: b/for-errors, on: [error]}]}\n  none: {targets: [a/fault-500-always], retries: 0, fallbacks: [{model: b/for-length, on: [context_length]}]}\n";
    let ringway = gateway(&mock, routes);
    for (route, model) in [("long", "for-length"), ("down", "for-errors")] {
        let answer = post(ringway.address, "/v1/chat/completions", &body(route, false));
        assert_eq!((answer.status, answer.field("x-ringway-model")), (200, Some(model)), "{route}: {}", answer.text());
        assert_eq!(answer.field("x-ringway-attempts"), Some("2"), "{route}");
    }
    assert_eq!(post(ringway.address, "/v1/chat/completions", &body("none", false)).status, 502);
}

#[test]
fn an_alias_stands_for_its_model_and_is_listed() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "aliases: {fast: a/small}\n");
    let answer = post(ringway.address, "/v1/chat/completions", &body("fast", true));
    assert_eq!((answer.status, answer.field("x-ringway-model"), answer.complete), (200, Some("small"), true), "{}", answer.text());
    assert!(get(ringway.address, "/v1/models").text().contains("\"fast\""));
}

#[test]
fn a_user_stays_on_one_target_of_a_split() {
    let mock = Mock::quick();
    let routes = "routes:\n  r: {strategy: {hash: user}, targets: [{model: a/large, weight: 50}, {model: b/small, weight: 50}]}\n";
    let ringway = gateway(&mock, routes);
    let model_of = |user: usize| {
        let ask = json!({"model": "r", "user": format!("u-{user}"), "messages": [{"role": "user", "content": "hello"}]});
        post(ringway.address, "/v1/chat/completions", &ask).field("x-ringway-model").expect("a model").to_owned()
    };
    let first: Vec<String> = (0..24).map(model_of).collect();
    let again: Vec<String> = (0..24).map(model_of).collect();
    assert_eq!(first, again);
    let large = count(&first, "large");
    assert!((4..=20).contains(&large), "{large} of 24");
}

#[test]
fn turns_are_taken_across_shards() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "routes:\n  r: {strategy: round_robin, targets: [a/one, b/two]}\n");
    (0..20).for_each(|_| assert_eq!(post(ringway.address, "/v1/chat/completions", &body("r", false)).status, 200));
    let asked = asked(&mock);
    assert_eq!((count(&asked, "one"), count(&asked, "two")), (10, 10));
}

#[test]
fn a_refused_credential_is_benched_and_shown() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "routes:\n  r: {targets: [a/fault-401], fallbacks: [b/spare]}\n");
    for _ in 0..10 {
        assert_eq!(post(ringway.address, "/v1/chat/completions", &body("r", false)).status, 200);
    }
    let asked = asked(&mock);
    assert_eq!((count(&asked, "fault-401"), count(&asked, "spare")), (1, 10), "one request found out, the others were spared");
    let metrics = get(ringway.admin, "/metrics").text();
    let line = "ringway_credential_state{provider=\"a\",credential=\"key-1\",state=\"refused\"} 1";
    assert!(metrics.contains(line), "{line} in {metrics}");
}

#[test]
fn a_spent_credential_is_not_asked_again() {
    let mock = Mock::quick();
    let routes = "routes:\n  r: {targets: [a/fault-spend-cap], fallbacks: [b/spare]}\n  alone: {targets: [a/fault-spend-cap]}\n";
    let ringway = gateway(&mock, routes);
    for _ in 0..5 {
        assert_eq!(post(ringway.address, "/v1/chat/completions", &body("r", false)).status, 200);
    }
    let asked_there = asked(&mock);
    assert_eq!((count(&asked_there, "fault-spend-cap"), count(&asked_there, "spare")), (1, 5));
    // Without anywhere else to go it is asked, once a request.
    assert_eq!(post(ringway.address, "/v1/chat/completions", &body("alone", false)).status, 429);
    assert_eq!(count(&asked(&mock), "fault-spend-cap"), 2);
}

#[test]
fn the_health_of_targets_is_shown() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "routes:\n  r: {strategy: least_latency, targets: [a/one]}\n");
    (0..3).for_each(|_| assert!(post(ringway.address, "/v1/chat/completions", &body("r", true)).complete));
    let token = "authorization: Bearer test-admin-token-0001\r\n";
    let request = format!("GET /api/v1/routes HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{token}\r\n");
    let routes = crate::client::exchange(ringway.admin, request.as_bytes()).json();
    let health = &routes["data"][0]["health"][0];
    assert_eq!((&routes["data"][0]["strategy"], &health["model"]), (&json!("least_latency"), &json!("a/one")), "{routes}");
    assert!(health["stream_first_byte_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{health}");
    assert_eq!(
        (&health["in_flight"], &health["recent_attempts"], &health["share_percent"]),
        (&json!(0), &json!(3), &json!(100)),
        "{health}"
    );
}

#[test]
fn a_mirror_gets_a_copy_and_the_client_notices_nothing() {
    let mock = Mock::quick();
    let routes = "routes:\n  r: {targets: [a/real], mirror: {model: b/shadow, share: 100%}}\n  s: {targets: [a/real], mirror: {model: b/fault-silence, share: 100%}, timeouts: {first_byte: 1s}}\n  t: {targets: [a/real], mirror: {model: b/fault-500-always, share: 100%}}\n";
    let ringway = gateway(&mock, routes);
    for (route, shadow, status, fault) in [
        ("r", "shadow", 200, None),
        ("s", "fault-silence", 499, Some("upstream_timeout")),
        ("t", "fault-500-always", 500, Some("upstream_error")),
    ] {
        for stream in [false, true] {
            let begun = std::time::Instant::now();
            let answer = post_with(ringway.address, "/v1/chat/completions", "x-request-id: mine-1\r\n", &body(route, stream));
            assert!(answer.status == 200 && answer.complete, "{}", answer.text());
            assert!(begun.elapsed() < Duration::from_millis(900), "the client does not wait for {shadow}");
            assert_eq!((answer.field("x-ringway-model"), answer.field("x-ringway-attempts")), (Some("real"), Some("1")));
            let records = [ringway.record(), ringway.record()];
            let (copies, own): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.get("mirror_of").is_some());
            assert_eq!((copies.len(), own.len()), (1, 1), "{records:?}");
            assert_eq!(copies[0]["mirror_of"], own[0]["id"]);
            assert_ne!(copies[0]["id"], own[0]["id"]);
            assert_eq!((&copies[0]["model"], &copies[0]["answer_bytes"]), (&json!(shadow), &json!(0)), "{}", copies[0]);
            let fault = fault.map_or(Value::Null, |fault| json!(fault));
            assert_eq!(copies[0].get("fault").cloned().unwrap_or(Value::Null), fault, "{}", copies[0]);
            if status == 200 {
                assert!(copies[0]["usage"]["output"].as_u64().is_some_and(|tokens| tokens > 0), "{}", copies[0]);
            }
        }
    }
    assert_eq!(count(&asked(&mock), "shadow"), 2);
    let metrics = get(ringway.admin, "/metrics").text();
    assert!(metrics.contains("ringway_mirrors_total{provider=\"b\",fault=\"none\"} 2"), "{metrics}");
    assert!(!metrics.contains("model=\"shadow\""), "what no client saw is in no figure of what clients saw");
}

#[test]
fn a_late_answer_is_hedged_and_both_attempts_are_on_the_record() {
    let mock = Mock::quick();
    let routes = "routes:\n  r: {targets: [a/fault-silence], fallbacks: [b/spare], hedge: {after: 200ms, cost_share: 100%}, timeouts: {first_byte: 5s}}\n  never: {targets: [a/fault-silence], fallbacks: [b/spare], hedge: {after: 200ms, cost_share: 1%}, timeouts: {first_byte: 1s}}\n";
    let ringway = gateway(&mock, routes);
    for stream in [false, true] {
        let begun = std::time::Instant::now();
        let answer = post(ringway.address, "/v1/chat/completions", &body("r", stream));
        assert!(answer.status == 200 && answer.complete, "{}", answer.text());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!((answer.field("x-ringway-model"), answer.field("x-ringway-attempts")), (Some("spare"), Some("2")));
        let record = ringway.record();
        let (lost, kept) = (&record["attempts"][0], &record["attempts"][1]);
        assert_eq!(
            (&lost["model"], &lost["overtaken"], &kept["model"]),
            (&json!("fault-silence"), &json!(true), &json!("spare")),
            "{record}"
        );
        assert!(lost["usage"]["input"].as_u64().is_some_and(|tokens| tokens > 0), "{record}");
        // The second round may find a connection of the first one.
        assert!(stream || lost["connect_us"].is_u64(), "it made a connection of its own: {record}");
    }
    let answer = post(ringway.address, "/v1/chat/completions", &body("never", false));
    assert_eq!((answer.status, answer.field("x-ringway-model")), (200, Some("spare")), "beyond the share the timeout decides");
    assert!(ringway.record()["attempts"][0].get("overtaken").is_none());
    let metrics = get(ringway.admin, "/metrics").text();
    assert!(metrics.contains("ringway_hedges_total{provider=\"b\",fault=\"none\"} 2"), "{metrics}");
}

#[test]
fn what_is_overtaken_and_what_is_mirrored_has_its_price() {
    let mock = Mock::quick();
    let price = "price: {input: 1000000, output: 0}";
    let providers = ["a", "b"].map(|name| {
        let models = ["fault-silence", "spare", "shadow"].map(|model| format!("{{name: {model}, {price}}}")).join(", ");
        format!("  {name}: {{like: openai, base_url: \"http://{}/v1\", keys: [k], models: [{models}]}}\n", mock.address)
    });
    let routes = "routes:\n  r: {targets: [a/fault-silence], fallbacks: [b/spare], hedge: {after: 200ms, cost_share: 100%}, mirror: {model: b/shadow, share: 100%}}\n";
    let ringway = Ringway::start(&format!("providers:\n{}{routes}", providers.concat()));
    assert_eq!(post(ringway.address, "/v1/chat/completions", &body("r", false)).status, 200);
    let records = [ringway.record(), ringway.record()];
    let (copies, own): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.get("mirror_of").is_some());
    // One dollar an input token.
    let dollars = |value: &Value| value["cost_usd"].as_str().and_then(|cost| cost.parse::<f64>().ok());
    let inputs = |value: &Value| value["usage"]["input"].as_f64();
    let (lost, whole) = (&own[0]["attempts"][0], own[0]);
    assert!(lost["overtaken"] == true && inputs(lost) > Some(0.0), "{whole}");
    assert_eq!(dollars(lost), inputs(lost), "{whole}");
    assert_eq!(dollars(whole), inputs(lost).zip(inputs(whole)).map(|(lost, kept)| lost + kept), "{whole}");
    assert!(inputs(copies[0]) > Some(0.0), "{}", copies[0]);
    assert_eq!(dollars(copies[0]), inputs(copies[0]), "{}", copies[0]);
}
