use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 64 * 1024, fields_max: 128 };

fn request(text: &str) -> RequestHead {
    parse_request(text.as_bytes(), LIMITS).unwrap_or_else(|refusal| panic!("{refusal:?}: {text:?}")).expect("a whole head")
}

fn response(text: &str) -> ResponseHead {
    parse_response(text.as_bytes(), LIMITS, false).unwrap_or_else(|refusal| panic!("{refusal:?}: {text:?}")).expect("a whole head")
}

fn status(bytes: &[u8], limits: HeadLimits) -> u16 {
    match parse_request(bytes, limits) {
        Ok(Some(_)) => 200,
        Ok(None) => 0,
        Err(refusal) => refusal.status,
    }
}

#[test]
fn a_request_is_read_by_spans() {
    let text = "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: h\r\nContent-Length:  12 \r\nEmpty:\r\n\r\nrest";
    let head = request(text);
    assert_eq!(head.method, http::Method::POST);
    assert_eq!(&text[head.path.clone()], "/v1/chat/completions");
    assert_eq!(head.query.clone().map(|query| &text[query]), Some("a=b"));
    assert_eq!((head.framing, head.keep_alive, head.expects_continue), (Framing::Length(12), true, false));
    assert_eq!(&text[head.len..], "rest");
    assert_eq!(head.fields.get(text.as_bytes(), "content-length"), Some(&b"12"[..]));
    assert_eq!(head.fields.get(text.as_bytes(), "EMPTY"), Some(&b""[..]));
}

#[test]
fn spans_hold_when_an_empty_line_stands_before_the_request() {
    let text = "\r\nGET http://h/p?q HTTP/1.1\r\nHost: h\r\n\r\n";
    let head = request(text);
    assert_eq!((&text[head.path.clone()], head.len), ("/p", text.len()));
    assert_eq!(head.fields.get(text.as_bytes(), "host"), Some(&b"h"[..]));
}

#[test]
fn a_field_is_found_whatever_the_length_of_its_name() {
    for len in 1..80 {
        let name = "a".repeat(len);
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: 1\r\n\r\n");
        let head = request(&text);
        assert_eq!(head.fields.get(text.as_bytes(), &name.to_uppercase()), Some(&b"1"[..]), "{len}");
        assert_eq!(head.fields.get(text.as_bytes(), &"b".repeat(len)), None, "{len}");
        assert_eq!(head.fields.get(text.as_bytes(), &"a".repeat(len + 1)), None, "{len}");
    }
}

