//! Failing providers: what the client got and what the provider saw, fault by fault.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, post};
use crate::process::{Mock, Ringway, free_port};

/// A gateway whose route `r` asks `model` first and a good model of the same mock next.
struct Wall {
    mock: Mock,
    ringway: Ringway,
}

const RULES: &str = "timeouts: {connect: 1s, first_byte: 700ms, idle: 700ms, total: 20s}";

impl Wall {
    fn new(model: &str, rules: &str) -> Wall {
        let mock = Mock::quick();
        let config = format!(
            "providers:\n  bad: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-bad-key]}}\n  good: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-good-key]}}\nroutes:\n  r:\n    targets: [{{model: \"bad/{model}\"}}]\n    fallbacks: [good/spare]\n    {RULES}\n{rules}\n  alone:\n    targets: [{{model: \"bad/{model}\"}}]\n    {RULES}\n{rules}\n",
            mock.address
        );
        Wall { ringway: Ringway::start(&config), mock }
    }

    fn ask(&self, route: &str, stream: bool) -> Answer {
        post(self.ringway.address, "/v1/chat/completions", &body(route, stream))
    }

    /// Models that the mock was asked for, in their order.
    fn asked(&self) -> Vec<String> {
        let log = self.mock.log();
        let asked = log.iter().filter(|entry| entry["path"] != "/_log").map(|entry| entry["model"].as_str().unwrap_or("").to_owned());
        asked.collect()
    }
}

