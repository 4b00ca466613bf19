//! Leaves out the one usage event that the gateway asked for and the client did not.
//!
//! Before the finish reason everything goes by untouched. From the read that holds it on, events go out whole: the tail of
//! an unfinished one is held (at most `TAIL_BYTES_MAX`), because it may be the one to leave out.

use ringway_adapters::frame::sse;
use smallvec::SmallVec;

use crate::downstream::{Downstream, Last, WriteEnd};
use crate::rt::Rt;

/// An event longer than this is no usage event and goes on as it comes.
const TAIL_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Strip {
    /// Tells the event to leave out.
    is_usage: fn(&[u8]) -> bool,
    tail: Vec<u8>,
}

impl Strip {
    pub(crate) fn new(is_usage: fn(&[u8]) -> bool) -> Strip {
        Strip { is_usage, tail: Vec::new() }
    }

    /// Writes `pieces`, which were looked at, behind `head`, but for a usage event.
    pub(crate) async fn forward<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        head: &[u8],
        pieces: &[&[u8]],
        finished: bool,
        last: Last,
    ) -> Result<(), WriteEnd> {
        if !finished && self.tail.is_empty() {
            return down.chunk(head, pieces, last).await;
        }
        let mut bytes = std::mem::take(&mut self.tail);
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        let (spans, end) = kept(&bytes, self.is_usage);
        let mut out: SmallVec<[&[u8]; 8]> = spans.iter().map(|span| &bytes[span.clone()]).collect();
        let hold = last == Last::No && bytes.len() - end <= TAIL_BYTES_MAX;
        if !hold && !(self.is_usage)(&bytes[end..]) {
            out.push(&bytes[end..]);
        }
        let result = if out.is_empty() && head.is_empty() && last == Last::No { Ok(()) } else { down.chunk(head, &out, last).await };
        drop(out);
        if hold {
            bytes.drain(..end);
            self.tail = bytes;
        }
        result
    }
}

/// Spans of whole events that stay, joined where they touch, and where the unfinished rest begins.
fn kept(bytes: &[u8], is_usage: fn(&[u8]) -> bool) -> (SmallVec<[std::ops::Range<usize>; 4]>, usize) {
    let mut spans: SmallVec<[std::ops::Range<usize>; 4]> = SmallVec::new();
    let mut keep = |begin: usize, end: usize| match spans.last_mut() {
        Some(span) if span.end == begin => span.end = end,
        _ if begin < end => spans.push(begin..end),
        _ => {}
    };
    let mut at = 0;
    loop {
        // Line ends in front may end an event that went out before: they are no part of the next one.
        let blank = bytes[at..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        keep(at, at + blank);
        at += blank;
        let Some(len) = sse::event_len(&bytes[at..]) else { break };
        if !is_usage(&bytes[at..at + len]) {
            keep(at, at + len);
        }
        at += len;
    }
    (spans, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_event_without_choices_is_left_out() {
        let stream = b"data: {\"choices\":[{\"x\":1}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"a\":1}}\r\n\r\ndata: [DONE]\n\ndata: {\"cho";
        let (spans, end) = kept(stream, |event| event.starts_with(b"data: {\"choices\":[],"));
        let kept: Vec<u8> = spans.iter().flat_map(|span| stream[span.clone()].to_vec()).collect();
        assert_eq!(kept, b"data: {\"choices\":[{\"x\":1}],\"usage\":null}\n\ndata: [DONE]\n\n");
        assert_eq!(&stream[end..], b"data: {\"cho");
    }

    #[test]
    fn the_line_end_of_the_event_before_stays() {
        let stream = b"\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
        let (spans, end) = kept(stream, |event| event.starts_with(b"data: {\"choices\":[],"));
        let kept: Vec<u8> = spans.iter().flat_map(|span| stream[span.clone()].to_vec()).collect();
        assert_eq!((&kept[..], end), (&b"\ndata: [DONE]\n\n"[..], stream.len()));
    }
}
