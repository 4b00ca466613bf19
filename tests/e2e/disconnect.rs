//! Clients that leave: the upstream is cancelled at once, and one record says what was delivered.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::client::{connect, request};
use crate::process::{Mock, Ringway};

fn gateway(mock: &Mock) -> Ringway {
    Ringway::start(&format!("providers:\n  a: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-test-a-key]}}\n", mock.address))
}

fn cancelled(mock: &Mock) -> Duration {
    let begun = Instant::now();
    let log = mock.wait_log(Duration::from_secs(3), |log| log.iter().any(|entry| entry["closed_early"] == true));
    assert!(log.iter().any(|entry| entry["closed_early"] == true), "{log:?}");
    begun.elapsed()
}

#[test]
fn leaving_while_the_provider_thinks_cancels_it() {
    let mock = Mock::start(&["--delay", "10s"]);
    let ringway = gateway(&mock);
    let mut stream = connect(ringway.address);
    stream.write_all(&request("/v1/chat/completions", "", r#"{"model":"a/x","messages":[]}"#)).expect("written");
    mock.wait_log(Duration::from_secs(3), |log| !log.is_empty());
    drop(stream);
    assert!(cancelled(&mock) < Duration::from_millis(250));
    let record = ringway.record();
    assert_eq!((&record["status"], &record["fault"]), (&serde_json::json!(499), &serde_json::json!("client_gone")), "{record}");
    assert!(ringway.records(Duration::from_millis(200)).is_empty(), "one record");
}

#[test]
fn leaving_inside_a_stream_keeps_what_was_delivered() {
    let mock = Mock::start(&["--gap", "30ms", "--tokens", "200"]);
    let ringway = gateway(&mock);
    let mut stream = connect(ringway.address);
    stream.write_all(&request("/v1/chat/completions", "", r#"{"model":"a/x","stream":true,"messages":[]}"#)).expect("written");
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("word3") {
        let count = stream.read(&mut buffer).expect("the stream goes on");
        seen.extend_from_slice(&buffer[..count]);
    }
    drop(stream);
    assert!(cancelled(&mock) < Duration::from_millis(250));
    let record = ringway.record();
    assert_eq!((&record["fault"], &record["provenance"]), (&serde_json::json!("client_gone"), &serde_json::json!("delivered")), "{record}");
    assert!(record["usage"]["output"].as_u64().is_some_and(|tokens| tokens > 0), "{record}");
    assert!(ringway.records(Duration::from_millis(200)).is_empty(), "one record");
}
