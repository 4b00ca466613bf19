//! What a key may not do with what is carried: get around its denied models, reach what another key stored, make a thing twice.

use std::io::Write;

use ringway_tests::standin::{Asked, StandIn, answer, json};

use crate::client::{Answer, connect, exchange, read};
use crate::process::Ringway;

const FIRST: &str = "authorization: Bearer test-key-of-the-first\r\n";
const OTHER: &str = "authorization: Bearer test-key-of-the-other\r\n";
const DENIES: &str = "authorization: Bearer test-key-that-denies\r\n";

fn gateway(upstream: &StandIn) -> Ringway {
    let url = format!("http://{}", upstream.address);
    Ringway::start(&format!(
        "providers:\n  a: {{like: openai, base_url: \"{url}/v1\", keys: [k], models: [{{name: m, price: {{input: \"1\", output: \"1\"}}}}]}}\n  \
         b: {{like: openai, base_url: \"{url}/v1\", keys: [k]}}\n  claude: {{like: anthropic, base_url: \"{url}\", keys: [k]}}\n\
         routes:\n  small: {{targets: [a/whisper-1], body_bytes_max: 100000}}\n  frail: {{targets: [a/m], breaker: {{consecutive: 2, probe: 60s}}}}\n\
         virtual_keys:\n  first: {{key: test-key-of-the-first}}\n  other: {{key: test-key-of-the-other}}\n  \
         denies: {{key: test-key-that-denies, deny_models: [\"*/costly*\"]}}\n"
    ))
}

fn send(ringway: &Ringway, line: &str, fields: &str, body: &[u8]) -> Answer {
    let head = format!("{line} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {}\r\n\r\n", body.len());
    exchange(ringway.address, &[head.as_bytes(), body].concat())
}

fn echo(asked: &Asked) -> Vec<u8> {
    answer("200 OK", "application/octet-stream", &asked.body)
}

