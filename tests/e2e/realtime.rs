//! Realtime sessions: the handshake, frames that go by untouched, what they used, and how a session ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::client::connect;
use crate::process::Ringway;

/// The example of RFC 6455 §1.3: what a server answers to this key is known.
const CLIENT_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const DONE: &[u8] = br#"{"type":"response.done","event_id":"e","response":{"object":"realtime.response","id":"resp_1","status":"completed","usage":{"total_tokens":205,"input_tokens":41,"output_tokens":164,"input_token_details":{"text_tokens":14,"audio_tokens":27,"cached_tokens":0},"output_token_details":{"text_tokens":28,"audio_tokens":136}}}}"#;
const DELTA: &[u8] = br#"{"type":"response.output_text.delta","delta":"one two three four five six"}"#;

/// A provider whose sessions are scripts; gives each handshake's head, and what the script gave.
struct Provider {
    address: SocketAddr,
    heads: Receiver<String>,
    ended: Receiver<Vec<u8>>,
}

fn provider(script: impl Fn(&mut TcpStream) -> Vec<u8> + Send + 'static) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let ((head_in, heads), (ended_in, ended)) = (channel(), channel());
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
            stream.set_nodelay(true).expect("it can be set");
            let head = head(&mut stream);
            let protocol = field(&head, "sec-websocket-protocol").map_or_else(String::new, |offered| {
                format!("Sec-WebSocket-Protocol: {}\r\n", offered.split(',').next().unwrap_or_default())
            });
            let _ = head_in.send(head);
            let agreed = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nset-cookie: a=b\r\n{protocol}\r\n"
            );
            let _ = stream.write_all(agreed.as_bytes());
            let _ = ended_in.send(script(&mut stream));
        }
    });
    Provider { address, heads, ended }
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn gateway(provider: &Provider) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  openai: {{base_url: \"http://{0}/v1\", keys: [sk-test-openai-key], models: [{{name: rt, price: {{input: \"4\", output: \"16\"}}}}]}}\n  \
         azure: {{base_url: \"http://{0}\", keys: [test-azure-key], api_version: 2024-10-21}}\n\
         routes:\n  voice: {{targets: [openai/rt], timeouts: {{session_idle: 1s}}}}\n\
         virtual_keys:\n  first: {{key: test-key-of-the-first}}\n  poor: {{key: test-key-of-the-poor, budgets: [{{usd: \"0.004\", per: 1d}}]}}\n  \
         few: {{key: test-key-of-the-few, models: [openai/other]}}\n",
        provider.address
    ))
}

const KEY: &str = "authorization: Bearer test-key-of-the-first\r\n";
const POOR: &str = "authorization: Bearer test-key-of-the-poor\r\n";

/// A client's handshake; gives the answer's head.
fn begin(ringway: &Ringway, target: &str, fields: &str) -> (TcpStream, String) {
    let mut stream = connect(ringway.address);
    stream.set_nodelay(true).expect("it can be set");
    let head_out = format!(
        "GET {target} HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {CLIENT_KEY}\r\n{fields}\r\n"
    );
    stream.write_all(head_out.as_bytes()).unwrap();
    let head_in = head(&mut stream);
    (stream, head_in)
}

/// A server's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => out.extend([&[126][..], &(len as u16).to_be_bytes()].concat()),
        len => out.extend([&[127][..], &(len as u64).to_be_bytes()].concat()),
    }
    out.extend_from_slice(payload);
    out
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(0x81, payload)
}

