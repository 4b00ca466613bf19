//! AWS event streams: the one place where their frames are split and written.
//!
//! A frame is a prelude (total length, length of the headers, CRC of both), headers, a payload and a CRC of all before it;
//! numbers are big-endian. docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html and
//! smithy.io/2.0/aws/amazon-eventstream.html, read 2026-11-20, and recorded traffic.
//!
//! Estimate per frame: two CRCs over its bytes (crc32fast, about 0.1 ns a byte); no copy for a frame that lies whole in one
//! read, one copy for one that is cut; no allocation once warm.

use crate::fault::{Fault, Kind};

/// Longest frame that is read, bytes. The protocol allows 24 MiB; no event of a generated answer comes near.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Longest headers of one frame, bytes: the protocol's own bound.
pub const HEADER_BYTES_MAX: usize = 128 * 1024;

/// A buffer that grew beyond this for one frame is given back after it, bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The media type of a stream of frames.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;
const FRAME_BYTES_MIN: usize = PRELUDE_BYTES + CRC_BYTES;

/// One frame, its checksums verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    headers: &'a [u8],
    pub payload: &'a [u8],
}

/// A header's value. Numbers, times and ids are not looked at by anyone here: they come as their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Bool(bool),
    String(&'a str),
    /// A byte array (type 6).
    Bytes(&'a [u8]),
    /// A byte, short, integer, long, timestamp or UUID (types 2 to 5, 8 and 9).
    Fixed(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// Its headers in order; they end early where they are broken.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut rest = self.headers;
        std::iter::from_fn(move || {
            let (header, after) = header(rest)?;
            rest = after;
            Some(header)
        })
    }

    /// A string header by name, empty where it is absent.
    pub fn text(&self, name: &str) -> &'a str {
        self.headers()
            .find_map(|(key, value)| if let Value::String(text) = value { (key == name).then_some(text) } else { None })
            .unwrap_or("")
    }

    /// What the frame is: `:event-type` of an event, `:exception-type` of an exception, `:error-code` of an error.
    pub fn message(&self) -> Message<'a> {
        let (mut message_type, mut event_type, mut exception_type, mut code) = ("", "", "", "");
        for (name, value) in self.headers() {
            let Value::String(text) = value else { continue };
            match name {
                ":message-type" => message_type = text,
                ":event-type" => event_type = text,
                ":exception-type" => exception_type = text,
                ":error-code" => code = text,
                _ => {}
            }
        }
        match message_type {
            "exception" => Message::Exception(exception_type),
            "error" => Message::Error(code),
            _ => Message::Event(event_type),
        }
    }
}

