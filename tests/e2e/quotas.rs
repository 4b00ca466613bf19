//! Limits and budgets on the wire: exact at the edge, settled to what was used, told in headers.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, connect, exchange, post_with, read, request};
use crate::process::{Mock, Ringway};

const KEY: &str = "authorization: Bearer test-key-of-limits-1\r\n";
const CHAT: &str = "/v1/chat/completions";

/// A gateway before `mock` whose key has these limits and budgets.
fn gateway(mock: &Mock, key: &str, more: &str) -> Ringway {
    Ringway::start(&config(mock, key, more))
}

fn config(mock: &Mock, key: &str, more: &str) -> String {
    format!(
        "providers:\n  a: {{like: openai, base_url: \"http://{0}/v1\", keys: [sk-test-a-key]}}\n  \
         b: {{like: anthropic, base_url: \"http://{0}\", keys: [sk-test-b-key]}}\n{more}\
         virtual_keys: {{k: {{key: test-key-of-limits-1, {key}}}}}\n",
        mock.address
    )
}

fn echo(key: &str) -> Ringway {
    Ringway::start(&format!("virtual_keys: {{k: {{key: test-key-of-limits-1, {key}}}}}\n"))
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

fn send(ringway: &Ringway, path: &str, body: &Value) -> Answer {
    post_with(ringway.address, path, KEY, body)
}

/// How the key's quotas stand, by id.
fn standing(ringway: &Ringway, id: &str) -> Value {
    let asked = b"GET /api/v1/keys HTTP/1.1\r\nhost: t\r\nauthorization: Bearer test-admin-token-0001\r\n\r\n";
    let keys = exchange(ringway.admin, asked).json();
    let quotas = keys["data"][0]["quotas"].as_array().expect("the key's quotas").clone();
    quotas.into_iter().find(|quota| quota["id"] == id).unwrap_or_else(|| panic!("{id}: {keys}"))
}

/// Waits until nothing is reserved any more: an exchange settles just after its last byte.
fn settled(ringway: &Ringway, id: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let standing = standing(ringway, id);
        if standing["reserved"] == 0.0 || Instant::now() > until {
            return standing;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn tokens(record: &Value) -> f64 {
    let of = |usage: &Value| usage["input"].as_f64().unwrap_or(0.0) + usage["output"].as_f64().unwrap_or(0.0);
    of(&record["usage"]) + record["attempts"].as_array().expect("attempts").iter().map(|attempt| of(&attempt["usage"])).sum::<f64>()
}

#[test]
fn a_used_up_limit_is_told_with_the_exact_time_to_come_back() {
    let ringway = echo("limits: [{requests: 1, per: 1m}, {tokens: 100000, per: 1m}]");
    let first = send(&ringway, CHAT, &ask("ringway/echo"));
    assert_eq!((first.status, first.field("x-ratelimit-limit-requests")), (200, Some("1")), "{}", first.head);
    assert_eq!((first.field("x-ratelimit-remaining-requests"), first.field("x-ratelimit-reset-requests")), (Some("0"), Some("1m0s")));
    assert_eq!(first.field("x-ratelimit-limit-tokens"), Some("100000"));
    assert!(first.field("x-ratelimit-remaining-tokens").is_some_and(|left| left.parse::<u64>().unwrap() < 100_000));
    let begun = Instant::now();
    let second = send(&ringway, CHAT, &ask("ringway/echo"));
    assert!(begun.elapsed() < Duration::from_millis(100));
    assert_eq!((second.status, &second.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!((second.field("retry-after"), second.field("x-should-retry")), (Some("60"), None), "{}", second.head);
    let ms: u64 = second.field("retry-after-ms").unwrap().parse().unwrap();
    assert!((58_000..=60_000).contains(&ms), "{ms}");
    let message = second.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("key \"k\"") && message.contains("1 requests per 1m") && message.contains("try again in"), "{message}");
    let messages = send(&ringway, "/v1/messages", &json!({"model": "ringway/echo", "max_tokens": 9, "messages": []}));
    assert_eq!((messages.status, messages.field("anthropic-ratelimit-requests-remaining")), (429, Some("0")), "{}", messages.head);
    assert!(messages.field("anthropic-ratelimit-requests-reset").is_some_and(|time| time.ends_with('Z')));
    assert_eq!((messages.field("x-ratelimit-limit-requests"), &messages.json()["error"]["type"]), (None, &json!("rate_limit_error")));
}

#[test]
fn who_comes_back_when_told_is_let_in() {
    let ringway = echo("limits: [{requests: 1, per: 1s}]");
    assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 200);
    let refused = send(&ringway, CHAT, &ask("ringway/echo"));
    assert_eq!(refused.status, 429);
    std::thread::sleep(Duration::from_millis(refused.field("retry-after-ms").unwrap().parse().unwrap()));
    assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 200);
}

/// `RINGWAY_ROUNDS`, for who has time.
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var("RINGWAY_ROUNDS").map_or(usual, |count| count.parse().expect("RINGWAY_ROUNDS is a number"))
}

#[test]
fn a_thousand_at_once_get_exactly_what_there_is() {
    const CLIENTS: usize = 8;
    const EACH: usize = 125;
    let rounds = rounds(5);
    let keys: String =
        (0..rounds).map(|n| format!("  k{n}: {{key: test-key-of-round-{n}, limits: [{{requests: 10, per: 1h}}]}}\n")).collect();
    let ringway = Ringway::start(&format!("virtual_keys:\n{keys}"));
    for round in 0..rounds {
        let bytes = request(CHAT, &format!("authorization: Bearer test-key-of-round-{round}\r\n"), &ask("ringway/echo").to_string());
        let together = Barrier::new(CLIENTS);
        let client = || {
            let mut streams: Vec<_> = (0..EACH).map(|_| connect(ringway.address)).collect();
            together.wait();
            streams.iter_mut().for_each(|stream| stream.write_all(&bytes).expect("written"));
            streams.iter_mut().map(read).filter(|answer| answer.status == 200).count()
        };
        let admitted: usize = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        assert_eq!(admitted, 10, "round {round}");
    }
}

#[test]
fn one_client_on_one_connection_gets_the_whole_limit() {
    let ringway = echo("limits: [{requests: 100, per: 1h}]");
    let bytes = request(CHAT, KEY, &ask("ringway/echo").to_string());
    let mut stream = connect(ringway.address);
    let statuses: Vec<u16> = (0..101)
        .map(|_| {
            stream.write_all(&bytes).expect("written");
            read(&mut stream).status
        })
        .collect();
    assert!(statuses[..100].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(statuses[100], 429);
}

#[test]
fn tokens_settle_to_what_the_provider_reports() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "limits: [{tokens: 100000, per: 1mo}], budgets: [{tokens: 50000, per: 1d}]", "");
    let mut total = 0.0;
    for (path, model) in [(CHAT, "a/x"), ("/v1/messages", "b/x"), (CHAT, "b/x")] {
        for stream in [false, true] {
            let mut body = ask(model);
            (body["stream"], body["max_tokens"]) = (json!(stream), json!(1000));
            let answer = send(&ringway, path, &body);
            assert!(answer.status == 200 && answer.complete, "{}", answer.text());
            let record = ringway.record();
            assert_eq!(record["provenance"], "provider", "{record}");
            let used = tokens(&record);
            assert!(used > 0.0, "{record}");
            total += used;
            let budget = record["charges"].as_array().unwrap().iter().find(|row| row["id"] == "key/k/budget-tokens/1d").unwrap().clone();
            assert_eq!((&budget["state"], budget["actual"].as_f64()), (&json!("settled"), Some(used)), "{record}");
            assert!(budget["reserved"].as_u64() >= Some(1000) || !stream, "{record}");
        }
    }
    let budget = settled(&ringway, "key/k/budget-tokens/1d");
    assert_eq!((budget["settled"].as_f64(), budget["remaining"].as_f64()), (Some(total), Some(50_000.0 - total)));
}

