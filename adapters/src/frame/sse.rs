//! Server-sent events (WHATWG HTML §9.2): the one place where they are split and written.
//!
//! Estimate per event: two passes of `memchr2` over its bytes while they are in cache. No copy and no allocation for an
//! event that lies whole in one read; an event cut between reads is copied once into `pending`; an event of several `data`
//! lines is copied once into `joined`. Both buffers are kept, up to `KEPT_BYTES_MAX`.

use memchr::memchr2;

use crate::fault::{Fault, Kind};

/// Longest unfinished event that is held between two reads, bytes.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// A buffer that grew beyond this for one event is given back after it, bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The media type of a stream of events.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// OpenAI's end marker with its framing.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// Ends a half-written event, so that another one may follow.
pub const PARTIAL_END: &[u8] = b"\n\n";

/// A comment that keeps the connection alive and that every client skips.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// One event. `data` lines are joined by LF; most events have one, which is borrowed as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Empty where the event has no name.
    pub event: &'a str,
    pub data: &'a [u8],
}

/// `bytes` end behind a blank line: the next byte begins an event.
pub fn ends_event(bytes: &[u8]) -> bool {
    [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| bytes.ends_with(end))
}

/// Where the last event of `bytes` begins: behind their last blank line, or at 0.
pub fn last_event_start(bytes: &[u8]) -> usize {
    let ends = [&b"\n\n"[..], b"\n\r\n", b"\r\r"];
    ends.iter().filter_map(|end| Some(memchr::memmem::rfind(bytes, end)? + end.len())).max().unwrap_or(0)
}

/// The length of the first event in `bytes`, its blank line included, where that is there. Lines end with LF or CRLF.
pub fn event_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line_end = at + memchr::memchr(b'\n', &bytes[at..])? + 1;
        match bytes.get(line_end..)? {
            [b'\n', ..] => return Some(line_end + 1),
            [b'\r', b'\n', ..] => return Some(line_end + 2),
            _ => at = line_end,
        }
    }
}

/// Splits a byte stream into server-sent events.
///
/// Feed chunks cut anywhere, even inside a UTF-8 character or between CR and LF. Never looks inside `data`.
#[derive(Debug, Default)]
pub struct SseSplitter {
    /// Bytes of an unfinished event, from its first byte on.
    pending: Vec<u8>,
    /// The joined `data` lines of an event that has several.
    joined: Vec<u8>,
    line: Line,
    /// The place of a byte order mark is behind us.
    begun: bool,
}

/// Where in a line the stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Start,
    Inside,
    /// Behind a CR: at a line's start, but a LF still belongs to the line before.
    AfterCr,
}

