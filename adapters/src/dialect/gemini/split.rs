//! A stream in either framing: server-sent events (`alt=sse`), or one JSON array, as its first byte tells.
//!
//! Estimate per element of an array: one pass over its bytes; a copy where it is cut between two reads.

use memchr::memchr2;

use crate::fault::{Fault, Kind};
use crate::frame::sse::{EVENT_BYTES_MAX, SseSplitter};

/// Splits a stream into the JSON texts of its chunks.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    framing: Found,
}

#[derive(Debug, Default)]
enum Found {
    /// Nothing but white space came.
    #[default]
    Nothing,
    Sse(SseSplitter),
    Array(ArraySplitter),
}

impl Splitter {
    /// Calls `each` with the JSON of every chunk that `bytes` complete.
    ///
    /// # Errors
    /// `Kind::MalformedResponse` beyond `EVENT_BYTES_MAX`, or whatever `each` returns.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        if let Found::Nothing = self.framing {
            match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => return Ok(()),
                Some(b'[' | b'{') => self.framing = Found::Array(ArraySplitter::default()),
                Some(_) => self.framing = Found::Sse(SseSplitter::default()),
            }
        }
        match &mut self.framing {
            Found::Sse(splitter) => splitter.feed(bytes, |event| each(event.data)),
            Found::Array(splitter) => splitter.feed(bytes, each),
            Found::Nothing => Ok(()),
        }
    }

    /// The transport ended: calls `each` for a last chunk that lacks its blank line.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub(super) fn finish(&mut self, each: impl FnOnce(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        match &mut self.framing {
            Found::Sse(splitter) => splitter.finish(|event| each(event.data)),
            Found::Array(_) | Found::Nothing => Ok(()),
        }
    }

    /// The stream stands inside a chunk, or inside its array.
    pub(super) fn mid_event(&self) -> bool {
        match &self.framing {
            Found::Nothing => false,
            Found::Sse(splitter) => splitter.mid_event(),
            Found::Array(splitter) => splitter.depth > 0 || splitter.state == State::Open,
        }
    }

    /// The array was closed.
    pub(super) fn is_closed(&self) -> bool {
        matches!(&self.framing, Found::Array(ArraySplitter { state: State::Closed, .. }))
    }
}

/// Splits `[{…},{…}]` into its objects; objects without the brackets come as well.
#[derive(Debug, Default)]
struct ArraySplitter {
    pending: Vec<u8>,
    /// Brackets that are open inside the element.
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Bare,
    /// The array's bracket came.
    Open,
    Closed,
}

/// A buffer that grew beyond this for one element is given back after it, bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

impl ArraySplitter {
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut at = 0;
        // Where the element that is being read begins, in `bytes`.
        let mut start = 0;
        while at < bytes.len() {
            if self.depth == 0 {
                (at, start) = (at + 1, at);
                self.between(bytes[start])?;
                continue;
            }
            at += self.step(&bytes[at..]);
            if self.depth > 0 {
                continue;
            }
            let element = &bytes[start..at];
            if self.pending.is_empty() {
                each(element)?;
            } else {
                self.hold(element)?;
                each(&self.pending)?;
                self.pending.clear();
                self.pending.shrink_to(KEPT_BYTES_MAX);
            }
        }
        if self.depth > 0 { self.hold(&bytes[start..]) } else { Ok(()) }
    }

    /// A byte between two elements.
    fn between(&mut self, byte: u8) -> Result<(), Fault> {
        match (byte, self.state) {
            (b' ' | b'\n' | b'\r' | b'\t', _) | (b',', State::Bare | State::Open) => {}
            (b'{', State::Bare | State::Open) => self.depth = 1,
            (b'[', State::Bare) => self.state = State::Open,
            (b']', State::Open) => self.state = State::Closed,
            _ => return Err(Fault::new(Kind::MalformedResponse, "upstream sent no JSON array of answers")),
        }
        Ok(())
    }

    /// Steps over bytes of an element; gives how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if !self.in_string {
            for (index, byte) in bytes.iter().enumerate() {
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    b'"' => self.in_string = true,
                    _ => continue,
                }
                if self.in_string || self.depth == 0 {
                    return index + 1;
                }
            }
            return bytes.len();
        }
        if self.is_escaped {
            self.is_escaped = false;
            return 1;
        }
        let Some(found) = memchr2(b'"', b'\\', bytes) else { return bytes.len() };
        if bytes[found] == b'"' {
            self.in_string = false;
        } else {
            self.is_escaped = true;
        }
        found + 1
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.pending.len() + bytes.len() > EVENT_BYTES_MAX {
            return Err(Fault::new(Kind::MalformedResponse, format!("upstream sent an event longer than {EVENT_BYTES_MAX} bytes")));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> (Vec<String>, bool, bool) {
        let mut splitter = Splitter::default();
        let mut got = Vec::new();
        let mut keep = |data: &[u8]| {
            got.push(String::from_utf8_lossy(data).into_owned());
            Ok(())
        };
        for chunk in chunks {
            splitter.feed(chunk, &mut keep).unwrap();
        }
        splitter.finish(&mut keep).unwrap();
        (got, splitter.is_closed(), splitter.mid_event())
    }

    const ELEMENTS: [&str; 3] = [r#"{"a":"]}\"\\","b":[{}]}"#, r#"{"é":1}"#, "{}"];

    #[test]
    fn both_framings_give_the_same_chunks_cut_at_every_byte() {
        let array = format!(" [{}\n,\r\n{},{}]\n", ELEMENTS[0], ELEMENTS[1], ELEMENTS[2]);
        let events: String = ELEMENTS.iter().map(|element| format!("data: {element}\r\n\r\n")).collect();
        let bare = ELEMENTS.join("\n");
        for (stream, is_closed) in [(array, true), (events, false), (bare, false)] {
            let bytes = stream.as_bytes();
            for cut in 0..=bytes.len() {
                assert_eq!(
                    split(&[&bytes[..cut], &bytes[cut..]]),
                    (ELEMENTS.map(str::to_owned).to_vec(), is_closed, false),
                    "{stream} {cut}"
                );
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(split(&single).0, ELEMENTS);
        }
    }

    #[test]
    fn an_array_that_is_not_closed_is_unfinished() {
        for stream in ["[", "[{}", "[{},", "[{},{\"a\":"] {
            let (_, is_closed, mid_event) = split(&[stream.as_bytes()]);
            assert_eq!((is_closed, mid_event), (false, true), "{stream}");
        }
        assert_eq!(split(&[b"[]"]), (Vec::new(), true, false));
        assert_eq!(split(&[b"", b" \n"]), (Vec::new(), false, false));
    }

    #[test]
    fn other_structures_and_endless_elements_are_malformed() {
        for stream in ["[1]", "{}]", "[[", "[]{}"] {
            let fault = Splitter::default().feed(stream.as_bytes(), |_| Ok(())).unwrap_err();
            assert_eq!(fault.kind, Kind::MalformedResponse, "{stream}");
        }
        let mut splitter = Splitter::default();
        splitter.feed(b"[{\"a\":\"", |_| Ok(())).unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        let fault = (0..17).find_map(|_| splitter.feed(&chunk, |_| Ok(())).err()).expect("bounded");
        assert_eq!(fault.kind, Kind::MalformedResponse);
    }
}