/// What a frame is, by its `:message-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Event(&'a str),
    /// A modelled error; its payload is JSON.
    Exception(&'a str),
    /// An unmodelled error; its words stand in `:error-message`.
    Error(&'a str),
}

/// The first header of `bytes` and what follows it.
fn header(bytes: &[u8]) -> Option<((&str, Value<'_>), &[u8])> {
    let (&name_len, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let name = std::str::from_utf8(name).ok()?;
    let (&kind, rest) = rest.split_first()?;
    let fixed = |len: usize| rest.split_at_checked(len).map(|(value, rest)| (Value::Fixed(value), rest));
    let (value, rest) = match kind {
        0 => (Value::Bool(true), rest),
        1 => (Value::Bool(false), rest),
        2 => fixed(1)?,
        3 => fixed(2)?,
        4 => fixed(4)?,
        5 | 8 => fixed(8)?,
        6 | 7 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            let value = if kind == 7 { Value::String(std::str::from_utf8(value).ok()?) } else { Value::Bytes(value) };
            (value, rest)
        }
        9 => fixed(16)?,
        _ => return None,
    };
    Some(((name, value), rest))
}

/// Splits a byte stream into frames.
///
/// Feed chunks cut anywhere. Holds at most `FRAME_BYTES_MAX` of an unfinished frame. Checks both checksums, never looks inside a
/// payload, never panics.
#[derive(Debug, Default)]
pub struct EventStreamSplitter {
    /// Bytes of an unfinished frame, from its first byte on.
    pending: Vec<u8>,
}

impl EventStreamSplitter {
    /// Calls `each` for every frame that `bytes` completes.
    ///
    /// # Errors
    /// `Kind::MalformedResponse` for a length out of bounds or a checksum that does not fit, or whatever `each` returns; nothing
    /// may be fed afterwards.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Frame<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        self.feed_blocks(bytes, |_, frame| each(frame))
    }

    /// Like `feed`, with the raw bytes of each frame, for those who forward frame by frame.
    ///
    /// # Errors
    /// As `feed`.
    pub fn feed_blocks(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], Frame<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut rest = bytes;
        while !self.pending.is_empty() {
            let wanted = frame_len(&self.pending)?.unwrap_or(PRELUDE_BYTES);
            let missing = wanted - self.pending.len();
            let (head, tail) = rest.split_at(missing.min(rest.len()));
            self.pending.extend_from_slice(head);
            rest = tail;
            if self.pending.len() < wanted {
                return Ok(());
            }
            if wanted > PRELUDE_BYTES {
                each(&self.pending, parse(&self.pending)?)?;
                self.pending.clear();
                self.pending.shrink_to(KEPT_BYTES_MAX);
            }
        }
        while let Some(len) = frame_len(rest)?
            && let Some((frame, tail)) = rest.split_at_checked(len)
        {
            each(frame, parse(frame)?)?;
            rest = tail;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// The stream stands inside a frame.
    pub fn mid_event(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// The length of the frame that `bytes` begin, once its prelude is there.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(prelude) = bytes.first_chunk::<PRELUDE_BYTES>() else { return Ok(None) };
    let [total, header_bytes, crc] = words(prelude);
    if crc32fast::hash(&prelude[..8]) != crc {
        return Err(malformed("upstream sent an event frame whose prelude has another checksum"));
    }
    let (total, header_bytes) = (total as usize, header_bytes as usize);
    if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&total) {
        return Err(malformed("upstream sent an event frame of an impossible length or beyond 1048576 bytes"));
    }
    if header_bytes > HEADER_BYTES_MAX || header_bytes > total - FRAME_BYTES_MIN {
        return Err(malformed("upstream sent an event frame whose headers are longer than itself"));
    }
    Ok(Some(total))
}

fn words(prelude: &[u8; PRELUDE_BYTES]) -> [u32; 3] {
    let word = |at: usize| u32::from_be_bytes([prelude[at], prelude[at + 1], prelude[at + 2], prelude[at + 3]]);
    [word(0), word(4), word(8)]
}

/// A whole frame, whose prelude `frame_len` has checked.
fn parse(frame: &[u8]) -> Result<Frame<'_>, Fault> {
    let broken = || malformed("upstream sent an event frame that is shorter than its prelude says");
    let (prelude, _) = frame.split_first_chunk::<PRELUDE_BYTES>().ok_or_else(broken)?;
    let (covered, crc) = frame.split_last_chunk::<CRC_BYTES>().ok_or_else(broken)?;
    if crc32fast::hash(covered) != u32::from_be_bytes(*crc) {
        return Err(malformed("upstream sent an event frame with another checksum"));
    }
    let body = covered.get(PRELUDE_BYTES..).ok_or_else(broken)?;
    let (headers, payload) = body.split_at_checked(words(prelude)[1] as usize).ok_or_else(broken)?;
    Ok(Frame { headers, payload })
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}

/// `bytes`, which begin at a frame's begin, end at a frame's end.
pub fn ends_event(bytes: &[u8]) -> bool {
    last_event_start(bytes) == bytes.len()
}

/// Where the frame begins that stands unfinished at the end of `bytes`, which begin at a frame's begin; their length where none does.
pub fn last_event_start(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = event_len(&bytes[at..]) {
        at += len;
    }
    at
}

/// The length of the first frame in `bytes`, where all of it is there. `None` for bytes that are no frame, too.
pub fn event_len(bytes: &[u8]) -> Option<usize> {
    frame_len(bytes).ok().flatten().filter(|len| *len <= bytes.len())
}

/// Appends a frame with string headers. Names are up to 255 bytes long, values up to 65,535; what is longer is cut.
pub fn write_frame(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let start = begin_frame(out, headers);
    out.extend_from_slice(payload);
    end_frame(out, start);
}

/// Begins a frame; its payload follows, then `end_frame` with what this gave.
pub fn begin_frame(out: &mut Vec<u8>, headers: &[(&str, &str)]) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE_BYTES]);
    for (name, value) in headers {
        let name = &name[..name.floor_char_boundary(u8::MAX.into())];
        let value = &value[..value.floor_char_boundary(u16::MAX.into())];
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(7);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let header_bytes = (out.len() - start - PRELUDE_BYTES) as u32;
    out[start + 4..start + 8].copy_from_slice(&header_bytes.to_be_bytes());
    start
}

