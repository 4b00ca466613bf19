//! The generator against scripted servers on loopback.

use super::super::request::tests::load;
use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// Answers every request on one connection until it closes; stalls before the first answer.
fn server(stall: Duration, answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        std::thread::sleep(stall);
        let mut buffer = [0; 4096];
        while let Ok(count) = socket.read(&mut buffer) {
            if count == 0 || socket.write_all(answer).is_err() {
                return;
            }
        }
    });
    address
}

#[test]
fn a_stalled_target_pays_for_the_requests_it_held_up() {
    let address = server(Duration::from_millis(200), WHOLE);
    let load = LoadArgs { rate: Rate::PerSecond(100.0), connections: 1, ..load() };
    let target = Target::new(&format!("http://{address}"), &load).unwrap();
    let figures = run_load(&target, &load, Duration::from_millis(500)).unwrap();
    assert_eq!((figures.error_count(), figures.unsent), (0, 0));
    assert!((45..=50).contains(&figures.completed), "{}", figures.completed);
    // About twenty requests were due during the stall; a closed loop would have seen one slow answer.
    let slow = figures.latency.len() - figures.latency.count_between(1, 20_000_000);
    assert!(slow >= 10, "{slow}");
}

fn streamed(answer: &'static [u8]) -> Figures {
    let address = server(Duration::ZERO, answer);
    let load = LoadArgs { streams: Some(1), ..load() };
    let target = Target::new(&format!("http://{address}"), &load).unwrap();
    run_load(&target, &load, Duration::from_millis(100)).unwrap()
}

#[test]
fn events_are_counted_and_timed() {
    let figures = streamed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    assert!(figures.completed > 0);
    assert_eq!((figures.events, figures.error_count()), (figures.completed * 2, 0));
    assert_eq!(figures.first_event.len(), figures.completed);
}

#[test]
fn a_last_event_longer_than_the_tail_still_ends_a_stream() {
    static ANSWER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let event = format!("event: response.completed\ndata: {{\"text\":\"{}\"}}\n\n", "x".repeat(2000));
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n0\r\n\r\n", event.len()).into_bytes()
    });
    let figures = streamed(&ANSWER);
    assert!(figures.completed > 0);
    assert_eq!(figures.error_count(), 0);
}

#[test]
fn a_stream_that_only_stops_is_an_error() {
    let figures = streamed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n");
    assert_eq!(figures.completed, 0);
    assert!(figures.errors["stream_without_end"] > 0);
}

#[test]
fn an_absent_target_is_an_error_and_ends() {
    let load = LoadArgs { connections: 1, ..load() };
    let target = Target::new("http://127.0.0.1:1", &load).unwrap();
    let figures = run_load(&target, &load, Duration::from_millis(150)).unwrap();
    assert_eq!(figures.completed, 0);
    assert!(figures.errors.contains_key("connect"));
}