#[test]
fn denied_models_are_denied_however_the_body_hides_them() {
    let upstream = StandIn::start(echo);
    let ringway = gateway(&upstream);
    let long = format!(r#"{{"messages":"{}","model":"costly-1"}}"#, "x".repeat(70_000));
    let refused: &[(&str, &str, &[u8])] = &[
        ("POST /passthrough/a/chat/completions", "", br#"{"model":"costly-1"}"#),
        ("POST /passthrough/a/chat/completions", "", br#" {"model":"costly-1"}"#),
        ("POST /passthrough/a/chat/completions", "", br#"{"model":"cheap","model":"costly-1"}"#),
        ("POST /passthrough/a/chat/completions", "", br#"{"model":"cheap","Model":"costly-1"}"#),
        ("POST /passthrough/a/chat/completions", "", br#"{"MODEL":"costly-1"}"#),
        ("POST /passthrough/a/chat/completions", "content-encoding: gzip\r\n", b"\x1f\x8b"),
        ("POST /passthrough/a/chat/completions", "", b"\xef\xbb\xbf{\"model\":\"costly-1\"}"),
        ("POST /passthrough/a/chat/completions", "", long.as_bytes()),
        ("POST /passthrough/a/deployments/costly-1/chat/completions", "", br#"{"messages":[]}"#),
        ("POST /passthrough/a/models/costly-1", "", b""),
        ("POST /v1/batches", "", br#"{"input_file_id":"file-x"}"#),
    ];
    for (line, fields, body) in refused {
        let answer = send(&ringway, line, &format!("{DENIES}{fields}"), body);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (403, &"model_not_allowed".into()),
            "{line} {fields}: {}",
            answer.text()
        );
    }
    assert!(upstream.asked().is_empty(), "none of them reached the provider");
    for (line, body) in [
        ("POST /passthrough/a/chat/completions", &br#" {"model":"cheap"}"#[..]),
        ("GET /passthrough/a/anything", b""),
        ("DELETE /passthrough/a/anything", b""),
        ("POST /v1/threads", b"{}"),
        ("GET /v1/batches", b""),
    ] {
        assert_eq!(send(&ringway, line, DENIES, body).status, 200, "{line}");
    }
    // A key that denies nothing is asked for nothing.
    assert_eq!(send(&ringway, "POST /passthrough/a/x", &format!("{FIRST}content-encoding: gzip\r\n"), b"\x1f\x8b").status, 200);
}

#[test]
fn what_makes_a_thing_is_sent_once() {
    let upstream = StandIn::start(|asked| if asked.line.contains("chat") { json("500 Oops", "{}") } else { Vec::new() });
    let ringway = gateway(&upstream);
    for (line, count) in
        [("POST /v1/files", 1), ("POST /v1/batches", 1), ("POST /passthrough/a/v1/threads", 1), ("GET /v1/files/file-q", 2)]
    {
        let before = upstream.asked().len();
        assert_eq!(send(&ringway, line, FIRST, if count == 1 { b"{}" } else { b"" }).status, 502, "{line}");
        let asked = upstream.asked().len() - before;
        assert!(if count == 1 { asked == 1 } else { asked >= count }, "{line}: asked {asked} times");
    }
}

/// A store of files, batches and answers under ids that say who asked for them.
fn store(asked: &Asked) -> Vec<u8> {
    let (method, path) = asked.line.split_once(' ').unwrap_or_default();
    let text = String::from_utf8_lossy(&asked.body);
    match (method, path) {
        ("POST", "/v1/files") => json("200 OK", r#"{"id":"file-Of1","object":"file"}"#),
        ("POST", "/v1/batches") => json("200 OK", r#"{"id":"batch_1","object":"batch"}"#),
        ("GET", "/v1/batches/batch_1") => json("200 OK", r#"{"id":"batch_1","output_file_id":"file-Out1","error_file_id":null}"#),
        ("POST", "/v1/conversations") => json("200 OK", r#"{"id":"conv_1","object":"conversation"}"#),
        ("POST", "/v1/responses") => {
            let id = if text.contains("\"second\"") { "resp_second1" } else { "resp_first1" };
            let answer = format!(
                r#"{{"id":"{id}","object":"response","status":"completed","output":[],"usage":{{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}}"#
            );
            json("200 OK", &answer)
        }
        // An odd place that tells an id.
        ("GET", "/v1/odd") => json("200 OK", r#"{"id":"file-Of1"}"#),
        ("POST", "/v1/odd") => json("200 OK", r#"{"id":"file-Of1"}"#),
        _ => json("200 OK", r#"{"did":true}"#),
    }
}

#[test]
fn files_and_batches_are_of_the_key_that_made_them() {
    let upstream = StandIn::start(store);
    let ringway = gateway(&upstream);
    assert_eq!(send(&ringway, "POST /v1/files", FIRST, b"{}").status, 200);
    assert_eq!(send(&ringway, "POST /v1/batches", FIRST, br#"{"input_file_id":"file-Of1"}"#).status, 200);
    assert_eq!(send(&ringway, "GET /v1/batches/batch_1", FIRST, b"").status, 200);
    for line in ["GET /passthrough/a/v1/odd", "POST /passthrough/a/v1/odd"] {
        assert_eq!(send(&ringway, line, OTHER, b"").status, 200, "the provider tells everybody the id");
    }
    let before = upstream.asked().len();
    for line in [
        "GET /v1/files/file-Of1",
        "DELETE /v1/files/file-Of1",
        "GET /v1/files/file-Of1/content",
        "GET /v1/files/file-Out1/content",
        "GET /v1/batches/batch_1",
        "POST /v1/batches/batch_1/cancel",
        "GET /passthrough/a/v1/files/file-Of1",
        "GET /passthrough/a/v1/%66iles/%66ile-Of1",
        "GET /passthrough/a/any/file-Of1;x=1/thing",
    ] {
        assert_eq!(send(&ringway, line, OTHER, b"").status, 404, "{line}");
        assert_eq!(upstream.asked().len(), before, "{line}");
    }
    let batch = send(&ringway, "POST /v1/batches", OTHER, br#"{"input_file_id":"file-Of1"}"#);
    assert_eq!((batch.status, upstream.asked().len()), (400, before), "{}", batch.text());
    for line in ["GET /v1/files/file-Of1", "GET /v1/files/file-Out1/content", "POST /v1/batches/batch_1/cancel"] {
        assert_eq!(send(&ringway, line, FIRST, b"").status, 200, "{line}");
    }
    // Whose nobody knows it is, everybody may ask for: the gateway may have been started since it was made.
    for fields in [FIRST, OTHER] {
        assert_eq!(send(&ringway, "GET /v1/files/file-old", fields, b"").status, 200);
    }
}

#[test]
fn an_answer_or_conversation_of_another_key_is_not_gone_on_with() {
    let upstream = StandIn::start(store);
    let ringway = gateway(&upstream);
    let json_type = "content-type: application/json\r\n";
    let ask = |who: &str, path: &str, body: &str| send(&ringway, &format!("POST {path}"), &format!("{who}{json_type}"), body.as_bytes());
    assert_eq!(ask(FIRST, "/v1/responses", r#"{"model":"b/m","input":"hi"}"#).status, 200);
    assert_eq!(ask(FIRST, "/v1/conversations", "{}").status, 200);
    for body in [
        r#"{"model":"b/m","input":"hi","previous_response_id":"resp_first1"}"#,
        r#"{"model":"b/m","input":"hi","previous\u005fresponse_id":"resp_first1"}"#,
        r#"{"model":"b/m","input":"hi","previous_response_id":"resp_nobody"}"#,
        r#"{"model":"a/m","input":"hi","conversation":"conv_1"}"#,
        r#"{"model":"a/m","input":"hi","conversation":{"id":"conv_1"}}"#,
    ] {
        let before = upstream.asked().len();
        for path in ["/v1/responses", "/passthrough/b/responses", "/passthrough/b/v1/responses"] {
            let answer = ask(OTHER, path, body);
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (400, &"previous_response_not_found".into()),
                "{path} {body}: {}",
                answer.text()
            );
        }
        assert_eq!(upstream.asked().len(), before, "{body}");
    }
    let long = format!(r#"{{"model":"b/m","input":"{}","previous_response_id":"resp_first1"}}"#, "x".repeat(100_000));
    assert_eq!(ask(OTHER, "/passthrough/b/responses", &long).status, 400, "wherever it stands in a body");
    for body in [
        r#"{"model":"b/m","input":"second","previous_response_id":"resp_first1"}"#,
        r#"{"model":"a/m","input":"hi","conversation":{"id":"conv_1"},"previous_response_id":null}"#,
    ] {
        let answer = ask(FIRST, "/v1/responses", body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    }
    assert_eq!(ask(FIRST, "/v1/responses", &long).status, 200);
}

const FORM: &str = "content-type: multipart/form-data; boundary=B\r\n";

#[test]
fn a_route_bounds_uploads_whose_length_is_not_announced() {
    let upstream = StandIn::start(|_| json("200 OK", r#"{"text":"x"}"#));
    let ringway = gateway(&upstream);
    for (bytes, status) in [(80_000, 200), (120_000, 413), (400_000, 413)] {
        let mut stream = connect(ringway.address);
        let head = format!("POST /v1/audio/transcriptions HTTP/1.1\r\nhost: test\r\n{FIRST}{FORM}transfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut form = b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nsmall\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".to_vec();
        form.resize(form.len() + bytes, b'x');
        form.extend_from_slice(b"\r\n--B--\r\n");
        for chunk in form.chunks(30_000).map(<[u8]>::to_vec).chain([Vec::new()]) {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
            if stream.write_all(&framed).is_err() {
                break;
            }
        }
        assert_eq!(read(&mut stream).status, status, "{bytes}");
    }
}

#[test]
fn a_passthrough_counts_what_was_delivered_where_nothing_is_told() {
    let events: String = ["hello ", "there ", "you"]
        .iter()
        .map(|text| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"))
        .collect();
    let upstream = StandIn::start(move |asked| match asked.line.as_str() {
        "POST /v1/chat/completions" => answer("200 OK", "text/event-stream", format!("{events}data: [DONE]\n\n").as_bytes()),
        _ => answer("200 OK", "text/event-stream", b"data: {\"own\":\"words\"}\n\n"),
    });
    let ringway = gateway(&upstream);
    let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"one two three four"}]}"#;
    assert_eq!(send(&ringway, "POST /passthrough/a/chat/completions", FIRST, body).status, 200);
    let record = ringway.record();
    assert_eq!((&record["provenance"], &record["operation"]), (&"delivered".into(), &"passthrough".into()), "{record}");
    assert!(record["usage"]["output"].as_u64() > Some(2) && record["usage"]["input"].as_u64() > Some(4), "{record}");
    assert_eq!(send(&ringway, "POST /passthrough/a/other/thing", FIRST, body).status, 200);
    let record = ringway.record();
    assert_eq!(record["usage"]["output"].as_u64().unwrap_or(0), 0, "nobody knows what its bytes are: {record}");
}

#[test]
fn the_breaker_hears_of_failures_that_were_passed_on() {
    let upstream = StandIn::start(|_| json("500 Oops", r#"{"error":{"message":"oops"}}"#));
    let ringway = gateway(&upstream);
    let states: Vec<u16> =
        (0..7).map(|_| send(&ringway, "POST /passthrough/a/chat/completions", FIRST, br#"{"model":"m"}"#).status).collect();
    assert_eq!(states, [500, 500, 500, 500, 500, 502, 502], "after five failures in a row the target rests");
    assert_eq!(upstream.asked().len(), 5);
}

#[test]
fn a_models_name_that_climbs_is_no_name() {
    let upstream = StandIn::start(echo);
    let ringway = gateway(&upstream);
    for model in ["a/..", "a/.", "a/x/../y", "..", "a/..\\\\x"] {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let answer = send(&ringway, "POST /v1/chat/completions", FIRST, body.as_bytes());
        assert_eq!(answer.status, 400, "{model}: {}", answer.text());
    }
    assert!(upstream.asked().is_empty());
}

#[test]
fn models_are_listed_for_geminis_sdk_under_v1_too() {
    let upstream = StandIn::start(echo);
    let ringway = gateway(&upstream);
    let list = send(&ringway, "GET /v1/models", "x-goog-api-key: test-key-of-the-first\r\n", b"");
    assert!(list.json()["models"][0]["name"].as_str().is_some_and(|name| name.starts_with("models/")), "{}", list.text());
    assert_eq!(send(&ringway, "GET /v1/models", FIRST, b"").json()["object"], "list");
}

#[test]
fn what_a_path_says_stands_in_the_body_where_the_target_wants_it_there() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let upstream = StandIn::start(move |_| json("200 OK", whole));
    let ringway = gateway(&upstream);
    let body = br#"{"anthropic_version":"vertex-2023-10-16","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude%2Fclaude-x";
    for (verb, stream) in [("rawPredict", serde_json::Value::Null), ("streamRawPredict", true.into())] {
        send(&ringway, &format!("POST {path}:{verb}"), &format!("{FIRST}content-type: application/json\r\n"), body);
        let asked = upstream.asked().pop().expect("it was asked");
        let sent: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(asked.line, "POST /v1/messages");
        assert_eq!((&sent["model"], &sent["stream"], sent.get("anthropic_version")), (&"claude-x".into(), &stream, None), "{sent}");
        assert_eq!(sent["max_tokens"], 5);
    }
}

#[test]
fn a_provider_says_only_what_is_the_clients_business() {
    let upstream = StandIn::start(|_| {
        let fields = "Set-Cookie: a=b\r\nX-Ringway-Provider: another\r\nstrict-transport-security: max-age=1\r\nserver: nginx\r\n\
                      access-control-allow-origin: *\r\nX-Request-Id: req-1\r\nOpenAI-Version: 2020\r\nx-ratelimit-limit-tokens: 5\r\n";
        format!("HTTP/1.1 200 OK\r\ncontent-type: a/b\r\n{fields}content-length: 2\r\n\r\nok").into_bytes()
    });
    let ringway = gateway(&upstream);
    for line in ["GET /passthrough/a/x", "GET /v1/files/file-unknown"] {
        let answer = send(&ringway, line, FIRST, b"");
        for absent in ["set-cookie", "strict-transport-security", "server", "access-control-allow-origin"] {
            assert_eq!(answer.field(absent), None, "{line}: {}", answer.head);
        }
        for (name, value) in [
            ("x-request-id", "req-1"),
            ("openai-version", "2020"),
            ("x-ratelimit-limit-tokens", "5"),
            ("content-type", "a/b"),
            ("x-ringway-provider", "a"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{line}: {}", answer.head);
        }
    }
}
