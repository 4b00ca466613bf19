//! Newline-delimited JSON: one event a line.
//!
//! Estimate per event: one pass of `memchr` over its bytes. No copy and no allocation for a line that lies whole in one read; a
//! line cut between reads is copied once into `pending`, which is kept up to `KEPT_BYTES_MAX`.

use memchr::{memchr, memrchr};

use crate::fault::{Fault, Kind};

/// Longest unfinished line that is held between two reads, bytes. The last line of an Ollama completion holds a number for each token
/// of its context.
pub const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A buffer that grew beyond this for one line is given back after it, bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The media type of such a stream.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// `bytes` end behind a line end: the next byte begins an event.
pub fn ends_event(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\n")
}

/// Where the last line of `bytes` begins: behind their last line end, or at 0.
pub fn last_event_start(bytes: &[u8]) -> usize {
    memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}

/// The length of the first line in `bytes`, its end included, where that is there.
pub fn event_len(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes).map(|at| at + 1)
}

/// Ends a line whose JSON stands in `out`.
pub fn end(out: &mut Vec<u8>) {
    out.push(b'\n');
}

/// Splits a byte stream into lines of JSON.
///
/// Feed chunks cut anywhere, even inside a UTF-8 character. LF and CRLF end lines; empty lines are skipped. Never looks inside one.
#[derive(Debug, Default)]
pub struct NdjsonSplitter {
    /// Bytes of an unfinished line, from its first byte on.
    pending: Vec<u8>,
}

impl NdjsonSplitter {
    /// Calls `each` for every line that `bytes` completes, without its end.
    ///
    /// # Errors
    /// `Kind::MalformedResponse` beyond `LINE_BYTES_MAX`, or whatever `each` returns; nothing may be fed afterwards.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (head, tail) = (&rest[..end], &rest[end + 1..]);
            rest = tail;
            if self.pending.is_empty() {
                line(head, &mut each)?;
            } else {
                self.hold(head)?;
                line(&self.pending, &mut each)?;
                self.pending.clear();
                self.pending.shrink_to(KEPT_BYTES_MAX);
            }
        }
        self.hold(rest)
    }

    /// The transport ended: calls `each` for the line that lacks its end, if there is one. It may be cut short, so a line that does
    /// not decode here means that the stream was cut.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let pending = std::mem::take(&mut self.pending);
        line(&pending, &mut each)
    }

    /// The stream stands inside a line: some of its bytes came, its end did not.
    pub fn mid_event(&self) -> bool {
        !self.pending.trim_ascii().is_empty()
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.pending.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(Fault::new(Kind::MalformedResponse, format!("upstream sent a line longer than {LINE_BYTES_MAX} bytes")));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

fn line(bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() { Ok(()) } else { each(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut got) = (NdjsonSplitter::default(), Vec::new());
        let mut keep = |line: &[u8]| {
            got.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        };
        for chunk in chunks {
            splitter.feed(chunk, &mut keep).unwrap();
        }
        splitter.finish(&mut keep).unwrap();
        got
    }

    const STREAM: &str = "{\"a\":\"é😀\"}\n\n{\"b\":1}\n \n{\"c\":[]}";

    #[test]
    fn lines_are_the_same_cut_at_every_byte() {
        let expected = ["{\"a\":\"é😀\"}", "{\"b\":1}", "{\"c\":[]}"];
        for end in ["\n", "\r\n"] {
            let stream = STREAM.replace('\n', end);
            let bytes = stream.as_bytes();
            for cut in 0..=bytes.len() {
                assert_eq!(split(&[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
            }
            assert_eq!(split(&bytes.chunks(1).collect::<Vec<_>>()), expected);
        }
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn an_endless_line_is_malformed() {
        let mut splitter = NdjsonSplitter::default();
        let chunk = vec![b'x'; 64 * 1024];
        let fault = (0..40).find_map(|_| splitter.feed(&chunk, |_| Ok(())).err()).expect("bounded");
        assert_eq!(fault.kind, Kind::MalformedResponse);
    }

    #[test]
    fn places_of_lines_are_found() {
        assert!(ends_event(b"{}\n") && !ends_event(b"{}"));
        assert_eq!([last_event_start(b"{}\n{"), last_event_start(b"{"), last_event_start(b"{}\n")], [3, 0, 3]);
        assert_eq!((event_len(b"{}\n{}\n"), event_len(b"{}")), (Some(3), None));
    }

    #[test]
    fn a_part_of_a_line_stands_inside_an_event() {
        let mut splitter = NdjsonSplitter::default();
        splitter.feed(b"{\"a\"", |_| Ok(())).unwrap();
        assert!(splitter.mid_event());
        splitter.feed(b":1}\n", |_| Ok(())).unwrap();
        assert!(!splitter.mid_event());
    }
}