impl SseSplitter {
    /// Calls `each` for every event that `bytes` completes. LF, CRLF and CR end lines; a BOM at the start and comments
    /// are skipped (`each` is not called for them).
    ///
    /// # Errors
    /// `Kind::MalformedResponse` beyond `EVENT_BYTES_MAX`, or whatever `each` returns; nothing may be fed afterwards.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(SseEvent<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        self.feed_blocks(bytes, |_, event| event.map_or(Ok(()), &mut each))
    }

    /// Like `feed`, with the raw bytes of each block up to its blank line, for those who forward event by event. A block
    /// without data (a keep-alive comment) comes with `None`. A LF that follows in a later read than its CR is in no block.
    ///
    /// # Errors
    /// As `feed`.
    pub fn feed_blocks(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8], Option<SseEvent<'_>>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut rest = if self.begun { bytes } else { self.skip_mark(bytes) };
        if self.line == Line::AfterCr
            && let Some((b'\n', tail)) = rest.split_first()
        {
            // The LF belongs to the unfinished event; after a whole one it belongs to nobody.
            if !self.pending.is_empty() {
                self.pending.push(b'\n');
            }
            self.line = Line::Start;
            rest = tail;
        }
        while let Some(end) = block_end(rest, &mut self.line) {
            let (head, tail) = rest.split_at(end);
            rest = tail;
            if self.pending.is_empty() {
                each(head, parse(head, &mut self.joined))?;
            } else {
                self.hold(head)?;
                each(&self.pending, parse(&self.pending, &mut self.joined))?;
                self.pending.clear();
                self.pending.shrink_to(KEPT_BYTES_MAX);
            }
            self.joined.shrink_to(KEPT_BYTES_MAX);
        }
        self.hold(rest)
    }

    /// The transport ended: calls `each` for the event that lacks its blank line, if there is one. Its last line may be cut
    /// short, so data that does not decode here means that the stream was cut.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub fn finish(&mut self, each: impl FnOnce(SseEvent<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let pending = std::mem::take(&mut self.pending);
        self.line = Line::Start;
        parse(&pending, &mut self.joined).map_or(Ok(()), each)
    }

    /// The stream stands inside an event: some of its bytes came, its blank line did not.
    pub fn mid_event(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Drops a byte order mark, which may be cut too: a part of one is held until it is decided.
    fn skip_mark<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        let wanted = &MARK[self.pending.len().min(MARK.len())..];
        let common = wanted.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        if common == wanted.len() {
            self.pending.clear();
            self.begun = true;
            return &bytes[common..];
        }
        if common == bytes.len() {
            self.pending.extend_from_slice(bytes);
            return &[];
        }
        self.begun = true;
        if !self.pending.is_empty() {
            self.line = Line::Inside;
        }
        bytes
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.pending.len() + bytes.len() > EVENT_BYTES_MAX {
            return Err(Fault::new(Kind::MalformedResponse, format!("upstream sent an event longer than {EVENT_BYTES_MAX} bytes")));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

/// The offset behind the next blank line, or `None` with `line` standing at the end of `bytes`.
fn block_end(bytes: &[u8], line: &mut Line) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = memchr2(b'\n', b'\r', &bytes[at..]) {
        let blank = found == 0 && *line != Line::Inside;
        let cr = bytes[at + found] == b'\r';
        at += found + 1;
        *line = Line::Start;
        if cr {
            match bytes.get(at) {
                Some(b'\n') => at += 1,
                Some(_) => {}
                None => *line = Line::AfterCr,
            }
        }
        if blank {
            return Some(at);
        }
    }
    if at < bytes.len() {
        *line = Line::Inside;
    }
    None
}

/// The event of a block, if it has data. `id` and `retry` serve reconnection, which generated answers do not have.
fn parse<'a>(block: &'a [u8], joined: &'a mut Vec<u8>) -> Option<SseEvent<'a>> {
    let mut event = "";
    let mut data: Option<&[u8]> = None;
    let mut is_joined = false;
    let mut rest = block;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some(value) = field(line, b"data") {
            match data {
                None => data = Some(value),
                Some(first) => {
                    if !is_joined {
                        joined.clear();
                        joined.extend_from_slice(first);
                        is_joined = true;
                    }
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            }
        } else if let Some(value) = field(line, b"event") {
            event = std::str::from_utf8(value).unwrap_or("\u{fffd}");
        }
    }
    let data = if is_joined { joined.as_slice() } else { data? };
    Some(SseEvent { event, data })
}

/// The value of `line` if its field is `name`: `name:value`, `name: value`, or `name` alone.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Begins an event without a name; one line of data follows, then `end`.
pub fn begin_data(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
}

/// Begins an event with a name, which must hold no line end; one line of data follows, then `end`.
pub fn begin_event(out: &mut Vec<u8>, event: &str) {
    debug_assert!(memchr2(b'\n', b'\r', event.as_bytes()).is_none(), "an event's name is one line");
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\ndata: ");
}

/// Ends an event that `begin_data` or `begin_event` began.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n\n");
}

/// Appends an event without a name.
pub fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    let mut rest = data;
    out.reserve(data.len() + 8);
    loop {
        out.extend_from_slice(b"data: ");
        let Some(end) = memchr2(b'\n', b'\r', rest) else { break };
        out.extend_from_slice(&rest[..end]);
        out.push(b'\n');
        let line_end = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + line_end..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\n\n");
}

/// Appends an event with a name, which must hold no line end.
pub fn write_event(out: &mut Vec<u8>, event: &str, data: &[u8]) {
    debug_assert!(memchr2(b'\n', b'\r', event.as_bytes()).is_none(), "an event's name is one line");
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.push(b'\n');
    write_data(out, data);
}

#[cfg(test)]
mod tests {
    use super::*;

    type Got = Vec<(String, Vec<u8>)>;

    #[test]
    fn the_last_event_begins_behind_the_last_blank_line() {
        for (bytes, start) in [("", 0), ("data: a", 0), ("a: b\n\ndata: [", 6), ("a\n\nb\r\n\r\nc: d\n", 8), ("a\n\n", 3)] {
            assert_eq!(last_event_start(bytes.as_bytes()), start, "{bytes:?}");
        }
    }