fn body(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

fn count(asked: &[String], model: &str) -> usize {
    asked.iter().filter(|name| *name == model).count()
}

/// A fault before the answer: the same target a bounded number of times, then the next one; the client sees one good answer.
fn falls_back(model: &str, attempts: std::ops::RangeInclusive<usize>) {
    for stream in [false, true] {
        let wall = Wall::new(model, "    retries: 2");
        let answer = wall.ask("r", stream);
        assert_eq!(answer.status, 200, "{model} stream={stream}: {}", answer.text());
        assert!(answer.complete, "{model}");
        let asked = wall.asked();
        assert!(attempts.contains(&count(&asked, model)), "{model} stream={stream}: {asked:?}");
        assert_eq!(count(&asked, "spare"), 1, "{model}: {asked:?}");
        assert_eq!(answer.field("x-ringway-provider"), Some("good"));
        let record = wall.ringway.record();
        assert_eq!(record["attempts"].as_array().map(Vec::len), Some(asked.len()), "{record}");
    }
}

#[test]
fn a_503_is_retried_within_bounds_then_left() {
    falls_back("fault-503-always", 1..=3);
}

#[test]
fn a_500_is_retried_within_bounds_then_left() {
    falls_back("fault-500-always", 1..=3);
}

#[test]
fn a_429_without_retry_after_goes_on() {
    falls_back("fault-429-always", 1..=3);
}

#[test]
fn a_429_with_a_long_retry_after_goes_to_the_next_at_once() {
    falls_back("fault-429-retry-after-long", 1..=1);
}

#[test]
fn a_refused_credential_is_not_repeated() {
    falls_back("fault-401", 1..=1);
}

#[test]
fn a_spend_cap_is_not_repeated() {
    falls_back("fault-spend-cap", 1..=1);
}

#[test]
fn a_reset_before_the_head_is_retried_then_left() {
    falls_back("fault-reset-before-head", 1..=3);
}

#[test]
fn a_silent_target_is_not_repeated() {
    falls_back("fault-silence", 1..=1);
}

#[test]
fn a_head_and_then_silence_is_not_repeated() {
    falls_back("fault-head-then-silence", 1..=1);
}

#[test]
fn a_context_length_refusal_goes_to_the_next() {
    falls_back("fault-context-length", 1..=1);
}

#[test]
fn a_length_that_lies_is_no_answer() {
    for model in ["fault-wrong-length-long", "fault-wrong-length-short"] {
        let wall = Wall::new(model, "    retries: 0");
        let answer = wall.ask("r", false);
        assert_eq!((answer.status, answer.field("x-ringway-provider")), (200, Some("good")), "{model}: {}", answer.text());
        assert_eq!(wall.asked(), [model, "spare"]);
    }
}

#[test]
fn a_flapping_primary_never_reaches_the_client() {
    let model = "fault-flap-300ms";
    let wall = Wall::new(model, "    retries: 0\n    breaker: {consecutive: 3, probe: 100ms}");
    let until = std::time::Instant::now() + Duration::from_millis(1500);
    let (mut request_count, mut primary_count) = (0, 0);
    while std::time::Instant::now() < until {
        let answer = wall.ask("r", false);
        assert_eq!(answer.status, 200, "{}", answer.text());
        request_count += 1;
        primary_count += usize::from(answer.field("x-ringway-provider") == Some("bad"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let asked = wall.asked();
    assert!(primary_count > 0 && primary_count < request_count, "{primary_count} of {request_count}");
    assert_eq!(count(&asked, "spare"), request_count - primary_count);
    assert!(count(&asked, model) < request_count, "the breaker spares it while it is down: {asked:?}");
}

#[test]
fn once_is_mended_on_the_same_target() {
    for model in ["fault-500-once", "fault-503-once", "fault-429-once", "fault-reset-before-head-once"] {
        let wall = Wall::new(model, "    retries: 2");
        let answer = wall.ask("alone", false);
        assert_eq!((answer.status, answer.field("x-ringway-attempts")), (200, Some("2")), "{model}: {}", answer.text());
        assert_eq!(wall.asked().len(), 2, "{model}");
    }
}

#[test]
fn retry_after_is_honoured() {
    let wall = Wall::new("fault-429-retry-after", "    retries: 2");
    let begun = std::time::Instant::now();
    let answer = wall.ask("alone", false);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(begun.elapsed() >= Duration::from_millis(990), "{:?}", begun.elapsed());
    assert_eq!(wall.asked().len(), 2);
}

#[test]
fn a_content_filter_refusal_goes_to_the_client() {
    let wall = Wall::new("fault-content-filter", "    retries: 2");
    let answer = wall.ask("r", false);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    assert_eq!(wall.asked().len(), 1);
}

#[test]
fn a_refused_credential_is_ours_to_mend() {
    let wall = Wall::new("fault-401", "    retries: 2");
    let answer = wall.ask("alone", false);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("upstream_error")), "{}", answer.text());
    assert_eq!(wall.asked().len(), 1);
}

#[test]
fn a_refused_connection_goes_to_the_next() {
    let mock = Mock::quick();
    let ringway = Ringway::start(&format!(
        "providers:\n  gone: {{like: openai, base_url: \"http://127.0.0.1:{}/v1\", keys: [k-test-gone]}}\n  good: {{like: openai, base_url: \"http://{}/v1\", keys: [k-test-good]}}\nroutes:\n  r: {{targets: [{{model: gone/x}}], fallbacks: [good/spare]}}\n",
        free_port(),
        mock.address
    ));
    let answer = post(ringway.address, "/v1/chat/completions", &body("r", true));
    assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    assert_eq!(ringway.record()["attempts"][0]["fault"], "upstream_error");
}

/// A stream that breaks after its first byte, without rescue: exactly one error event, no end, and a closed connection.
fn breaks(model: &str, words: usize) {
    let wall = Wall::new(model, "    retries: 2");
    let answer = wall.ask("r", true);
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    assert!(!answer.complete, "{model}: a broken stream ended cleanly: {}", answer.text());
    assert!(!answer.text().contains("[DONE]"), "{model}");
    let lines: Vec<String> = answer.text().lines().filter(|line| line.contains("\"error\"")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 1, "{model}: {}", answer.text());
    assert!(answer.text().matches("word").count() >= words, "{model}: {}", answer.text());
    assert_eq!(wall.asked().len(), 1, "{model}");
    let record = wall.ringway.record();
    assert!(record["fault"].is_string(), "{record}");
    assert!(record["usage"]["output"].as_u64().is_some_and(|tokens| tokens > 0), "{record}");
}

#[test]
fn a_cut_stream_is_reported() {
    breaks("fault-cut-after-3", 3);
}

#[test]
fn a_stalled_stream_is_reported() {
    breaks("fault-stall-after-3", 3);
}

#[test]
fn a_reset_inside_the_stream_is_reported() {
    breaks("fault-reset-mid-body", 3);
}

#[test]
fn a_malformed_event_is_reported() {
    breaks("fault-malformed-event", 3);
}

#[test]
fn an_error_event_of_the_provider_is_the_one_error_event() {
    breaks("fault-inband-error", 3);
}

#[test]
fn a_missing_done_is_not_an_error() {
    let wall = Wall::new("fault-no-done", "    retries: 2");
    let answer = wall.ask("alone", true);
    assert!(answer.status == 200 && answer.complete && answer.error_count() == 0, "{}", answer.text());
    assert!(!answer.text().contains("[DONE]"), "never invented");
}

#[test]
fn a_slow_first_token_within_the_timeout_is_waited_for() {
    let wall = Wall::new("fault-slow-first-token-300ms", "    retries: 2");
    let answer = wall.ask("alone", true);
    assert!(answer.status == 200 && answer.complete, "{}", answer.text());
    assert_eq!(wall.asked().len(), 1);
}

#[test]
fn gzip_that_nobody_asked_for_is_decoded() {
    for stream in [false, true] {
        let wall = Wall::new("fault-gzip", "    retries: 0");
        let answer = wall.ask("alone", stream);
        assert!(answer.status == 200 && answer.complete && answer.text().contains("word0"), "{}", answer.text());
        assert_eq!(answer.field("content-encoding"), None);
    }
}

#[test]
fn bytes_that_come_one_by_one_make_the_same_answer() {
    let wall = Wall::new("fault-split-bytes", "    retries: 0");
    let answer = wall.ask("alone", true);
    assert!(answer.complete && answer.error_count() == 0, "{}", answer.text());
    assert!(!answer.chat_text().contains('\u{fffd}'));
}

#[test]
fn an_anthropic_client_gets_the_error_event_of_its_dialect() {
    let wall = Wall::new("fault-cut-after-3", "    retries: 0");
    let ask = json!({"model": "alone", "max_tokens": 64, "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let answer = post(wall.ringway.address, "/v1/messages", &ask);
    assert!(!answer.complete && answer.text().contains("event: error"), "{}", answer.text());
    assert!(!answer.text().contains("message_stop") && answer.error_count() == 1, "{}", answer.text());
}

#[test]
fn a_breaker_spares_a_target_that_is_down() {
    let wall = Wall::new("fault-503-always", "    retries: 0\n    breaker: {consecutive: 2, probe: 1s}");
    for _ in 0..10 {
        assert_eq!(wall.ask("r", false).status, 200);
    }
    let asked = wall.asked();
    assert!(count(&asked, "fault-503-always") <= 3, "{asked:?}");
    assert_eq!(count(&asked, "spare"), 10);
}

#[test]
fn an_expired_timeout_of_the_request_is_a_504() {
    let wall = Wall::new("fault-silence", "    retries: 2");
    let answer =
        crate::client::post_with(wall.ringway.address, "/v1/chat/completions", "x-ringway-timeout-ms: 200\r\n", &body("alone", false));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (504, &json!("upstream_timeout")), "{}", answer.text());
}

#[test]
fn a_whole_body_that_is_no_answer_goes_to_the_next() {
    let wall = Wall::new("fault-malformed-event", "    retries: 0");
    let answer = wall.ask("r", false);
    assert_eq!((answer.status, answer.field("x-ringway-provider")), (200, Some("good")), "{}", answer.text());
    let answer = wall.ask("alone", false);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("upstream_error")), "{}", answer.text());
}

/// Answers every request with one text event, then `[DONE]` without a finish reason.
fn done_too_early() -> std::net::SocketAddr {
    use std::io::{Read, Write};
    const BODY: &[&str] = &["data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word0\"}}]}\n\n", "data: [DONE]\n\n"];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
            for event in BODY {
                let _ = stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = stream.write_all(b"0\r\n\r\n");
        }
    });
    address
}

#[test]
fn a_done_before_the_finish_reason_never_reaches_the_client() {
    let ringway =
        Ringway::start(&format!("providers:\n  bad: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-bad]}}\n", done_too_early()));
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let mut ask = body("bad/x", true);
        ask["max_tokens"] = json!(9);
        let answer = post(ringway.address, path, &ask);
        assert!(!answer.complete && answer.error_count() == 1, "{path}: {}", answer.text());
        assert!(answer.text().contains("word0"), "{path}: {}", answer.text());
        let clean = ["[DONE]", "message_stop"].into_iter().find(|word| answer.text().contains(word));
        assert_eq!(clean, None, "{path}: {}", answer.text());
    }
}
