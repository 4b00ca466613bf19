//! What is carried and not read: passthrough, uploads, files and batches, the life of stored answers.

use std::io::Write;

use ringway_tests::standin::{Asked, StandIn, answer, json};

use crate::client::{Answer, connect, exchange, read, request};
use crate::process::Ringway;

const KEY: &str = "authorization: Bearer test-key-of-the-first\r\n";
const OTHER: &str = "authorization: Bearer test-key-of-the-other\r\n";

/// Two providers; the second one knows `file-b` alone.
fn gateway(first: &StandIn, second: &StandIn) -> Ringway {
    Ringway::start(&format!(
        "providers:\n  a: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-test-a-key]}}\n  b: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-test-b-key]}}\nvirtual_keys:\n  first: {{key: test-key-of-the-first}}\n  other: {{key: test-key-of-the-other}}\n  few: {{key: test-key-of-few-models, models: [\"a/gpt-4o\"]}}\n",
        first.address, second.address
    ))
}

fn echo(asked: &Asked) -> Vec<u8> {
    answer("200 OK", "application/octet-stream", &asked.body)
}

fn send(ringway: &Ringway, line: &str, fields: &str, body: &[u8]) -> Answer {
    let head = format!("{line} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {}\r\n\r\n", body.len());
    exchange(ringway.address, &[head.as_bytes(), body].concat())
}

