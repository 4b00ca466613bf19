//! Clients that leave: the upstream is cancelled at once, and one record says what was delivered.

use std::io::{Read, Write};
use std::net::SocketAddr;
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

/// Reads up to `bytes` of the answer to a streamed request, then leaves. Gives how much there was.
fn leave_after(address: SocketAddr, id: usize, bytes: usize) -> usize {
    let mut stream = connect(address);
    let fields = format!("x-request-id: {id}\r\n");
    stream.write_all(&request("/v1/chat/completions", &fields, r#"{"model":"a/x","stream":true,"messages":[]}"#)).expect("written");
    let mut seen = vec![0; bytes];
    let mut count = 0;
    while count < bytes {
        match stream.read(&mut seen[count..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => count += more,
        }
        if seen[..count].ends_with(b"\r\n0\r\n\r\n") {
            break;
        }
    }
    count
}

#[test]
fn leaving_at_every_byte_leaves_one_record_and_no_upstream() {
    const THREADS: usize = 8;
    let mock = Mock::start(&["--gap", "2ms", "--tokens", "6"]);
    let ringway = gateway(&mock);
    let whole = leave_after(ringway.address, 0, 1 << 20);
    assert!(whole > 1_000, "{whole}");
    let address = ringway.address;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                (1..whole).skip(thread).step_by(THREADS).for_each(|bytes| {
                    leave_after(address, bytes, bytes);
                })
            });
        }
    });
    let log = mock.wait_log(Duration::from_millis(250), |log| {
        log.iter().all(|entry| entry["closed_early"] == true || entry["finished_ms"].is_number())
    });
    let open = log.iter().filter(|entry| entry["closed_early"] == false && entry["finished_ms"].is_null()).count();
    assert_eq!((log.len(), open), (whole, 0), "250 ms after the last client has left");
    let mut records = vec![0; whole];
    for record in ringway.records(Duration::from_millis(500)) {
        let id: usize = record["client_request_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        records[id] += 1;
        let delivered = record["delivered_events"].as_u64().unwrap_or(0);
        assert!(delivered == 0 || record["usage"]["output"].as_u64() > Some(0), "delivered, and free: {record}");
    }
    assert!(records.iter().all(|count| *count == 1), "{records:?}");
}
