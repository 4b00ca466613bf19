//! Reads requests as the data plane does: head, then the body by its framing.

use ringway_data::http1::chunked::{ChunkedDecoder, Step};
use ringway_data::http1::head::{Framing, HeadLimits, Refusal, RequestHead, parse_request};

pub const LIMITS: HeadLimits = HeadLimits { bytes_max: 64 * 1024, fields_max: 128 };

/// One request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub body: Vec<u8>,
    pub keep_alive: bool,
    /// Bytes from its first to its last.
    pub len: usize,
}

/// What stands at the start of some bytes. `None`: more are needed.
pub fn read(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    read_cut_at(bytes, bytes.len())
}

/// The same, where the first `cut` bytes come alone and the rest later.
pub fn read_cut_at(bytes: &[u8], cut: usize) -> Result<Option<Request>, Refusal> {
    let (first, mut body_cut) = match parse_request(&bytes[..cut], LIMITS)? {
        Some(head) => (Some(head), cut),
        None => (parse_request(bytes, LIMITS)?, bytes.len()),
    };
    let Some(head) = first else { return Ok(None) };
    body_cut = body_cut.max(head.len);
    let Some((body, len)) = read_body(&head, bytes, body_cut)? else { return Ok(None) };
    let path = std::str::from_utf8(&bytes[head.path.clone()]).expect("a path is ASCII");
    let query = head.query.clone().map(|query| std::str::from_utf8(&bytes[query]).expect("a query is ASCII"));
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    Ok(Some(Request { method: head.method.to_string(), target, body, keep_alive: head.keep_alive, len }))
}

fn read_body(head: &RequestHead, bytes: &[u8], cut: usize) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
    let after = &bytes[head.len..];
    match head.framing {
        Framing::None => Ok(Some((Vec::new(), head.len))),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(after.get(..length).map(|body| (body.to_vec(), head.len + length)))
        }
        Framing::Chunked => read_chunks(&bytes[..cut], &bytes[cut..], head.len),
        Framing::UntilClose => panic!("no request ends with its connection"),
    }
}

fn read_chunks(first: &[u8], second: &[u8], start: usize) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
    let mut decoder = ChunkedDecoder::default();
    let mut body = Vec::new();
    for (piece, mut at, offset) in [(first, start, 0), (second, 0, first.len())] {
        loop {
            match decoder.step(piece, at)? {
                Step::Data(span) => {
                    body.extend_from_slice(&piece[span.clone()]);
                    at = span.end;
                }
                Step::More => break,
                Step::End(end) => return Ok(Some((body, offset + end))),
            }
        }
    }
    Ok(None)
}
