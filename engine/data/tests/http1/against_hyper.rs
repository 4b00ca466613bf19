//! hyper as a second opinion: whatever a mutation makes of a request, we agree with hyper on where it ends, or refuse it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use proptest::prelude::*;

use crate::reader::{LIMITS, read};

/// Follows every input: a parser that ends a request elsewhere does not see it as we do.
const SENTINEL: &[u8] = b"GET /sentinel HTTP/1.1\r\nHost: s\r\n\r\n";

const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /v1/models?a=b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\nGET /inside HTTP/1.1\r\nHost: i\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n1f;x=y\r\nGET /inside HTTP/1.1\r\nHost: i\r\n\r\n0\r\nA: b\r\n\r\n",
    b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
    b"PUT http://h/p HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n0\r\n\r\nGET / H",
];

const SPLICES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\xa0",
    b"+",
    b"-",
    b"0x",
    b"0",
    b"1",
    b"f",
    b",",
    b";",
    b":",
    b"_",
    b"\"",
    b"chunked",
    b"identity",
    b", chunked",
    b"chunked, ",
    b"5",
    b"99999999999999999999",
    b"18446744073709551616",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"content-length:5\r\n",
    b"Content-Length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"TE: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"Host: h\r\n",
    b"X: y\r\n z\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"10000000000000005\r\n",
    b"GET /spliced HTTP/1.1\r\nHost: h\r\n\r\n",
];

#[derive(Clone, Debug)]
enum Mutation {
    Replace {
        at: prop::sample::Index,
        byte: u8,
    },
    Insert {
        at: prop::sample::Index,
        splice: prop::sample::Index,
    },
    /// Between two lines, where a field would stand.
    InsertLine {
        line: prop::sample::Index,
        splice: prop::sample::Index,
    },
    Delete {
        at: prop::sample::Index,
        len: usize,
    },
    Double {
        at: prop::sample::Index,
        len: usize,
    },
    DoubleLine {
        line: prop::sample::Index,
    },
    SwapLines {
        a: prop::sample::Index,
        b: prop::sample::Index,
    },
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Mutation::Replace { at, byte } => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Mutation::Insert { at, splice } => insert(bytes, at.index(bytes.len() + 1), SPLICES[splice.index(SPLICES.len())]),
            Mutation::InsertLine { line, splice } => {
                let starts = line_starts(bytes);
                insert(bytes, starts[line.index(starts.len())], SPLICES[splice.index(SPLICES.len())]);
            }
            Mutation::Delete { at, len } => {
                let start = at.index(bytes.len());
                bytes.drain(start..(start + len).min(bytes.len()));
            }
            Mutation::Double { at, len } => {
                let start = at.index(bytes.len());
                let copy = bytes[start..(start + len).min(bytes.len())].to_vec();
                insert(bytes, start, &copy);
            }
            Mutation::DoubleLine { line } => {
                let starts = line_starts(bytes);
                let index = line.index(starts.len());
                let copy = bytes[starts[index]..starts.get(index + 1).copied().unwrap_or(bytes.len())].to_vec();
                insert(bytes, starts[index], &copy);
            }
            Mutation::SwapLines { a, b } => {
                let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
                *bytes = lines.concat();
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let behind = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind.filter(|at| *at < bytes.len())).collect()
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\t \0:;,+-x0159afAF_\x0b\x7f".to_vec())];
    prop_oneof![
        2 => (index(), byte).prop_map(|(at, byte)| Mutation::Replace { at, byte }),
        3 => (index(), index()).prop_map(|(at, splice)| Mutation::Insert { at, splice }),
        4 => (index(), index()).prop_map(|(line, splice)| Mutation::InsertLine { line, splice }),
        1 => (index(), 1usize..8).prop_map(|(at, len)| Mutation::Delete { at, len }),
        1 => (index(), 1usize..32).prop_map(|(at, len)| Mutation::Double { at, len }),
        2 => index().prop_map(|line| Mutation::DoubleLine { line }),
        2 => (index(), index()).prop_map(|(a, b)| Mutation::SwapLines { a, b }),
    ]
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let requests = prop::collection::vec(prop::sample::select(REQUESTS), 1..3);
    (requests, prop::collection::vec(mutation(), 0..4)).prop_map(|(requests, mutations)| {
        let mut bytes = requests.concat();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        bytes.extend_from_slice(SENTINEL);
        bytes
    })
}

