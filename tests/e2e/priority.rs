//! Where there is not room for all: high goes first, keys share, the queue is bounded, and who leaves leaves nothing behind.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, connect, exchange, post_with, read, request};
use crate::process::{Mock, Ringway};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before `mock` whose provider takes `limits`, with a key for each name and priority.
fn gateway(mock: &Mock, limits: &str, keys: &[(&str, &str)], more: &str) -> Ringway {
    Ringway::start(&config(mock, limits, keys, more))
}

fn config(mock: &Mock, limits: &str, keys: &[(&str, &str)], more: &str) -> String {
    let keys: String = keys.iter().map(|(name, rest)| format!("  {name}: {{key: test-key-of-{name}-0001, {rest}}}\n")).collect();
    format!(
        "providers:\n  a: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-test-a-key], limits: {limits}}}\n{more}\nvirtual_keys:\n{keys}",
        mock.address
    )
}

fn bytes(key: &str, model: &str, more: &str) -> Vec<u8> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    request(CHAT, &format!("authorization: Bearer test-key-of-{key}-0001\r\n{more}"), &body.to_string())
}

fn send(ringway: &Ringway, key: &str, more: &str) -> TcpStream {
    let mut stream = connect(ringway.address);
    stream.write_all(&bytes(key, "a/x", more)).expect("written");
    stream
}

/// How many wait, of all shards and classes.
fn waiting(ringway: &Ringway) -> u64 {
    metric(ringway, "ringway_queue_waiting_requests{")
}

fn metric(ringway: &Ringway, name: &str) -> u64 {
    let text = exchange(ringway.admin, b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").text();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() as u64
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends requests one after the other, each once the one before waits; gives the order in which they were answered.
fn order(ringway: &Ringway, asks: &[(&str, &str)]) -> Vec<usize> {
    let first = send(ringway, asks[0].0, asks[0].1);
    took_the_place(ringway);
    let mut streams = vec![first];
    for (index, (key, more)) in asks.iter().enumerate().skip(1) {
        streams.push(send(ringway, key, more));
        wait_until("the wait", || waiting(ringway) == index as u64);
    }
    let (sender, ends) = channel();
    for (index, mut stream) in streams.into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let answer = read(&mut stream);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let _ = sender.send(index);
        });
    }
    (0..asks.len()).map(|_| ends.recv_timeout(Duration::from_secs(20)).expect("an answer")).collect()
}

/// Waits until the first request has the only place.
fn took_the_place(ringway: &Ringway) {
    wait_until("the first", || metric(ringway, "ringway_quota_reserved{") == 1);
}

fn slow() -> Mock {
    Mock::start(&["--delay", "150ms", "--gap", "0ms", "--tokens", "4"])
}

const PATIENT: &str = "queue: {entries: 64, wait: 20s}";

#[test]
fn high_goes_before_normal_before_low_under_a_concurrent_limit() {
    let mock = slow();
    let keys = [("high", "priority: high"), ("norm", "limits: []"), ("poor", "priority: low")];
    let ringway = gateway(&mock, "[{concurrent: 1}]", &keys, PATIENT);
    let asks = [("norm", ""), ("poor", ""), ("norm", ""), ("high", ""), ("poor", ""), ("norm", ""), ("high", "")];
    assert_eq!(order(&ringway, &asks), [0, 3, 6, 2, 5, 1, 4]);
    let records = ringway.records(Duration::from_millis(300));
    assert_eq!(records.len(), 7);
    let waited: Vec<&Value> = records.iter().filter_map(|record| record.get("queue")).collect();
    assert_eq!(waited.len(), 6, "{records:?}");
    for wait in &waited {
        assert_eq!((&wait[0]["before"], &wait[0]["ended"]), (&json!("provider/a/concurrent"), &json!("admitted")), "{wait}");
        assert!(wait[0]["waited_us"].as_u64() > Some(50_000), "{wait}");
    }
    let classes: Vec<&str> = waited.iter().filter_map(|wait| wait[0]["priority"].as_str()).collect();
    assert_eq!(classes, ["high", "high", "normal", "normal", "low", "low"]);
    assert_eq!(metric(&ringway, "ringway_queue_wait_seconds_count{"), 6);
    assert_eq!(waiting(&ringway), 0);
}

#[test]
fn a_request_may_lower_itself_and_never_raise_itself() {
    let mock = slow();
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("norm", "limits: []"), ("poor", "priority: low")], PATIENT);
    let (raise, lower) = ("x-ringway-priority: high\r\n", "x-ringway-priority: low\r\n");
    let asks = [("norm", ""), ("poor", raise), ("norm", lower), ("norm", raise), ("norm", "")];
    let order = order(&ringway, &asks);
    // Two keys of the class low, in turn.
    assert_eq!(order, [0, 3, 4, 1, 2]);
    assert!(mock.log().iter().all(|asked| !asked.to_string().contains("x-ringway")), "the field never goes upstream");
}