#[test]
fn a_passthrough_is_byte_exact_with_any_method() {
    let upstream = StandIn::start(echo);
    let ringway = gateway(&upstream, &upstream);
    let body = [0u8, 1, 2, 255, b'\r', b'\n', b'{'];
    for (line, sent) in [
        ("POST /passthrough/a/any/thing?x=1&y=%20", "POST /v1/any/thing?x=1&y=%20"),
        ("PUT /passthrough/a/v1/thing", "PUT /v1/thing"),
        ("PATCH /passthrough/a/", "PATCH /v1/"),
        ("DELETE /passthrough/b/x/../%2e", ""),
    ] {
        let answer = send(&ringway, line, &format!("{KEY}content-type: a/b\r\nx-own: 1\r\ncontent-encoding: zip\r\n"), &body);
        if sent.is_empty() {
            assert_eq!(answer.status, 404, "{line}");
            continue;
        }
        assert_eq!((answer.status, &answer.body[..]), (200, &body[..]), "{line}: {}", answer.head);
        let asked = upstream.asked().pop().expect("it was asked");
        assert_eq!((asked.line.as_str(), &asked.body[..]), (sent, &body[..]));
        assert_eq!((asked.field("content-type"), asked.field("content-encoding")), (Some("a/b"), Some("zip")));
        assert_eq!((asked.field("x-own"), asked.field("authorization")), (Some("1"), Some("Bearer sk-test-a-key")));
    }
    let count = upstream.asked().len();
    assert_eq!(send(&ringway, "GET /passthrough/a/x", "", b"").status, 401);
    assert_eq!(send(&ringway, "GET /passthrough/nobody/x", KEY, b"").status, 404);
    assert_eq!(upstream.asked().len(), count, "nothing else went out");
    let head = send(&ringway, "HEAD /passthrough/a/x", KEY, b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_passthrough_gives_back_whatever_the_provider_says_and_meters_what_it_can() {
    let upstream = StandIn::start(|asked| match asked.line.as_str() {
        "POST /v1/chat/completions" => json(
            "200 OK",
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#,
        ),
        _ => json("418 I'm a teapot", r#"{"own":"words"}"#),
    });
    let ringway = gateway(&upstream, &upstream);
    let teapot = send(&ringway, "GET /passthrough/a/tea", KEY, b"");
    assert_eq!((teapot.status, teapot.text().as_str()), (418, r#"{"own":"words"}"#));
    ringway.record();
    let body = br#"{"model":"gpt-4o","messages":[]}"#;
    let few = "authorization: Bearer test-key-of-few-models\r\n";
    assert_eq!(send(&ringway, "POST /passthrough/a/chat/completions", few, body).status, 200);
    let record = ringway.record();
    assert_eq!(
        (&record["model"], &record["usage"]["input"], &record["usage"]["output"]),
        (&"gpt-4o".into(), &7.into(), &3.into()),
        "{record}"
    );
    for (line, body) in [
        ("POST /passthrough/a/chat/completions", &br#"{"model":"gpt-4.1","messages":[]}"#[..]),
        ("POST /passthrough/b/chat/completions", body),
        ("GET /passthrough/a/files", b""),
    ] {
        assert_eq!(send(&ringway, line, few, body).status, 403, "{line}: the key may use one model");
    }
}

/// `--B` parts: a field for each pair, then a file of so many bytes.
fn form(fields: &[(&str, &str)], file_bytes: usize, behind: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    let field = |body: &mut Vec<u8>, (name, value): &(&str, &str)| {
        write!(body, "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    };
    fields.iter().for_each(|pair| field(&mut body, pair));
    write!(body, "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n").unwrap();
    body.extend((0..file_bytes).map(|n| (n % 251) as u8));
    body.extend_from_slice(b"\r\n");
    behind.iter().for_each(|pair| field(&mut body, pair));
    body.extend_from_slice(b"--B--\r\n");
    body
}

const FORM: &str = "content-type: multipart/form-data; boundary=B\r\n";
const AUDIO_BYTES: usize = 25 * 1024 * 1024;

fn transcribed(_: &Asked) -> Vec<u8> {
    json("200 OK", r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":2,"total_tokens":16}}"#)
}

#[test]
fn a_file_of_25_mb_streams_through_and_its_model_is_renamed() {
    let upstream = StandIn::start(transcribed);
    let ringway = gateway(&upstream, &upstream);
    let body = form(&[("model", "a/whisper-1"), ("language", "en")], AUDIO_BYTES, &[]);
    let sent = form(&[("model", "whisper-1"), ("language", "en")], AUDIO_BYTES, &[]);
    let before_kib = resident_kib(&ringway);
    let mut stream = connect(ringway.address);
    let head = format!("POST /v1/audio/transcriptions HTTP/1.1\r\nhost: test\r\n{KEY}{FORM}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    let (most, last) = body.split_at(body.len() - 1024);
    stream.write_all(most).unwrap();
    let grown_kib = resident_kib(&ringway).saturating_sub(before_kib);
    assert!(grown_kib < 8 * 1024, "the gateway holds {grown_kib} KiB of a file of {AUDIO_BYTES} bytes");
    stream.write_all(last).unwrap();
    let answer = read(&mut stream);
    assert_eq!((answer.status, &answer.json()["text"]), (200, &"hello".into()), "{}", answer.text());
    let asked = upstream.asked().pop().expect("it was asked");
    assert!(asked.body == sent, "every byte but the model's name is the client's");
    let record = ringway.record();
    assert_eq!((&record["model"], &record["operation"]), (&"whisper-1".into(), &"transcribe".into()), "{record}");
    // The connection goes on.
    stream.write_all(&request("/v1/chat/completions", KEY, r#"{"model":"nobody/x"}"#)).unwrap();
    assert_eq!(read(&mut stream).status, 404);
}

fn resident_kib(ringway: &Ringway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", ringway.process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[test]
fn a_model_behind_the_file_is_found_and_chunks_stay_chunks() {
    let upstream = StandIn::start(transcribed);
    let ringway = gateway(&upstream, &upstream);
    let body = form(&[], 300_000, &[("model", "b/whisper-1")]);
    let answer = send(&ringway, "POST /v1/audio/transcriptions", &format!("{KEY}{FORM}"), &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(upstream.asked().pop().is_some_and(|asked| asked.body == form(&[], 300_000, &[("model", "whisper-1")])));
    assert_eq!(send(&ringway, "POST /v1/audio/transcriptions", &format!("{KEY}{FORM}"), &form(&[], 90_000, &[])).status, 400);

    let body = form(&[("model", "a/gpt-image-1"), ("prompt", "a cat")], 200_000, &[]);
    let mut stream = connect(ringway.address);
    let head = format!("POST /v1/images/edits HTTP/1.1\r\nhost: test\r\n{KEY}{FORM}transfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in body.chunks(30_000) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let answer = read(&mut stream);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = upstream.asked().pop().expect("it was asked");
    assert_eq!((asked.line.as_str(), asked.field("transfer-encoding")), ("POST /v1/images/edits", Some("chunked")));
    assert!(asked.body == form(&[("model", "gpt-image-1"), ("prompt", "a cat")], 200_000, &[]));
}

#[test]
fn an_upload_is_sent_once_and_a_short_one_again() {
    let upstream = StandIn::start(|_| json("500 Oops", r#"{"error":{"message":"oops"}}"#));
    let ringway = gateway(&upstream, &upstream);
    let fields = format!("{KEY}{FORM}");
    let long = form(&[("model", "a/whisper-1")], 200_000, &[]);
    assert_eq!(send(&ringway, "POST /v1/audio/transcriptions", &fields, &long).status, 502);
    assert_eq!(upstream.asked().len(), 1);
    let short = form(&[("model", "a/whisper-1")], 1_000, &[]);
    assert_eq!(send(&ringway, "POST /v1/audio/transcriptions", &fields, &short).status, 502);
    assert!(upstream.asked().len() > 2, "a body that is held can be sent again");
    assert_eq!(send(&ringway, "POST /v1/audio/transcriptions", FORM, &long).status, 401);
}

/// A provider that has these files, and makes `NAME-new`.
fn files(name: &'static str) -> StandIn {
    StandIn::start(move |asked| {
        let own = format!("/v1/files/file-{name}");
        match asked.line.split_once(' ') {
            Some(("POST", "/v1/files")) => json("200 OK", &format!(r#"{{"object":"file","id":"file-{name}"}}"#)),
            Some((_, path)) if path.starts_with(&own) => json("200 OK", &format!(r#"{{"id":"file-{name}","of":"{name}"}}"#)),
            _ => json("404 Not Found", r#"{"error":{"message":"no such file","type":"invalid_request_error"}}"#),
        }
    })
}

#[test]
fn an_id_goes_to_where_it_came_from_also_after_a_restart() {
    let (a, b) = (files("a"), files("b"));
    let ringway = gateway(&a, &b);
    // Nobody told this process of either file.
    for (path, of) in [("/v1/files/file-b", "b"), ("/v1/files/file-a/content", "a"), ("/v1/files/file-b/content", "b")] {
        let answer = send(&ringway, &format!("GET {path}"), KEY, b"");
        assert_eq!((answer.status, &answer.json()["of"]), (200, &of.into()), "{path}: {}", answer.text());
    }
    let before = a.asked().len();
    assert_eq!(send(&ringway, "DELETE /v1/files/file-b", KEY, b"").status, 200);
    assert_eq!(a.asked().len(), before, "its provider is remembered");
    let answer = send(&ringway, "GET /v1/files/file-x", KEY, b"");
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (404, &"no such file".into()), "{}", answer.text());
    assert_eq!(send(&ringway, "POST /v1/files", &format!("{KEY}{FORM}"), &form(&[("purpose", "batch")], 100_000, &[])).status, 200);
    assert_eq!(a.asked().pop().map(|asked| asked.line), Some("POST /v1/files".to_owned()));
}

#[test]
fn a_stored_answer_is_its_keys_alone() {
    let upstream = StandIn::start(|asked| match asked.line.as_str() {
        "POST /v1/responses" => json(
            "200 OK",
            r#"{"id":"resp_e2e_1","object":"response","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}"#,
        ),
        line => json("200 OK", &format!(r#"{{"did":"{line}"}}"#)),
    });
    let ringway = gateway(&upstream, &upstream);
    let body = br#"{"model":"b/gpt-4o","input":"hi"}"#;
    let made = send(&ringway, "POST /v1/responses", &format!("{KEY}content-type: application/json\r\n"), body);
    assert_eq!(made.status, 200, "{}", made.text());
    for line in ["GET /v1/responses/resp_e2e_1", "POST /v1/responses/resp_e2e_1/cancel", "GET /v1/responses/resp_e2e_1/input_items?limit=2"]
    {
        let answer = send(&ringway, line, KEY, b"");
        assert_eq!((answer.status, answer.json()["did"].as_str()), (200, Some(line)), "{}", answer.text());
        assert_eq!(
            upstream.asked().pop().and_then(|asked| asked.field("authorization").map(str::to_owned)).as_deref(),
            Some("Bearer sk-test-b-key")
        );
        assert_eq!(send(&ringway, line, OTHER, b"").status, 404, "{line}");
    }
    assert_eq!(send(&ringway, "GET /v1/responses/resp_e2e_2", KEY, b"").status, 404, "nobody is known to have made it");
    let own = send(&ringway, "GET /passthrough/b/v1/responses/resp_e2e_1", KEY, b"");
    assert_eq!(own.json()["did"], "GET /v1/responses/resp_e2e_1", "{}", own.text());
    let before = upstream.asked().len();
    for path in [
        "v1/responses/resp_e2e_1",
        "responses/resp_e2e_1",
        "v1/%72esponses/resp_e2e_1",
        "%76%31/responses%2Fresp_e2e_1",
        "v1//responses/resp_e2e_1",
    ] {
        let answer = send(&ringway, &format!("GET /passthrough/b/{path}"), OTHER, b"");
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    assert_eq!(send(&ringway, "GET /v1/files/../responses/resp_e2e_1", OTHER, b"").status, 404);
    assert_eq!(upstream.asked().len(), before, "none of them reached the provider");
}
