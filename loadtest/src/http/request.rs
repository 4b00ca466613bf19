//! One request out of a receive buffer.
//!
//! Cost for a request that arrived whole: one httparse pass over the head, no copy, no allocation.

use std::borrow::Cow;

use super::{Chunked, FIELDS_MAX, Malformed};

/// A complete request; it borrows from the receive buffer.
#[derive(Debug)]
pub(crate) struct Request<'b> {
    pub(crate) method: &'b str,
    /// Path and query as sent.
    pub(crate) target: &'b str,
    pub(crate) head: &'b [u8],
    pub(crate) body: Cow<'b, [u8]>,
    pub(crate) keep_alive: bool,
}

impl<'b> Request<'b> {
    /// The target without its query.
    pub(crate) fn path(&self) -> &'b str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// A query parameter, not percent-decoded.
    pub(crate) fn query(&self, name: &str) -> Option<&'b str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// All header fields, names in lower case. Parses the head again, so it is for slow paths.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parser = httparse::Request::new(&mut fields);
        if parser.parse(self.head).is_err() {
            return Vec::new();
        }
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        parser.headers.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect()
    }

    /// The first field of this lower-case name. For slow paths.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers().into_iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

/// What a receive buffer holds so far.
#[derive(Debug)]
pub(crate) enum Parsed<'b> {
    Partial { waits_for_continue: bool },
    Whole { request: Request<'b>, consumed_bytes: usize },
}

/// Reads one request from the front of `buffer`.
///
/// # Errors
/// `Malformed` when the bytes can never become a request.
pub(crate) fn parse_request(buffer: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parser = httparse::Request::new(&mut []);
    let head_len = match parser.parse_with_uninit_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial { waits_for_continue: false }),
        Err(_) => return Err(Malformed),
    };
    let mut keep_alive = parser.version == Some(1);
    let mut body_bytes = 0usize;
    let mut chunked = false;
    let mut waits_for_continue = false;
    for field in parser.headers.iter() {
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") => body_bytes = decimal(field.value)?,
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => chunked = field.value.eq_ignore_ascii_case(b"chunked"),
            10 if field.name.eq_ignore_ascii_case("connection") && field.value.eq_ignore_ascii_case(b"close") => keep_alive = false,
            6 if field.name.eq_ignore_ascii_case("expect") => waits_for_continue = field.value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
    }
    let (head, rest) = buffer.split_at(head_len);
    let (body, body_wire_bytes) = if chunked {
        let mut decoder = Chunked::default();
        let mut body = Vec::new();
        let used = decoder.feed(rest, |data| body.extend_from_slice(data))?;
        if !decoder.is_done() {
            return Ok(Parsed::Partial { waits_for_continue });
        }
        (Cow::Owned(body), used)
    } else {
        let Some(body) = rest.get(..body_bytes) else { return Ok(Parsed::Partial { waits_for_continue }) };
        (Cow::Borrowed(body), body_bytes)
    };
    let request = Request { method: parser.method.unwrap_or(""), target: parser.path.unwrap_or(""), head, body, keep_alive };
    Ok(Parsed::Whole { request, consumed_bytes: head_len + body_wire_bytes })
}

fn decimal(value: &[u8]) -> Result<usize, Malformed> {
    std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> (Request<'_>, usize) {
        match parse_request(bytes) {
            Ok(Parsed::Whole { request, consumed_bytes }) => (request, consumed_bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_partial_until_its_last_byte() {
        let bytes = b"POST /v1/x?replay_id=7&a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
        for cut in 0..bytes.len() - 3 {
            assert!(matches!(parse_request(&bytes[..cut]), Ok(Parsed::Partial { .. })), "cut at {cut}");
        }
        let (request, consumed) = whole(bytes);
        assert_eq!(
            (request.path(), request.query("replay_id"), &*request.body, consumed),
            ("/v1/x", Some("7"), &b"abc"[..], bytes.len() - 3)
        );
        assert!(request.keep_alive);
        assert_eq!(request.header("host").as_deref(), Some("h"));
    }

    #[test]
    fn chunked_bodies_are_joined() {
        let (request, _) =
            whole(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        assert_eq!((&*request.body, request.keep_alive), (&b"abc"[..], false));
    }

    #[test]
    fn expect_continue_shows_while_the_body_is_missing() {
        let head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        assert!(matches!(parse_request(head), Ok(Parsed::Partial { waits_for_continue: true })));
        assert_eq!(parse_request(b"\x00\x01 HTTP\r\n\r\n").err(), Some(Malformed));
    }
}
