//! The chunked transfer coding (RFC 9112 §7.1), decoded in place.
//!
//! No allocation and no copy: each call gives one span of the input. A read of one chunk costs two to four calls. Framing
//! bytes are looked at one by one, body bytes not at all.

use std::ops::Range;

use super::head::{Refusal, is_token_byte};

/// Decodes a chunked body fed in pieces cut anywhere. Strict: CRLF alone ends lines, sizes are plain hex of at most
/// 16 digits, extensions and trailers are bounded and dropped.
#[derive(Clone, Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Of the current chunk: its size while that is read, then what is left of it.
    left: u64,
    size_digits: u8,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailer_fields: usize,
}

/// What one call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Body bytes at this span of the input; call again with what follows it.
    Data(Range<usize>),
    /// All input is used up; feed more.
    More,
    /// The body and its trailers are over; the next message starts at this offset.
    End(usize),
}

/// Most bytes of chunk extensions in one body. No client is known to send any.
pub const EXTENSION_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Most fields of a trailer section.
pub const TRAILER_FIELDS_MAX: usize = 32;

const SIZE_DIGITS_MAX: u8 = 16;

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Ended,
    Broken,
}

impl ChunkedDecoder {
    /// Takes the input from `from` on.
    ///
    /// # Errors
    /// A `Refusal` with status 400; nothing may be fed afterwards (it would be refused again).
    pub fn step(&mut self, input: &[u8], from: usize) -> Result<Step, Refusal> {
        let mut at = from;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Data => {
                    let available = (input.len() - at) as u64;
                    let taken = self.left.min(available) as usize;
                    self.left -= taken as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step::Data(at..at + taken));
                }
                State::Ended => return Ok(Step::End(at)),
                _ => {}
            }
            self.state = self.next(byte).map_err(|reason| {
                self.state = State::Broken;
                Refusal::bad(reason)
            })?;
            at += 1;
            if self.state == State::Ended {
                return Ok(Step::End(at));
            }
        }
        Ok(if self.state == State::Ended { Step::End(at) } else { Step::More })
    }

    /// The state behind one byte of framing.
    fn next(&mut self, byte: u8) -> Result<State, &'static str> {
        match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => self.size_digit(byte),
            (State::Size, b'\r' | b';') if self.size_digits == 0 => Err("a chunk has no size"),
            (State::Size, b';') => self.extension_byte(),
            (State::Size | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size, _) => Err("a chunk size is not plain hex"),
            (State::Extension, b'\t' | b' '..=b'~') => self.extension_byte(),
            (State::Extension, _) => Err("a chunk extension holds a byte that is not allowed"),
            (State::SizeLf, b'\n') => Ok(self.begin_chunk()),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::DataCr | State::DataLf, _) => Err("chunk data is not followed by CRLF"),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart, _) if is_token_byte(byte) => self.trailer_begin(),
            (State::TrailerName, b':') => self.trailer_byte(State::TrailerValue),
            (State::TrailerName, _) if is_token_byte(byte) => self.trailer_byte(State::TrailerName),
            (State::TrailerStart | State::TrailerName, _) => Err("a trailer is not NAME: VALUE"),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.trailer_byte(State::TrailerValue),
            (State::TrailerValue, _) => Err("a trailer holds a control byte"),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Ended),
            (State::SizeLf | State::TrailerLf | State::LastLf, _) => Err("a line does not end with CRLF"),
            (State::Data | State::Ended | State::Broken, _) => Err("the body was refused before"),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, &'static str> {
        if self.size_digits == SIZE_DIGITS_MAX {
            return Err("a chunk size has more than 16 digits");
        }
        let digit = (byte as char).to_digit(16).map_or(0, u64::from);
        self.size_digits += 1;
        self.left = self.left << 4 | digit;
        Ok(State::Size)
    }

    fn begin_chunk(&mut self) -> State {
        self.size_digits = 0;
        if self.left == 0 { State::TrailerStart } else { State::Data }
    }

    fn extension_byte(&mut self) -> Result<State, &'static str> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX { Err("the chunk extensions are too long") } else { Ok(State::Extension) }
    }

    fn trailer_begin(&mut self) -> Result<State, &'static str> {
        self.trailer_fields += 1;
        if self.trailer_fields > TRAILER_FIELDS_MAX { Err("there are too many trailers") } else { self.trailer_byte(State::TrailerName) }
    }

    fn trailer_byte(&mut self, next: State) -> Result<State, &'static str> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX { Err("the trailers are too long") } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Body and the offset of what follows it; the input is fed in pieces of `piece_len`.
    fn decode(input: &[u8], piece_len: usize) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut decoder = ChunkedDecoder::default();
        let mut body = Vec::new();
        let mut start = 0;
        for piece in input.chunks(piece_len.max(1)) {
            let mut at = 0;
            loop {
                match decoder.step(piece, at)? {
                    Step::Data(span) => {
                        body.extend_from_slice(&piece[span.clone()]);
                        at = span.end;
                    }
                    Step::More => break,
                    Step::End(end) => return Ok(Some((body, start + end))),
                }
            }
            start += piece.len();
        }
        Ok(None)
    }

    fn at_every_cut(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let whole = decode(input, input.len());
        for piece_len in 1..=input.len() {
            assert_eq!(decode(input, piece_len), whole, "pieces of {piece_len} of {:?}", input.escape_ascii().to_string());
        }
        whole
    }

    #[test]
    fn bodies_come_out_whole_at_every_cut() {
        let cases: &[(&[u8], &[u8], usize)] = &[
            (b"0\r\n\r\n", b"", 0),
            (b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", 5),
            (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", 0),
            (b"00000000000000A;x=y;z=\"q\"\r\n0123456789\r\n000\r\n\r\n", b"0123456789", 0),
            (b"1\r\n\n\r\n0\r\nTrailer: v\xc3\xa9\r\nOther:\r\n\r\n!", b"\n", 1),
        ];
        for (input, body, left) in cases {
            assert_eq!(at_every_cut(input), Ok(Some((body.to_vec(), input.len() - left))), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn broken_framing_is_refused_at_every_cut() {
        let cases: &[&[u8]] = &[
            b"\r\n",
            b";\r\n",
            b"+5\r\nhello\r\n",
            b"-5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\t;a\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\rhello",
            b"5;a\nhello",
            b"5;a\x00\r\nhello",
            b"5;\x7f\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"10000000000000000\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"0\r\n\n",
            b"0\r\n\rX",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n fold: b\r\n\r\n",
            b"0\r\nA: b\r\n c\r\n\r\n",
            b"0\r\nA: b\x00\r\n\r\n",
            b"0\r\nA\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
        ];
        for input in cases {
            assert!(at_every_cut(input).is_err(), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn the_largest_size_is_read_and_never_overflows() {
        let mut decoder = ChunkedDecoder::default();
        let input = b"FFFFFFFFFFFFFFFF\r\nab";
        assert_eq!(decoder.step(input, 0), Ok(Step::Data(18..20)));
        assert_eq!(decoder.left, u64::MAX - 2);
    }

    #[test]
    fn extensions_are_bounded_over_the_whole_body() {
        let chunk = [b"1;", &[b'a'; 100][..], b"\r\nx\r\n"].concat();
        assert!(decode(&[chunk.repeat(40), b"0\r\n\r\n".to_vec()].concat(), 7).is_ok_and(|end| end.is_some()));
        assert!(decode(&chunk.repeat(41), 7).is_err());
    }

    #[test]
    fn trailers_are_bounded_in_bytes_and_number() {
        let fields =
            |count: usize, len: usize| [b"0\r\n".to_vec(), [b"a: ", &vec![b'v'; len][..], b"\r\n"].concat().repeat(count)].concat();
        assert!(decode(&fields(TRAILER_FIELDS_MAX, 1), 64).is_ok());
        assert!(decode(&fields(TRAILER_FIELDS_MAX + 1, 1), 64).is_err());
        assert!(decode(&fields(1, TRAILER_BYTES_MAX), 64).is_err());
    }

    #[test]
    fn nothing_is_decoded_behind_an_error_or_an_end() {
        let mut decoder = ChunkedDecoder::default();
        assert!(decoder.step(b"x", 0).is_err());
        assert!(decoder.step(b"0\r\n\r\n", 0).is_err());
        let mut decoder = ChunkedDecoder::default();
        assert_eq!(decoder.step(b"0\r\n\r\nrest", 0), Ok(Step::End(5)));
        assert_eq!(decoder.step(b"0\r\n\r\nrest", 5), Ok(Step::End(5)));
        assert_eq!(decoder.step(b"", 0), Ok(Step::End(0)));
    }
}