#[test]
fn a_token_budget_refuses_at_its_edge_with_402() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "budgets: [{tokens: 600, per: 1d}]", "");
    let mut body = ask("a/x");
    body["max_tokens"] = json!(400);
    assert_eq!(send(&ringway, CHAT, &body).status, 200);
    let used = settled(&ringway, "key/k/budget-tokens/1d")["settled"].as_f64().unwrap();
    body["max_tokens"] = json!(601 - used as u64);
    let refused = send(&ringway, CHAT, &body);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (402, &json!("budget_exceeded")), "{}", refused.text());
    assert_eq!(refused.field("x-should-retry"), Some("false"));
    assert!(
        refused.field("retry-after").is_some_and(|after| (86_000..=86_400).contains(&after.parse::<u64>().unwrap())),
        "{}",
        refused.head
    );
    assert_eq!(mock.log().len(), 1, "a refused request costs nothing");
}

#[test]
fn a_client_that_leaves_is_charged_what_was_delivered_once() {
    let mock = Mock::start(&["--gap", "10ms", "--tokens", "400"]);
    let ringway = gateway(&mock, "limits: [{concurrent: 1}], budgets: [{tokens: 50000, per: 1d}]", "");
    let mut body = ask("a/x");
    body["stream"] = json!(true);
    let mut stream = connect(ringway.address);
    stream.write_all(&request(CHAT, KEY, &body.to_string())).expect("written");
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains("word5") {
        let count = stream.read(&mut buffer).expect("the stream goes on");
        seen.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(send(&ringway, CHAT, &ask("a/x")).status, 429, "one at once");
    drop(stream);
    let records = ringway.records(Duration::from_millis(500));
    let gone: Vec<&Value> = records.iter().filter(|record| record["fault"] == "client_gone").collect();
    assert_eq!(gone.len(), 1, "{records:?}");
    let used = tokens(gone[0]);
    assert!(used > 0.0 && used < 200.0 && gone[0]["provenance"] == "delivered", "{}", gone[0]);
    let budget = settled(&ringway, "key/k/budget-tokens/1d");
    assert_eq!((budget["settled"].as_f64(), budget["reserved"].as_f64()), (Some(used), Some(0.0)));
    assert_eq!(settled(&ringway, "key/k/concurrent")["remaining"], 1.0, "the place is free again");
}

#[test]
fn a_budget_that_cuts_ends_a_stream_well_formed() {
    let mock = Mock::start(&["--gap", "1ms", "--tokens", "3000"]);
    for (path, model) in [(CHAT, "a/x"), ("/v1/messages", "b/x"), (CHAT, "b/x")] {
        let ringway = gateway(&mock, "budgets: [{tokens: 900, per: 1d, on_exhaust: cut}]", "reserve: {output_tokens_floor: 64}\n");
        let mut body = ask(model);
        body["stream"] = json!(true);
        if path != CHAT {
            body["max_tokens"] = json!(800);
        }
        let answer = send(&ringway, path, &body);
        assert!(answer.status == 200 && answer.complete && answer.error_count() == 0, "{path} {model}: {}", answer.text());
        let text = answer.text();
        match path {
            CHAT => {
                assert!(text.trim_end().ends_with("data: [DONE]") && text.contains("\"finish_reason\":\"length\""), "{text}");
            }
            _ => assert!(text.contains("\"stop_reason\":\"max_tokens\"") && text.contains("message_stop"), "{text}"),
        }
        let record = ringway.record();
        assert_eq!((&record["cut"], &record["status"]), (&json!(true), &json!(200)), "{record}");
        let budget = settled(&ringway, "key/k/budget-tokens/1d");
        let used = budget["settled"].as_f64().unwrap();
        assert!(used == tokens(&record) && (600.0..=900.0).contains(&used), "{budget} {record}");
        let is_closed = |log: &[Value]| log.last().is_some_and(|last| last["closed_early"] == true);
        assert!(is_closed(&mock.wait_log(Duration::from_secs(3), is_closed)), "the provider is told at once");
    }
}

#[test]
fn a_budget_that_does_not_cut_lets_a_stream_end_and_is_in_debt() {
    let mock = Mock::start(&["--gap", "1ms", "--tokens", "1000"]);
    let ringway = gateway(&mock, "budgets: [{tokens: 500, per: 1d}]", "reserve: {output_tokens_floor: 64}\n");
    let mut body = ask("a/x");
    body["stream"] = json!(true);
    let answer = send(&ringway, CHAT, &body);
    assert!(answer.complete && answer.error_count() == 0);
    let budget = settled(&ringway, "key/k/budget-tokens/1d");
    assert!(budget["settled"].as_f64() >= Some(1000.0) && budget["remaining"] == 0.0, "{budget}");
    assert_eq!(send(&ringway, CHAT, &ask("a/x")).status, 402);
}

#[test]
fn a_used_up_budget_hands_over_to_its_route() {
    let mock = Mock::quick();
    let more = "routes:\n  cheap: {targets: [a/small]}\n";
    let ringway = gateway(&mock, "budgets: [{tokens: 20, per: 1d, on_exhaust: {downgrade: cheap}}]", more);
    let mut body = ask("a/large");
    body["max_tokens"] = json!(1);
    let models: Vec<(u16, Option<String>, Option<String>)> = (0..4)
        .map(|_| {
            let answer = send(&ringway, CHAT, &body);
            let _ = settled(&ringway, "key/k/budget-tokens/1d");
            let field = |name| answer.field(name).map(str::to_owned);
            (answer.status, field("x-ringway-model"), field("x-ringway-downgraded"))
        })
        .collect();
    assert!(models.iter().all(|(status, ..)| *status == 200), "{models:?}");
    assert_eq!(models.last().unwrap(), &(200, Some("small".to_owned()), Some("cheap".to_owned())), "{models:?}");
    let records = ringway.records(Duration::from_millis(300));
    let last = records.last().expect("a record");
    assert_eq!((&last["downgraded"], &last["route"], &last["asked"]), (&json!("cheap"), &json!("cheap"), &json!("a/large")), "{last}");
}

#[test]
fn a_shadow_reports_what_it_would_have_refused() {
    let ringway = echo("limits: [{requests: 1, per: 1h, shadow: true}]");
    for state in ["settled", "over"] {
        assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 200);
        let record = ringway.record();
        assert_eq!((&record["charges"][0]["state"], &record["charges"][0]["shadow"]), (&json!(state), &json!(true)), "{record}");
    }
}