/// A client's frame, masked.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 99, 201, 3];
    let plain = frame(first, payload);
    let head_len = plain.len() - payload.len();
    let mut out = plain[..head_len].to_vec();
    out[1] |= 0x80;
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn exactly(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).expect("so many come");
    bytes
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// A greeting, an answer in pieces with a ping between them, a close.
fn server_bytes() -> Vec<u8> {
    [
        text(br#"{"type":"session.created"}"#),
        frame(0x01, &DONE[..40]),
        frame(0x89, b"hi"),
        frame(0x80, &DONE[40..]),
        text(DONE),
        text(DELTA),
    ]
    .concat()
}

fn client_bytes() -> Vec<u8> {
    [masked(0x81, br#"{"type":"response.create"}"#), masked(0x82, &[0xff; 300]), masked(0x8a, b"hi")].concat()
}

const CLOSE: &[u8] = &[0x03, 0xe8];

#[test]
fn frames_go_by_untouched_both_ways_cut_at_every_byte() {
    let provider = provider(|stream| {
        let got = exactly(stream, client_bytes().len());
        for byte in server_bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        let close = exactly(stream, masked(0x88, CLOSE).len());
        stream.write_all(&frame(0x88, CLOSE)).unwrap();
        [got, close].concat()
    });
    let ringway = gateway(&provider);
    let fields = format!("{KEY}sec-websocket-extensions: permessage-deflate\r\norigin: http://page\r\nopenai-beta: realtime=v1\r\n");
    let (mut stream, answer) = begin(&ringway, "/v1/realtime?model=openai/rt&x=1", &fields);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!((field(&answer, "sec-websocket-accept"), field(&answer, "upgrade")), (Some(ACCEPT), Some("websocket")));
    assert_eq!((field(&answer, "set-cookie"), field(&answer, "x-ringway-model")), (None, Some("rt")), "{answer}");
    for byte in client_bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(exactly(&mut stream, server_bytes().len()), server_bytes());
    stream.write_all(&masked(0x88, CLOSE)).unwrap();
    assert_eq!(rest(&mut stream), frame(0x88, CLOSE));
    assert_eq!(provider.ended.recv().unwrap(), [client_bytes(), masked(0x88, CLOSE)].concat());

    let asked = provider.heads.recv().unwrap();
    assert!(asked.starts_with("GET /v1/realtime?model=rt&x=1 HTTP/1.1\r\n"), "{asked}");
    assert_eq!((field(&asked, "authorization"), field(&asked, "openai-beta")), (Some("Bearer sk-test-openai-key"), Some("realtime=v1")));
    for absent in ["sec-websocket-extensions", "origin", "sec-websocket-protocol"] {
        assert_eq!(field(&asked, absent), None, "{asked}");
    }
    assert_eq!((field(&asked, "upgrade"), field(&asked, "sec-websocket-key")), (Some("websocket"), Some(CLIENT_KEY)));

    let record = ringway.record();
    assert_eq!(
        (&record["status"], &record["fault"], &record["operation"]),
        (&101.into(), &serde_json::Value::Null, &"realtime".into()),
        "{record}"
    );
    // Two answers were told, of a third one the text was delivered.
    assert_eq!(record["usage"]["input"], 82, "{record}");
    let output = record["usage"]["output"].as_u64().unwrap();
    assert!((329..345).contains(&output), "{record}");
    let expected = (82.0 * 4.0 + output as f64 * 16.0) / 1e6;
    let cost: f64 = record["cost_usd"].as_str().expect("a cost").parse().unwrap();
    assert!((cost - expected).abs() < 1e-9, "{record}");
    assert!(ringway.records(Duration::from_millis(300)).is_empty(), "one record");
}

#[test]
fn the_key_stands_where_clients_can_put_it() {
    let provider = provider(|stream| {
        stream.write_all(&frame(0x88, CLOSE)).unwrap();
        rest(stream)
    });
    let ringway = gateway(&provider);
    for (target, fields, line, protocol) in [
        ("/v1/realtime?model=openai%2Frt&key=test-key-of-the-first", String::new(), "GET /v1/realtime?model=rt HTTP/1.1", None),
        (
            "/realtime?model=openai/rt",
            "sec-websocket-protocol: realtime, openai-insecure-api-key.test-key-of-the-first, openai-beta.realtime-v1\r\n".into(),
            "GET /v1/realtime?model=rt HTTP/1.1",
            Some("realtime, openai-beta.realtime-v1"),
        ),
        (
            "/openai/realtime?api-version=2025-04-01-preview&deployment=azure/my%20rt",
            KEY.into(),
            "GET /openai/v1/realtime?model=my%20rt&api-version=2025-04-01-preview HTTP/1.1",
            None,
        ),
        (
            "/openai/v1/realtime?model=azure/rt",
            "api-key: test-key-of-the-first\r\n".into(),
            "GET /openai/v1/realtime?model=rt HTTP/1.1",
            None,
        ),
    ] {
        let (mut stream, answer) = begin(&ringway, target, &fields);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{target}: {answer}");
        assert_eq!(field(&answer, "sec-websocket-protocol"), protocol.map(|_| "realtime"));
        let asked = provider.heads.recv().unwrap();
        assert_eq!(asked.lines().next(), Some(line));
        assert_eq!(field(&asked, "sec-websocket-protocol"), protocol);
        assert!(!asked.contains("test-key-of-the-first"), "{asked}");
        assert_eq!(rest_after_close(&mut stream), frame(0x88, CLOSE));
    }
}

/// What comes, where the client answers the close.
fn rest_after_close(stream: &mut TcpStream) -> Vec<u8> {
    let got = exactly(stream, frame(0x88, CLOSE).len());
    stream.write_all(&masked(0x88, CLOSE)).unwrap();
    [got, rest(stream)].concat()
}

#[test]
fn a_session_that_may_not_be_is_refused_before_it_begins() {
    let provider = provider(rest);
    let ringway = gateway(&provider);
    for (target, fields, status, code) in [
        ("/v1/realtime?model=openai/rt", "authorization: Bearer test-key-of-a-stranger\r\n", 401, "invalid_api_key"),
        ("/v1/realtime?model=openai/rt", "authorization: Bearer test-key-of-the-few\r\n", 403, "model_not_allowed"),
        ("/v1/realtime?model=nobody/rt", KEY, 404, "model_not_found"),
        ("/v1/realtime", KEY, 400, "invalid_request_error"),
        ("/v1/realtime/sessions?model=openai/rt", KEY, 404, "not_found"),
    ] {
        let (mut stream, answer) = begin(&ringway, target, fields);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        let len = field(&answer, "content-length").and_then(|len| len.parse().ok()).expect("a length");
        let body: serde_json::Value = serde_json::from_slice(&exactly(&mut stream, len)).unwrap();
        assert_eq!(body["error"]["code"], code, "{target}");
    }
    let plain = crate::client::get(ringway.address, "/v1/realtime?model=openai/rt");
    assert_eq!(plain.status, 401);
    let plain =
        crate::client::exchange(ringway.address, format!("GET /v1/realtime?model=openai/rt HTTP/1.1\r\nhost: t\r\n{KEY}\r\n").as_bytes());
    assert_eq!(plain.status, 404, "{}", plain.text());
    assert!(provider.heads.try_recv().is_err(), "nobody was asked");
}

#[test]
fn a_provider_that_refuses_the_session_is_told_as_any_other() {
    let upstream = ringway_tests::standin::StandIn::start(|_| {
        ringway_tests::standin::json(
            "400 Bad Request",
            r#"{"error":{"message":"no such voice","type":"invalid_request_error","code":"bad_voice"}}"#,
        )
    });
    let ringway = Ringway::start(&format!("providers: {{openai: {{base_url: \"http://{}/v1\", keys: [k]}}}}", upstream.address));
    let (mut stream, answer) = begin(&ringway, "/v1/realtime?model=openai/rt", "");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let len = field(&answer, "content-length").and_then(|len| len.parse().ok()).expect("a length");
    assert!(String::from_utf8_lossy(&exactly(&mut stream, len)).contains("no such voice"));
    assert_eq!(ringway.record()["status"], 400);
}

#[test]
fn a_client_that_leaves_ends_the_session_and_pays_what_was_delivered() {
    let provider = provider(|stream| {
        stream.write_all(&[text(DONE), text(DELTA)].concat()).unwrap();
        let begun = Instant::now();
        let got = rest(stream);
        assert!(begun.elapsed() < Duration::from_secs(5));
        got
    });
    let ringway = gateway(&provider);
    let (mut stream, _) = begin(&ringway, "/v1/realtime?model=openai/rt", KEY);
    exactly(&mut stream, [text(DONE), text(DELTA)].concat().len());
    drop(stream);
    let got = provider.ended.recv_timeout(Duration::from_secs(2)).expect("the provider hears of it");
    assert_eq!((got.len(), got.first()), (8, Some(&0x88)), "a masked close");
    let record = ringway.record();
    assert_eq!(
        (&record["fault"], &record["usage"]["input"], &record["provenance"]),
        (&"client_gone".into(), &41.into(), &"delivered".into()),
        "{record}"
    );
    assert!(record["usage"]["output"].as_u64() > Some(164), "{record}");
    assert!(ringway.records(Duration::from_millis(300)).is_empty(), "one record");
}

/// The event and the close that end a session.
fn last_words(bytes: &[u8]) -> (serde_json::Value, u16) {
    assert_eq!((bytes[0], bytes[1]), (0x81, 126), "{bytes:?}");
    let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    let event = serde_json::from_slice(&bytes[4..4 + len]).expect("an event");
    let close = &bytes[4 + len..];
    assert_eq!((close[0], usize::from(close[1])), (0x88, close.len() - 2));
    (event, u16::from_be_bytes([close[2], close[3]]))
}

#[test]
fn a_session_that_breaks_ends_with_an_error_and_a_close() {
    let provider = provider(|stream| {
        stream.write_all(&text(DONE)).unwrap();
        Vec::new()
    });
    let ringway = gateway(&provider);
    let (mut stream, _) = begin(&ringway, "/v1/realtime?model=openai/rt", KEY);
    assert_eq!(exactly(&mut stream, text(DONE).len()), text(DONE));
    let (event, code) = last_words(&rest(&mut stream));
    assert_eq!((&event["type"], &event["error"]["code"], code), (&"error".into(), &"upstream_error".into(), 1011));
    let record = ringway.record();
    assert_eq!(
        (&record["fault"], &record["usage"]["output"], &record["provenance"]),
        (&"upstream_error".into(), &164.into(), &"provider".into()),
        "{record}"
    );
}

#[test]
fn what_is_no_frame_ends_the_session() {
    let provider = provider(rest);
    let ringway = gateway(&provider);
    let (mut stream, _) = begin(&ringway, "/v1/realtime?model=openai/rt", KEY);
    stream.write_all(&text(b"not masked")).unwrap();
    let (event, code) = last_words(&rest(&mut stream));
    assert_eq!((&event["error"]["code"], code), (&"invalid_request_error".into(), 1002));
    assert!(provider.ended.recv().unwrap().is_empty(), "the provider gets nothing of it");
}

#[test]
fn a_budget_ends_the_session_that_used_it_up() {
    let provider = provider(|stream| {
        stream.write_all(&[text(DONE), text(DONE)].concat()).unwrap();
        rest(stream)
    });
    let ringway = gateway(&provider);
    let (mut stream, _) = begin(&ringway, "/v1/realtime?model=openai/rt", POOR);
    // An answer costs 0.002788: the first is paid, the second is not.
    exactly(&mut stream, 2 * text(DONE).len());
    let (event, code) = last_words(&rest(&mut stream));
    assert_eq!((&event["error"]["code"], code), (&"budget_exceeded".into(), 1008), "{event}");
    let record = ringway.record();
    assert_eq!((&record["fault"], &record["usage"]["output"]), (&"budget_exceeded".into(), &328.into()), "{record}");
    let (_, answer) = begin(&ringway, "/v1/realtime?model=openai/rt", POOR);
    assert!(answer.starts_with("HTTP/1.1 402 "), "{answer}");
}

#[test]
fn a_silent_session_ends() {
    let provider = provider(rest);
    let ringway = gateway(&provider);
    let (mut stream, _) = begin(&ringway, "/v1/realtime?model=voice", KEY);
    let begun = Instant::now();
    let (event, code) = last_words(&rest(&mut stream));
    assert_eq!((&event["error"]["code"], code), (&"request_timeout".into(), 1001));
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&begun.elapsed()));
}

#[test]
fn much_goes_both_ways_at_once() {
    const BYTES: usize = 3_000_000;
    let provider = provider(|stream| {
        let mut writing = stream.try_clone().expect("it can be cloned");
        let writer = std::thread::spawn(move || writing.write_all(&text(&vec![b'x'; BYTES])).unwrap());
        let got = exactly(stream, masked(0x82, &vec![1; BYTES]).len());
        writer.join().unwrap();
        got
    });
    let ringway = gateway(&provider);
    let (mut stream, _) = begin(&ringway, "/v1/realtime?model=openai/rt", KEY);
    let mut writing = stream.try_clone().expect("it can be cloned");
    let writer = std::thread::spawn(move || writing.write_all(&masked(0x82, &vec![1; BYTES])).unwrap());
    assert!(exactly(&mut stream, text(&vec![b'x'; BYTES]).len()) == text(&vec![b'x'; BYTES]));
    writer.join().unwrap();
    assert!(provider.ended.recv().unwrap() == masked(0x82, &vec![1; BYTES]));
}