/// Method, target, body.
type Seen = (String, String, Vec<u8>);

/// How hyper's reading ended.
#[derive(Debug, PartialEq, Eq)]
enum HyperEnd {
    Closed,
    Refused,
    /// It waits for bytes that we take for the next request, or that we do not expect.
    WantsMore,
}

/// The requests that hyper finds in `bytes`.
fn hyper_reads(bytes: &[u8]) -> (Vec<Seen>, HyperEnd) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let body_end = Rc::new(RefCell::new(HyperEnd::Closed));
    let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
        let (seen, body_end) = (seen.clone(), body_end.clone());
        async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                match frame.map(|frame| frame.into_data()) {
                    Ok(Ok(data)) => bytes.extend_from_slice(&data),
                    Ok(Err(_trailers)) => {}
                    Err(error) => {
                        *body_end.borrow_mut() = if ends_early(&error) { HyperEnd::WantsMore } else { HyperEnd::Refused };
                        return Err(error);
                    }
                }
            }
            let target = head.uri.path_and_query().map_or_else(|| head.uri.to_string(), |target| target.to_string());
            seen.borrow_mut().push((head.method.to_string(), target, bytes));
            Ok(hyper::Response::new(Nothing))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(true).max_headers(LIMITS.fields_max).header_read_timeout(None).auto_date_header(false);
    let mut connection = pin!(builder.serve_connection(Pipe { bytes: bytes.to_vec(), at: 0 }, service));
    let mut context = Context::from_waker(Waker::noop());
    let outcome = (0..10_000).find_map(|_| match connection.as_mut().poll(&mut context) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    });
    let end = match outcome.expect("the pipe is always ready") {
        Ok(()) => HyperEnd::Closed,
        Err(error) if error.is_incomplete_message() => HyperEnd::WantsMore,
        Err(_) => HyperEnd::Refused,
    };
    let body_end = body_end.replace(HyperEnd::Closed);
    (seen.take(), if body_end == HyperEnd::Closed { end } else { body_end })
}

/// The error of a body that the input's end cut off.
fn ends_early(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message() || source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof)
}

/// Input that is there at once, output that goes nowhere.
struct Pipe {
    bytes: Vec<u8>,
    at: usize,
}

impl hyper::rt::Read for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: hyper::rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let len = buf.remaining().min(self.bytes.len() - self.at);
        buf.put_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// Compares request by request, as far as we accept; beyond a refusal we read nothing.
fn agree(bytes: &[u8]) -> Result<usize, String> {
    let (theirs, their_end) = hyper_reads(bytes);
    let mut theirs = theirs.into_iter();
    let mut at = 0;
    let mut agreed = 0;
    loop {
        let ours = match read(&bytes[at..]) {
            Err(_) => return Ok(agreed),
            Ok(None) => {
                return theirs.next().map_or(Ok(agreed), |seen| Err(format!("we wait for more behind {at}, hyper took {seen:?}")));
            }
            Ok(Some(request)) => request,
        };
        match theirs.next() {
            Some(seen) if seen == (ours.method.clone(), ours.target.clone(), ours.body.clone()) => agreed += 1,
            Some(seen) => return Err(format!("we took {ours:?}, hyper took {seen:?}")),
            None if their_end == HyperEnd::WantsMore => return Err(format!("we took {ours:?}, hyper waits for more")),
            // hyper closed or refused: there is no second reading.
            None => return Ok(agreed),
        }
        at += ours.len;
        if !ours.keep_alive || at >= bytes.len() {
            return Ok(agreed);
        }
    }
}

#[test]
fn valid_requests_are_read_alike() {
    for request in REQUESTS {
        assert_eq!(agree(&[request, SENTINEL].concat()), Ok(2), "{}", request.escape_ascii());
    }
    let all = [REQUESTS.concat(), SENTINEL.to_vec()].concat();
    assert_eq!(agree(&all), Ok(REQUESTS.len() + 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_makes_us_disagree_with_hyper_unrefused(bytes in input()) {
        if let Err(difference) = agree(&bytes) {
            prop_assert!(false, "{difference}\nin {}", bytes.escape_ascii());
        }
    }
}