#[test]
fn a_model_without_a_price_is_refused_under_a_budget_in_usd_unless_the_route_says_so() {
    let mock = Mock::quick();
    let more = "routes:\n  any: {targets: [a/nobody-prices-this], unpriced: allow}\n";
    let ringway = gateway(&mock, "budgets: [{usd: \"1\", per: 1d}]", more);
    let refused = send(&ringway, CHAT, &ask("a/nobody-prices-this"));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(refused.status, 402, "{message}");
    assert!(message.contains("a/nobody-prices-this") && message.contains("providers:") && message.contains("unpriced: allow"), "{message}");
    assert_eq!(mock.log().len(), 0);
    assert_eq!(send(&ringway, CHAT, &ask("any")).status, 200);
    assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 200, "the gateway's own model is free");
}

#[test]
fn a_reload_keeps_what_was_spent() {
    let mock = Mock::quick();
    let ringway = gateway(&mock, "limits: [{requests: 2, per: 1h}]", "");
    assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 200);
    for (count, left) in [(5, 4.0), (1, 0.0)] {
        std::fs::write(&ringway.config, config(&mock, &format!("limits: [{{requests: {count}, per: 1h}}]"), "")).expect("written");
        ringway.process.signal(libc::SIGHUP);
        let until = Instant::now() + Duration::from_secs(5);
        while standing(&ringway, "key/k/requests/1h")["limit"] != f64::from(count) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(standing(&ringway, "key/k/requests/1h")["remaining"], left, "of {count}");
    }
    assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 429);
}