#[test]
fn connections_stay_open_by_the_rules_of_their_version() {
    let keeps = |version: &str, connection: &str| request(&format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n")).keep_alive;
    assert!(keeps("1.1", ""));
    assert!(!keeps("1.1", "Connection: Close\r\n"));
    assert!(!keeps("1.1", "Connection: keep-alive\r\nConnection: x, close\r\n"));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: , Keep-Alive,\r\n"));
    assert!(!keeps("1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn hop_by_hop_fields_are_marked() {
    let text = "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Mine, content-length, HOST\r\nx-mine: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n\
                Proxy-Connection: x\r\nTrailer: a\r\nUpgrade: h2c\r\nProxy-Authenticate: b\r\nProxy-Authorization: c\r\nExpect: 100-continue\r\n\
                Transfer-Encoding: chunked\r\nAccept: */*\r\n\r\n";
    let head = request(text);
    let kept: Vec<_> = head.fields.iter(text.as_bytes()).filter(|field| !field.2).map(|field| field.0.escape_ascii().to_string()).collect();
    assert_eq!(kept, ["Host", "Accept"]);
    assert!(head.expects_continue);
    assert_eq!(head.framing, Framing::Chunked);
    let text = "POST / HTTP/1.1\r\nHost: h\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\n";
    let head = request(text);
    assert_eq!(head.framing, Framing::Length(3));
    assert!(head.fields.iter(text.as_bytes()).all(|(name, _, hop)| hop == name.eq_ignore_ascii_case(b"connection")));
}

#[test]
fn connection_options_are_bounded() {
    let head = |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: {}a\r\n\r\n", "a,".repeat(count - 1));
    assert_eq!(status(head(CONNECTION_OPTIONS_MAX).as_bytes(), LIMITS), 200);
    assert_eq!(status(head(CONNECTION_OPTIONS_MAX + 1).as_bytes(), LIMITS), 400);
}

#[test]
fn a_head_over_its_bounds_is_431_at_every_cut() {
    let limits = HeadLimits { bytes_max: 64, fields_max: 4 };
    let fits = "GET / HTTP/1.1\r\nHost: h\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    assert_eq!(fits.len(), 64);
    assert_eq!(status(fits.as_bytes(), limits), 200);
    let long = "GET / HTTP/1.1\r\nHost: h\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    let many = "GET / HTTP/1.1\r\nHost: h\r\na:\r\na:\r\na:\r\na:\r\n\r\n";
    for text in [long, many] {
        assert_eq!(status(text.as_bytes(), limits), 431, "{text:?}");
        let first = (0..text.len()).map(|cut| status(&text.as_bytes()[..cut], limits)).find(|status| *status != 0);
        assert!(first.is_none_or(|status| status == 431), "{text:?}");
    }
    assert_eq!(status(&[b'A'; 64], limits), 431);
    assert_eq!(status(&[b'A'; 63], limits), 0);
}

#[test]
fn every_control_byte_is_refused_wherever_it_stands() {
    for byte in (0..=0x1f).chain([0x7f]) {
        for value_len in [0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 65] {
            let value = [vec![b'v'; value_len], vec![byte], vec![b'w'; 40]].concat();
            let in_value = [b"GET / HTTP/1.1\r\nHost: h\r\nA: ", &value[..], b"\r\n\r\n"].concat();
            let in_target = [b"GET /", &value[..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            let in_name = [b"GET / HTTP/1.1\r\nHost: h\r\n", &value[..], b": A\r\n\r\n"].concat();
            assert_eq!(status(&in_value, LIMITS), if byte == b'\t' { 200 } else { 400 }, "value {byte:#x} at {value_len}");
            assert_eq!(status(&in_target, LIMITS), 400, "target {byte:#x} at {value_len}");
            assert_eq!(status(&in_name, LIMITS), 400, "name {byte:#x} at {value_len}");
        }
    }
}

#[test]
fn responses_are_framed_as_the_rfc_says() {
    let framing = |head: &str| response(&format!("HTTP/1.1 {head}\r\n\r\n")).framing;
    assert_eq!(framing("200 OK\r\nContent-Length: 5"), Framing::Length(5));
    assert_eq!(framing("200\r\nTransfer-Encoding: Chunked"), Framing::Chunked);
    assert_eq!(framing("200 OK"), Framing::UntilClose);
    assert_eq!(framing("204 No Content\r\nContent-Length: 5"), Framing::None);
    assert_eq!(framing("304 Not Modified\r\nTransfer-Encoding: chunked"), Framing::None);
    assert_eq!(framing("100 Continue"), Framing::None);
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(parse_response(text, LIMITS, true).expect("good").expect("whole").framing, Framing::None);
}

#[test]
fn responses_that_two_parsers_could_read_differently_are_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ] {
        assert!(parse_response(head.as_bytes(), LIMITS, false).is_err(), "{head:?}");
    }
}

#[test]
fn upstream_connections_stay_open_by_the_rules_of_their_version() {
    let keeps = |head: &str| response(&format!("{head}\r\n\r\n")).keep_alive;
    assert!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close"));
    assert!(!keeps("HTTP/1.1 200 OK"));
    assert!(!keeps("HTTP/1.0 200 OK\r\nContent-Length: 0"));
    assert!(keeps("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive"));
    assert!(keeps("HTTP/1.1 204 No Content"));
}
