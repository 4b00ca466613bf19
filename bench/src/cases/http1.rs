//! HTTP/1.1: heads and chunked bodies.

use std::hint::black_box;

use ringway_data::http1::chunked::{ChunkedDecoder, Step};
use ringway_data::http1::head::{HeadLimits, parse_request, parse_response};

use crate::inputs::{ANSWER_HEAD, REQUEST_HEAD, chat_stream_chunks};
use crate::{Case, Prepared};

pub const CASES: &[Case] = &[
    Case {
        name: "http1/request-head",
        prepare: || {
            Prepared::new(|| {
                black_box(parse_request(black_box(REQUEST_HEAD), LIMITS)).ok().flatten().expect("a whole head");
            })
        },
    },
    Case {
        name: "http1/response-head",
        prepare: || {
            Prepared::new(|| {
                black_box(parse_response(black_box(ANSWER_HEAD), LIMITS, false)).ok().flatten().expect("a whole head");
            })
        },
    },
    Case { name: "http1/chunked", prepare: chunked },
];

const LIMITS: HeadLimits = HeadLimits { bytes_max: 64 * 1024, fields_max: 128 };

/// A stream whose reads hold one chunk each, as a provider sends them.
fn chunked() -> Prepared {
    let reads = chat_stream_chunks();
    let count = reads.len();
    Prepared::new(move || {
        let mut decoder = ChunkedDecoder::default();
        for read in &reads {
            let mut at = 0;
            while let Step::Data(span) = decoder.step(black_box(read), at).expect("well framed") {
                at = black_box(span).end;
            }
        }
    })
    .per(count)
}