#[test]
fn a_full_provider_is_passed_over_for_the_next_target() {
    let mock = Mock::quick();
    let more = "routes:\n  both: {targets: [a/x], fallbacks: [b/y]}\nlimits: [{requests: 1, per: 1h, provider: a}]\n";
    let ringway = gateway(&mock, "", more);
    let model = |answer: Answer| (answer.status, answer.field("x-ringway-model").map(str::to_owned));
    assert_eq!(model(send(&ringway, CHAT, &ask("both"))), (200, Some("x".to_owned())));
    assert_eq!(model(send(&ringway, CHAT, &ask("both"))), (200, Some("y".to_owned())));
    let alone = send(&ringway, CHAT, &ask("a/x"));
    assert_eq!(alone.status, 429);
    assert!(alone.json()["error"]["message"].as_str().unwrap().contains("provider \"a\""), "{}", alone.text());
    let records = ringway.records(Duration::from_millis(300));
    let record = records.iter().find(|record| record["model"] == "y").expect("the second request's record");
    assert_eq!((&record["attempts"][0]["fault"], &record["attempts"][0]["status"]), (&json!("rate_limit_exceeded"), &json!(0)), "{record}");
}

#[test]
fn standings_are_metrics() {
    let ringway = echo("limits: [{requests: 5, per: 1h}]");
    send(&ringway, CHAT, &ask("ringway/echo"));
    let text = crate::client::get(ringway.admin, "/metrics").text();
    for line in [
        "ringway_quota_limit{id=\"key/k/requests/1h\",unit=\"requests\"} 5",
        "ringway_quota_remaining{id=\"key/k/requests/1h\",unit=\"requests\"} 4",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_credentials_own_limit_hands_over_to_the_next_credential() {
    let mock = Mock::quick();
    let credentials = "[{name: one, value: sk-test-one, limits: [{requests: 2, per: 1h}]}, {name: two, value: sk-test-two, limits: [{requests: 3, per: 1h}]}]";
    let ringway = Ringway::start(&format!(
        "providers: {{a: {{like: openai, base_url: \"http://{}/v1\", keys: {credentials}}}}}\n\
         virtual_keys: {{k: {{key: test-key-of-limits-1}}}}\n",
        mock.address
    ));
    let statuses: Vec<u16> = (0..6).map(|_| send(&ringway, CHAT, &ask("a/x")).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429], "all that both allow, whichever is drawn");
    let refused = send(&ringway, CHAT, &ask("a/x"));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("credential \"a\"") && refused.field("retry-after").is_some(), "{message}");
    let log = mock.log();
    let sent = |secret: &str| log.iter().filter(|asked| asked.to_string().contains(secret)).count();
    if sent("sk-test") > 0 {
        assert_eq!((sent("sk-test-one"), sent("sk-test-two")), (2, 3));
    }
    assert_eq!(log.len(), 5);
}