#[test]
fn a_routes_priority_is_for_keys_that_have_none() {
    let mock = slow();
    let routes = format!("{PATIENT}\nroutes: {{batch: {{targets: [a/x], priority: low}}}}");
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("norm", "limits: []"), ("high", "priority: high")], &routes);
    let mut streams = Vec::new();
    for (index, (key, model)) in [("norm", "a/x"), ("norm", "batch"), ("norm", "a/x"), ("high", "batch")].into_iter().enumerate() {
        let mut stream = connect(ringway.address);
        stream.write_all(&bytes(key, model, "")).expect("written");
        streams.push(stream);
        took_the_place(&ringway);
        wait_until("the wait", || waiting(&ringway) == index as u64);
    }
    streams.iter_mut().for_each(|stream| assert_eq!(read(stream).status, 200));
    let records = ringway.records(Duration::from_millis(300));
    let order: Vec<(&str, &str)> =
        records.iter().map(|record| (record["key"].as_str().unwrap(), record["asked"].as_str().unwrap())).collect();
    assert_eq!(order, [("norm", "a/x"), ("high", "batch"), ("norm", "a/x"), ("norm", "batch")]);
}

#[test]
fn two_keys_share_what_there_is() {
    let mock = slow();
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("many", "limits: []"), ("few", "limits: []")], PATIENT);
    let asks = [("many", ""), ("many", ""), ("many", ""), ("many", ""), ("many", ""), ("few", ""), ("few", "")];
    assert_eq!(order(&ringway, &asks), [0, 1, 5, 2, 6, 3, 4]);
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let mock = Mock::start(&["--delay", "2s", "--gap", "0ms", "--tokens", "4"]);
    let keys = [("norm", "limits: []"), ("high", "priority: high")];
    let ringway = gateway(&mock, "[{concurrent: 1}]", &keys, "queue: {entries: 2, wait: 20s}");
    let mut streams: Vec<TcpStream> = Vec::new();
    for index in 0..3 {
        streams.push(send(&ringway, "norm", ""));
        took_the_place(&ringway);
        wait_until("the wait", || waiting(&ringway) == index);
    }
    let begun = Instant::now();
    let refused = read(&mut send(&ringway, "norm", ""));
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")), "{}", refused.text());
    assert_eq!(refused.field("retry-after"), Some("1"), "{}", refused.head);
    assert!(refused.text().contains("as many wait already as may"), "{}", refused.text());
    // The latest of the lower class makes place for a higher one.
    let high = send(&ringway, "high", "");
    let displaced = read(&mut streams[2]);
    assert_eq!(displaced.status, 429);
    assert!(displaced.text().contains("its place in the queue went to another one"), "{}", displaced.text());
    let records = ringway.records(Duration::from_millis(200));
    let mut ended: Vec<&str> = records.iter().filter_map(|record| record["queue"][0]["ended"].as_str()).collect();
    // Of two shards, in any order.
    ended.sort_unstable();
    assert_eq!(ended, ["displaced", "full"]);
    assert_eq!(metric(&ringway, "ringway_queue_refused_total{"), 2);
    drop((high, streams));
}

#[test]
fn who_waits_too_long_is_refused() {
    let mock = Mock::start(&["--delay", "1s", "--gap", "0ms", "--tokens", "4"]);
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("norm", "limits: []")], "queue: {wait: 100ms}");
    let mut first = send(&ringway, "norm", "");
    took_the_place(&ringway);
    let mut second = send(&ringway, "norm", "");
    let begun = Instant::now();
    let refused = read(&mut second);
    assert_eq!(refused.status, 429);
    assert!((80..400).contains(&(begun.elapsed().as_millis() as u64)), "{:?}", begun.elapsed());
    assert!(refused.text().contains("it waited 1") && refused.field("retry-after").is_some(), "{}", refused.text());
    assert_eq!(read(&mut first).status, 200);
}

