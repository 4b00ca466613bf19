//! Random bytes with a fixed seed: nothing panics, and spans stay inside the input.

use std::time::{Duration, Instant};

use ringway_data::http1::chunked::{ChunkedDecoder, Step};
use ringway_data::http1::head::{parse_request, parse_response};

use crate::reader::LIMITS;

const SEED: u64 = 0x5eed_0001_c0de_cafe;
const ROUNDS: u64 = 60_000;

/// Words that framing bugs are made of; random bytes alone never get past the request line.
const WORDS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /v1 HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"Host: h\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: ",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"FFFFFFFFFFFFFFFF\r\n",
    b";a=b",
    b": ",
    b",",
    b" ",
    b"\t",
    b"\0",
    b"99999999999999999999",
];

/// SplitMix64 (Steele, Lea, Flood 2014): enough for input bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn input(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(12) {
            match self.below(4) {
                0 => bytes.push(self.next() as u8),
                _ => bytes.extend_from_slice(WORDS[self.below(WORDS.len())]),
            }
        }
        bytes
    }
}

/// Runs `check` on `ROUNDS` inputs, or for `RINGWAY_SMOKE_SECONDS`. `RINGWAY_SMOKE_SEED` repeats or varies a run.
fn run(check: impl Fn(&[u8], usize) + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("RINGWAY_SMOKE_SEED").unwrap_or(SEED);
    let until = number("RINGWAY_SMOKE_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(seed);
    for round in 0.. {
        if until.map_or(round >= ROUNDS, |until| Instant::now() >= until) {
            break;
        }
        let (input, cut) = (random.input(), random.below(64));
        let outcome = std::panic::catch_unwind(|| check(&input, cut));
        assert!(outcome.is_ok(), "seed {seed}, round {round}, cut {cut}: {}", input.escape_ascii());
    }
}

#[test]
fn heads_of_random_bytes_never_panic_and_stay_in_bounds() {
    run(|input, cut| {
        if let Ok(Some(head)) = parse_request(input, LIMITS) {
            assert!(head.len <= input.len() && head.path.end <= head.len && head.query.is_none_or(|query| query.end <= head.len));
            assert!(head.fields.iter(&input[..head.len]).all(|(name, _, _)| !name.is_empty()));
        }
        if let Ok(Some(head)) = parse_response(input, LIMITS, false) {
            assert!(head.len <= input.len() && head.fields.iter(&input[..head.len]).all(|(name, _, _)| !name.is_empty()));
        }
        // A prefix is refused only if the whole is refused alike.
        if let Err(refusal) = parse_request(&input[..cut.min(input.len())], LIMITS) {
            assert_eq!(parse_request(input, LIMITS).map(|_| ()).map_err(|refusal| refusal.status), Err(refusal.status));
        }
    });
}

#[test]
fn chunks_of_random_bytes_never_panic_and_a_cut_changes_nothing() {
    fn decode(pieces: [&[u8]; 2]) -> (Vec<u8>, Option<Result<usize, u16>>) {
        let (mut decoder, mut body, mut offset) = (ChunkedDecoder::default(), Vec::new(), 0);
        for piece in pieces {
            let mut at = 0;
            loop {
                match decoder.step(piece, at) {
                    Ok(Step::Data(span)) => {
                        assert!(span.start >= at && span.end > span.start);
                        body.extend_from_slice(&piece[span.clone()]);
                        at = span.end;
                    }
                    Ok(Step::More) => break,
                    Ok(Step::End(end)) => return (body, Some(Ok(offset + end))),
                    Err(refusal) => return (body, Some(Err(refusal.status))),
                }
            }
            offset += piece.len();
        }
        (body, None)
    }
    run(|input, cut| {
        let (first, second) = input.split_at(cut.min(input.len()));
        assert_eq!(decode([first, second]), decode([input, b""]));
    });
}
