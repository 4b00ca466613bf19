//! The bounds of the HTTP layer, on the wire.

use std::io::Write;
use std::time::Duration;

use crate::client::{connect, exchange, read, request};
use crate::process::Ringway;

const ECHO: &str = r#"{"model":"ringway/echo","messages":[{"role":"user","content":"hi"}]}"#;

#[test]
fn pipelined_requests_are_answered_in_order() {
    let ringway = Ringway::start("{}");
    let mut stream = connect(ringway.address);
    let ask = |word: &str| request("/v1/chat/completions", "", &ECHO.replace("hi", word));
    let bytes: Vec<u8> = ["first", "second", "third"].iter().flat_map(|word| ask(word)).collect();
    stream.write_all(&bytes).expect("written");
    for word in ["first", "second", "third"] {
        assert_eq!(read(&mut stream).json()["choices"][0]["message"]["content"], word);
    }
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let ringway = Ringway::with("{}", &["--body-bytes", "1000"]);
    let answer = exchange(ringway.address, b"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 2000\r\n\r\n");
    assert_eq!(answer.status, 413, "{}", answer.head);
    assert_eq!(answer.field("connection"), Some("close"));
    let answer = exchange(ringway.address, b"POST /v1/messages HTTP/1.1\r\nhost: t\r\ncontent-length: 2000\r\n\r\n");
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (413, &"request_too_large".into()), "{}", answer.text());
    assert_eq!(answer.json()["type"], "error", "in the client's own API");
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let ringway = Ringway::start("{}");
    let mut stream = connect(ringway.address);
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", ECHO.len());
    stream.write_all(head.as_bytes()).expect("written");
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut interim).expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(ECHO.as_bytes()).expect("written");
    assert_eq!(read(&mut stream).status, 200);
}

#[test]
fn chunked_bodies_and_http_1_0_are_served() {
    let ringway = Ringway::start("{}");
    let (begin, end) = ECHO.split_at(20);
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{begin}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        begin.len(),
        end.len()
    );
    assert_eq!(exchange(ringway.address, chunked.as_bytes()).status, 200);
    let old = format!("POST /v1/chat/completions HTTP/1.0\r\ncontent-length: {}\r\n\r\n{}", ECHO.len(), ECHO);
    let answer = exchange(ringway.address, old.as_bytes());
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    let streamed = ECHO.replace("\"model\"", "\"stream\":true,\"model\"");
    let old = format!("POST /v1/chat/completions HTTP/1.0\r\ncontent-length: {}\r\n\r\n{streamed}", streamed.len());
    let answer = exchange(ringway.address, old.as_bytes());
    assert!(answer.field("transfer-encoding").is_none() && answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
}

#[test]
fn an_ambiguous_request_is_refused_and_nothing_behind_it_is_parsed() {
    let ringway = Ringway::start("{}");
    let smuggled = request("/v1/chat/completions", "", ECHO);
    let mut bytes =
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_vec();
    bytes.extend_from_slice(&smuggled);
    let mut stream = connect(ringway.address);
    stream.write_all(&bytes).expect("written");
    let answer = read(&mut stream);
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{}", answer.head);
    assert_eq!(read(&mut stream).status, 0, "the connection is over");
    assert_eq!(ringway.records(Duration::from_millis(300)).len(), 1);
}

#[test]
fn a_head_that_does_not_come_is_a_408() {
    let ringway = Ringway::with("{}", &["--head-timeout", "200ms"]);
    let mut stream = connect(ringway.address);
    stream.write_all(b"POST /v1/chat").expect("written");
    assert_eq!(read(&mut stream).status, 408);
}

#[test]
fn compressed_bodies_are_decoded_or_refused() {
    let ringway = Ringway::start("{}");
    let mut bytes = request("/v1/chat/completions", "content-encoding: compress\r\n", ECHO);
    assert_eq!(exchange(ringway.address, &bytes).status, 415);
    bytes = request("/v1/chat/completions", "content-encoding: gzip\r\n", ECHO);
    assert_eq!(exchange(ringway.address, &bytes).status, 400);
}

#[test]
fn head_requests_get_no_body() {
    let ringway = Ringway::start("{}");
    let mut stream = connect(ringway.address);
    stream.write_all(b"HEAD /v1/models HTTP/1.1\r\nhost: t\r\n\r\nGET /livez HTTP/1.1\r\nhost: t\r\n\r\n").expect("written");
    let mut bytes = vec![0; 4096];
    std::thread::sleep(Duration::from_millis(200));
    let count = std::io::Read::read(&mut stream, &mut bytes).expect("answers");
    let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert!(!text.contains("\"object\""), "{text}");
}