#[test]
fn a_budget_that_comes_back_still_knows_what_was_spent() {
    let mock = Mock::quick();
    let budget = "budgets: [{tokens: 50000, per: 1d}]";
    let ringway = gateway(&mock, budget, "");
    assert_eq!(send(&ringway, CHAT, &ask("a/x")).status, 200);
    let id = "key/k/budget-tokens/1d";
    let spent = settled(&ringway, id)["settled"].as_f64().unwrap();
    assert!(spent > 0.0);
    let reload = |key: &str, has_budget: bool| {
        std::fs::write(&ringway.config, config(&mock, key, "")).expect("written");
        ringway.process.signal(libc::SIGHUP);
        let until = Instant::now() + Duration::from_secs(5);
        let asked = b"GET /api/v1/keys HTTP/1.1\r\nhost: t\r\nauthorization: Bearer test-admin-token-0001\r\n\r\n";
        while exchange(ringway.admin, asked).text().contains(id) != has_budget {
            assert!(Instant::now() < until, "the reload did not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    for _ in 0..2 {
        reload("limits: [{concurrent: 9}]", false);
        assert_eq!(send(&ringway, CHAT, &ask("ringway/echo")).status, 200, "nothing counts it");
        reload(budget, true);
        assert_eq!(settled(&ringway, id)["settled"].as_f64(), Some(spent));
    }
    // What a process before has spent is there as well, where the budget comes later than the start.
    let data = std::env::temp_dir().join(format!("ringway-e2e-budget-{}", std::process::id()));
    let start = |key: &str| Ringway::with(&config(&mock, key, ""), &["--data-dir", data.to_str().unwrap()]);
    let first = start(budget);
    assert_eq!(send(&first, CHAT, &ask("a/x")).status, 200);
    let spent = settled(&first, id)["settled"].as_f64().unwrap();
    drop(first);
    let second = start("limits: [{concurrent: 9}]");
    std::fs::write(&second.config, config(&mock, budget, "")).expect("written");
    second.process.signal(libc::SIGHUP);
    let until = Instant::now() + Duration::from_secs(5);
    let state = b"GET /v1/key HTTP/1.1\r\nhost: t\r\nauthorization: Bearer test-key-of-limits-1\r\n\r\n";
    while !exchange(second.address, state).text().contains("50000") {
        assert!(Instant::now() < until, "the reload did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(settled(&second, id)["settled"].as_f64(), Some(spent));
    drop(second);
    let _ = std::fs::remove_dir_all(&data);
}