    fn split(chunks: &[&[u8]]) -> Got {
        let mut splitter = SseSplitter::default();
        let mut got = Got::new();
        let mut keep = |event: SseEvent<'_>| {
            got.push((event.event.to_owned(), event.data.to_vec()));
            Ok(())
        };
        for chunk in chunks {
            splitter.feed(chunk, &mut keep).unwrap();
        }
        splitter.finish(&mut keep).unwrap();
        got
    }

    fn event(name: &str, data: &str) -> (String, Vec<u8>) {
        (name.to_owned(), data.as_bytes().to_vec())
    }

    const STREAM: &str = "\u{feff}: hello\n\nevent: message_start\ndata: {\"a\":\"é😀\"}\nid: 7\nretry: 10\n\n\n\ndata:no space\n\n\
        data: one\ndata: two\ndata\n\ndatabase: x\nevent: ping\n\ndata: [DONE]\n\n";

    fn expected() -> Got {
        vec![event("message_start", "{\"a\":\"é😀\"}"), event("", "no space"), event("", "one\ntwo\n"), event("", "[DONE]")]
    }

    #[test]
    fn all_line_ends_give_the_same_events_cut_at_every_byte() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', end);
            let bytes = stream.as_bytes();
            assert_eq!(split(&[bytes]), expected(), "{end:?} whole");
            for cut in 0..=bytes.len() {
                assert_eq!(split(&[&bytes[..cut], &bytes[cut..]]), expected(), "{end:?} cut at {cut}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(split(&single), expected(), "{end:?} byte by byte");
        }
    }

    #[test]
    fn an_event_without_its_blank_line_comes_at_the_end() {
        for tail in ["", "\n", "\r", "\r\n"] {
            let stream = format!("data: a\n\ndata: [DONE]{tail}");
            assert_eq!(split(&[stream.as_bytes()]), [event("", "a"), event("", "[DONE]")], "{tail:?}");
        }
        assert_eq!(split(&[b""]), []);
        assert_eq!(split(&[b"\xef\xbb"]), []);
    }

    #[test]
    fn a_part_of_a_mark_is_no_mark() {
        assert_eq!(split(&[b"\xef", b"\xbbdata: x\n\ndata: y\n\n"]), [event("", "y")]);
        assert_eq!(split(&[b"\xef\xbb", b"\xbf", b"data: y\n\n"]), [event("", "y")]);
    }

    #[test]
    fn whole_events_are_borrowed_and_cut_ones_are_pending() {
        let mut splitter = SseSplitter::default();
        let bytes = b"data: abc\n\ndata: de";
        let range = bytes.as_ptr_range();
        splitter
            .feed(bytes, |event| {
                assert!(range.contains(&event.data.as_ptr()), "copied");
                Ok(())
            })
            .unwrap();
        assert!(splitter.mid_event());
        splitter.feed(b"f\n", |_| panic!("no blank line yet")).unwrap();
        assert!(splitter.mid_event(), "the line is over, the event is not");
        let mut count = 0;
        splitter
            .feed(b"\n", |event| {
                count += 1;
                assert_eq!(event.data, b"def");
                Ok(())
            })
            .unwrap();
        assert_eq!(count, 1);
        assert!(!splitter.mid_event());
    }

    #[test]
    fn a_blank_line_of_cr_ends_the_event_before_its_lf_comes() {
        let mut splitter = SseSplitter::default();
        let mut count = 0;
        splitter
            .feed(b"data: a\r\n\r", |_| {
                count += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(count, 1);
        assert!(!splitter.mid_event());
        splitter.feed(b"\n", |_| panic!("nothing")).unwrap();
        assert!(!splitter.mid_event(), "the LF belongs to the event before");
    }

    #[test]
    fn an_endless_event_is_malformed() {
        let mut splitter = SseSplitter::default();
        let chunk = vec![b'x'; 64 * 1024];
        let fault = (0..17).find_map(|_| splitter.feed(&chunk, |_| Ok(())).err()).expect("bounded");
        assert_eq!(fault.kind, Kind::MalformedResponse);
    }

    #[test]
    fn blocks_join_to_the_stream_that_they_came_from() {
        let mut splitter = SseSplitter { begun: true, ..Default::default() };
        let stream = &STREAM.as_bytes()[3..];
        let (mut raw, mut events, mut bare) = (Vec::new(), 0, 0);
        for chunk in stream.chunks(7) {
            splitter
                .feed_blocks(chunk, |block, event| {
                    raw.extend_from_slice(block);
                    if event.is_some() {
                        events += 1
                    } else {
                        bare += 1
                    }
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(raw, stream);
        assert_eq!((events, bare), (4, 4));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        write_data(&mut out, b"{}");
        write_event(&mut out, "error", b"a\nb\r\nc\n");
        out.extend_from_slice(KEEP_ALIVE);
        out.extend_from_slice(DONE);
        assert!(out.starts_with(b"data: {}\n\nevent: error\ndata: a\ndata: b\n"));
        assert_eq!(split(&[&out]), [event("", "{}"), event("error", "a\nb\nc\n"), event("", "[DONE]")]);
    }

    #[test]
    fn an_error_event_follows_a_half_written_one_wherever_it_was_cut() {
        let whole = "event: x\r\ndata: {\"a\":1}\r\n\r\n";
        for cut in 0..whole.len() {
            let mut out = whole.as_bytes()[..cut].to_vec();
            out.extend_from_slice(PARTIAL_END);
            write_event(&mut out, "error", b"{}");
            assert_eq!(split(&[&out]).last(), Some(&event("error", "{}")), "cut at {cut}");
        }
    }
}