#[test]
fn a_client_that_leaves_the_queue_leaves_one_record_and_no_trace() {
    let mock = slow();
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("norm", "limits: []")], PATIENT);
    let mut first = send(&ringway, "norm", "");
    took_the_place(&ringway);
    let leaver = send(&ringway, "norm", "");
    wait_until("the wait", || waiting(&ringway) == 1);
    let mut third = send(&ringway, "norm", "");
    wait_until("the second wait", || waiting(&ringway) == 2);
    drop(leaver);
    wait_until("the leave", || waiting(&ringway) == 1);
    assert_eq!((read(&mut first).status, read(&mut third).status), (200, 200));
    let records = ringway.records(Duration::from_millis(300));
    let gone: Vec<&Value> = records.iter().filter(|record| record["fault"] == "client_gone").collect();
    assert_eq!((records.len(), gone.len(), &gone[0]["queue"][0]["ended"]), (3, 1, &json!("left")), "{records:?}");
    assert_eq!(mock.log().len(), 2, "who left was never sent");
    assert_eq!((waiting(&ringway), metric(&ringway, "ringway_in_flight_requests")), (0, 0));
    assert_eq!(metric(&ringway, "ringway_quota_reserved{"), 0);
}

#[test]
fn nobody_waits_where_there_is_room() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "[{concurrent: 100}, {requests: 1000, per: 1m}]", &[("norm", "priority: low")], PATIENT);
    for _ in 0..20 {
        assert_eq!(read(&mut send(&ringway, "norm", "")).status, 200);
    }
    let records = ringway.records(Duration::from_millis(300));
    assert_eq!(records.len(), 20);
    assert!(records.iter().all(|record| record.get("queue").is_none()));
}

#[test]
fn a_rate_that_refills_lets_the_next_one_in() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "[{requests: 5, per: 1s}]", &[("norm", "limits: []")], PATIENT);
    let begun = Instant::now();
    let mut streams: Vec<TcpStream> = (0..10).map(|_| send(&ringway, "norm", "")).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(read(stream).status, 200));
    let took = begun.elapsed();
    assert!((Duration::from_millis(950)..Duration::from_millis(1_600)).contains(&took), "five at once, five in a second: {took:?}");
}

#[test]
fn a_rate_that_refills_too_late_is_not_waited_for() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "[{requests: 1, per: 1h}]", &[("norm", "limits: []")], "queue: {wait: 5s}");
    assert_eq!(read(&mut send(&ringway, "norm", "")).status, 200);
    let begun = Instant::now();
    let refused = read(&mut send(&ringway, "norm", ""));
    assert_eq!((refused.status, refused.field("retry-after")), (429, Some("3600")), "{}", refused.head);
    assert!(begun.elapsed() < Duration::from_millis(100));
}

#[test]
fn the_gateways_own_bound_is_waited_for_by_priority() {
    let mock = slow();
    let file = config(&mock, "[]", &[("norm", "limits: []"), ("high", "priority: high")], PATIENT);
    let ringway = Ringway::with(&file, &["--max-in-flight", "1"]);
    // Two shards, a place on each: all of one connection's requests are one shard's.
    let together: Vec<TcpStream> = (0..12).map(|index| send(&ringway, if index % 2 == 0 { "norm" } else { "high" }, "")).collect();
    for mut stream in together {
        let answer: Answer = read(&mut stream);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let records = ringway.records(Duration::from_millis(300));
    let waits: Vec<&Value> = records.iter().filter_map(|record| record["queue"].get(0)).collect();
    assert!(waits.len() >= 8 && waits.iter().all(|wait| wait["before"] == "in_flight"), "{waits:?}");
    let mean = |class: &str| {
        let of: Vec<f64> = waits.iter().filter(|wait| wait["priority"] == class).filter_map(|wait| wait["waited_us"].as_f64()).collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    };
    assert!(mean("high") < mean("normal"), "{waits:?}");
    assert!(mock.log().len() == 12);
}

#[test]
fn who_can_go_elsewhere_does_not_wait() {
    let mock = slow();
    let more = format!("{PATIENT}\nroutes: {{r: {{targets: [a/x], fallbacks: [ringway/echo]}}}}");
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("norm", "limits: []")], &more);
    let mut first = send(&ringway, "norm", "");
    took_the_place(&ringway);
    let body = json!({"model": "r", "messages": [{"role": "user", "content": "hello"}]});
    let second = post_with(ringway.address, CHAT, "authorization: Bearer test-key-of-norm-0001\r\n", &body);
    assert_eq!((second.status, second.field("x-ringway-provider")), (200, Some("ringway")));
    assert_eq!(read(&mut first).status, 200);
}

#[test]
fn without_priorities_and_queue_nobody_waits() {
    let mock = slow();
    let ringway = gateway(&mock, "[{concurrent: 1}]", &[("norm", "limits: []")], "");
    let mut first = send(&ringway, "norm", "");
    took_the_place(&ringway);
    let begun = Instant::now();
    assert_eq!(read(&mut send(&ringway, "norm", "")).status, 429);
    assert!(begun.elapsed() < Duration::from_millis(50));
    assert_eq!(read(&mut first).status, 200);
}
