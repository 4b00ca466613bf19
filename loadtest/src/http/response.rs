//! The head of a response, reduced to what a load generator must know.

use super::{FIELDS_MAX, Malformed};

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A parsed response head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    /// `x-ringway-overhead-us`, where the gateway says what it cost.
    pub(crate) overhead_us: Option<f64>,
    pub(crate) head_bytes: usize,
}

/// Reads a response head from the front of `buffer`; `None` until it is complete. Interim (1xx) heads are skipped.
///
/// # Errors
/// `Malformed` when the bytes can never become a response.
pub(crate) fn parse_response_head(buffer: &[u8]) -> Result<Option<ResponseHead>, Malformed> {
    let mut skipped_bytes = 0;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parser = httparse::Response::new(&mut fields);
        let head_len = match parser.parse(&buffer[skipped_bytes..]) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed),
        };
        let status = parser.code.unwrap_or(0);
        if (100..200).contains(&status) {
            skipped_bytes += head_len;
            continue;
        }
        let mut head = ResponseHead {
            status,
            framing: if matches!(status, 204 | 304) { Framing::Length(0) } else { Framing::UntilClose },
            keep_alive: parser.version == Some(1),
            overhead_us: None,
            head_bytes: skipped_bytes + head_len,
        };
        for field in parser.headers.iter() {
            read_field(&mut head, field)?;
        }
        return Ok(Some(head));
    }
}

fn read_field(head: &mut ResponseHead, field: &httparse::Header<'_>) -> Result<(), Malformed> {
    let text = || std::str::from_utf8(field.value).map(str::trim).map_err(|_| Malformed);
    match field.name.len() {
        14 if field.name.eq_ignore_ascii_case("content-length") && head.framing != Framing::Chunked => {
            head.framing = Framing::Length(text()?.parse().map_err(|_| Malformed)?);
        }
        17 if field.name.eq_ignore_ascii_case("transfer-encoding") => head.framing = Framing::Chunked,
        10 if field.name.eq_ignore_ascii_case("connection") => head.keep_alive &= !field.value.eq_ignore_ascii_case(b"close"),
        21 if field.name.eq_ignore_ascii_case("x-ringway-overhead-us") => head.overhead_us = text()?.parse().ok(),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_keep_alive_and_overhead_are_read() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Ringway-Overhead-Us: 3.5\r\nConnection: close\r\n\r\nrest";
        let head = parse_response_head(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.framing, head.keep_alive), (200, Framing::Chunked, false));
        assert_eq!((head.overhead_us, head.head_bytes), (Some(3.5), bytes.len() - 4));
    }

    #[test]
    fn a_cut_head_is_not_yet_a_head() {
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\n";
        for cut in 0..bytes.len() {
            assert_eq!(parse_response_head(&bytes[..cut]), Ok(None));
        }
        assert_eq!(parse_response_head(bytes).unwrap().unwrap().framing, Framing::Length(0));
        assert_eq!(parse_response_head(b"SSH-2.0\r\n"), Err(Malformed));
    }
}