/// Ends the frame that began at `start`: its length and checksums are written.
pub fn end_frame(out: &mut Vec<u8>, start: usize) {
    let total = (out.len() - start + CRC_BYTES) as u32;
    out[start..start + 4].copy_from_slice(&total.to_be_bytes());
    let prelude = crc32fast::hash(&out[start..start + 8]);
    out[start + 8..start + PRELUDE_BYTES].copy_from_slice(&prelude.to_be_bytes());
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Begins an event with a JSON payload.
pub fn begin_event(out: &mut Vec<u8>, event_type: &str) -> usize {
    begin_frame(out, &[(":event-type", event_type), (":content-type", "application/json"), (":message-type", "event")])
}

/// Begins an exception with a JSON payload.
pub fn begin_exception(out: &mut Vec<u8>, exception_type: &str) -> usize {
    begin_frame(out, &[(":exception-type", exception_type), (":content-type", "application/json"), (":message-type", "exception")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(&mut out, &[(":event-type", "a"), (":message-type", "event")], b"{\"x\":1}");
        write_frame(&mut out, &[(":message-type", "exception"), (":exception-type", "throttlingException")], b"");
        out
    }

    type Got = Vec<(String, Vec<u8>)>;

    fn split(chunks: &[&[u8]]) -> (Got, Result<(), Fault>) {
        let (mut splitter, mut got) = (EventStreamSplitter::default(), Got::new());
        for chunk in chunks {
            let fed = splitter.feed(chunk, |frame| {
                got.push((format!("{:?}", frame.message()), frame.payload.to_vec()));
                Ok(())
            });
            if fed.is_err() {
                return (got, fed);
            }
        }
        (got, Ok(()))
    }

    #[test]
    fn the_documented_frames_are_read() {
        // github.com/awslabs/aws-c-event-stream, tests: an empty frame, and one with a payload and a header.
        let empty = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
        assert_eq!(split(&[&empty]).0, [("Event(\"\")".to_owned(), Vec::new())]);
        let mut out = Vec::new();
        write_frame(&mut out, &[], b"");
        assert_eq!(out, empty);
    }

    #[test]
    fn every_cut_gives_the_same_frames() {
        let bytes = two();
        let expected = split(&[&bytes]).0;
        assert_eq!(expected.len(), 2);
        assert_eq!(expected[1].0, "Exception(\"throttlingException\")");
        for cut in 0..=bytes.len() {
            assert_eq!(split(&[&bytes[..cut], &bytes[cut..]]).0, expected, "{cut}");
        }
        assert_eq!(split(&bytes.chunks(1).collect::<Vec<_>>()).0, expected);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let bytes = two();
        for at in 0..bytes.len() * 8 {
            let mut wounded = bytes.clone();
            wounded[at / 8] ^= 1 << (at % 8);
            let (got, result) = split(&[&wounded]);
            assert!(result.is_err_and(|fault| fault.kind == Kind::MalformedResponse) && got.len() < 2, "{at}");
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_their_bytes_come() {
        for (total, header_bytes) in [(15, 0), (FRAME_BYTES_MAX as u32 + 1, 0), (32, 17), (300_000, 200_000)] {
            let mut prelude = Vec::new();
            prelude.extend_from_slice(&u32::to_be_bytes(total));
            prelude.extend_from_slice(&u32::to_be_bytes(header_bytes));
            let crc = crc32fast::hash(&prelude);
            prelude.extend_from_slice(&crc.to_be_bytes());
            assert!(split(&[&prelude]).1.is_err(), "{total}");
        }
    }

    #[test]
    fn headers_of_all_types_are_stepped_over() {
        let mut headers = Vec::new();
        for (kind, value) in [
            (0, &b""[..]),
            (1, b""),
            (2, b"1"),
            (3, b"12"),
            (4, b"1234"),
            (5, b"12345678"),
            (6, b"\0\x02ab"),
            (7, b"\0\x02ok"),
            (8, b"12345678"),
            (9, b"0123456789abcdef"),
        ] {
            headers.extend_from_slice(&[1, b'a' + kind, kind]);
            headers.extend_from_slice(value);
        }
        let frame = Frame { headers: &headers, payload: b"" };
        assert_eq!(frame.headers().count(), 10);
        assert_eq!(frame.text("h"), "ok");
        for cut in 0..headers.len() {
            let cut = Frame { headers: &headers[..cut], payload: b"" };
            assert!(cut.headers().count() < 10);
        }
    }

    #[test]
    fn places_in_a_stream_are_told() {
        let bytes = two();
        let first = event_len(&bytes).unwrap();
        assert!(ends_event(&bytes) && ends_event(&bytes[..first]) && ends_event(b""));
        assert!(!ends_event(&bytes[..first + 1]));
        assert_eq!((last_event_start(&bytes[..first + 20]), last_event_start(&bytes)), (first, bytes.len()));
        assert_eq!(event_len(b"data: no frame at all"), None);
    }
}
