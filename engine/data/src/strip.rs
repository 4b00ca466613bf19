//! Events of a stream that go out whole: to leave one of them out, or because half of one could not be ended.
//!
//! To leave out the one usage event that the gateway asked for and the client did not: before the finish reason everything goes by
//! untouched. From the read that holds it on, events go out whole: the tail of an unfinished one is held (at most `TAIL_BYTES_MAX`),
//! because it may be the one to leave out. Binary messages and the elements of an array go out whole from the first one on: where a
//! stream breaks inside one, the client has nothing of it, and the one error event stands where the next would. One that is too long to
//! hold is malformed, which ends the stream in the same way.

use ringway_adapters::frame::Framing;
use ringway_adapters::frame::event_stream::FRAME_BYTES_MAX;
use ringway_adapters::frame::sse::EVENT_BYTES_MAX;
use smallvec::SmallVec;

use crate::downstream::{Downstream, Last, WriteEnd};
use crate::rt::Rt;

/// An event longer than this is no usage event and goes on as it comes.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// The longest unfinished event of a framing that is held.
fn held_bytes_max(framing: Framing) -> usize {
    match framing {
        // A longer one is malformed. What stands between two elements is held with the second.
        Framing::EventStream => FRAME_BYTES_MAX,
        Framing::JsonArray => EVENT_BYTES_MAX + TAIL_BYTES_MAX,
        _ => TAIL_BYTES_MAX,
    }
}

pub(crate) struct Strip {
    framing: Framing,
    /// Tells the event to leave out.
    is_left_out: fn(&[u8]) -> bool,
    from: From,
    tail: Vec<u8>,
    /// The last byte that went out ended an event.
    at_boundary: bool,
}

/// From when on events go out whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Start,
    Finish,
    /// No more: an event went out in parts, and where the next one begins is not known.
    Never,
}

impl Strip {
    /// Leaves out the event that `is_usage` tells.
    pub(crate) fn usage(framing: Framing, is_usage: fn(&[u8]) -> bool) -> Strip {
        Strip { framing, is_left_out: is_usage, from: From::Finish, tail: Vec::new(), at_boundary: true }
    }

    /// Of a framing whose half-written events cannot be ended.
    pub(crate) fn whole(framing: Framing) -> Option<Strip> {
        let strip = Strip { framing, is_left_out: |_| false, from: From::Start, tail: Vec::new(), at_boundary: true };
        framing.partial_end().is_none().then_some(strip)
    }

    /// Where events go out whole: whether the last one did. `None` where the last piece tells it.
    pub(crate) fn at_boundary(&self) -> Option<bool> {
        (self.from != From::Finish).then_some(self.at_boundary)
    }

    /// Writes `pieces`, which were looked at, behind `head`, but for an event that is left out.
    pub(crate) async fn forward<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        head: &[u8],
        pieces: &[&[u8]],
        finished: bool,
        last: Last,
    ) -> Result<(), WriteEnd> {
        if self.from == From::Never || (!finished && self.tail.is_empty() && self.from == From::Finish) {
            return down.chunk(head, pieces, last).await;
        }
        let mut bytes = std::mem::take(&mut self.tail);
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        let (spans, end) = kept(&bytes, self.framing, self.is_left_out);
        let mut out: SmallVec<[&[u8]; 8]> = spans.iter().map(|span| &bytes[span.clone()]).collect();
        let hold = last == Last::No && bytes.len() - end <= held_bytes_max(self.framing);
        if !hold && !(self.is_left_out)(&bytes[end..]) {
            out.push(&bytes[end..]);
            self.at_boundary = end == bytes.len();
            if self.from == From::Start && !self.at_boundary {
                self.from = From::Never;
            }
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
fn kept(bytes: &[u8], framing: Framing, is_left_out: fn(&[u8]) -> bool) -> (SmallVec<[std::ops::Range<usize>; 4]>, usize) {
    let mut spans: SmallVec<[std::ops::Range<usize>; 4]> = SmallVec::new();
    let mut keep = |begin: usize, end: usize| match spans.last_mut() {
        Some(span) if span.end == begin => span.end = end,
        _ if begin < end => spans.push(begin..end),
        _ => {}
    };
    let mut at = 0;
    loop {
        if framing == Framing::Sse {
            // Line ends in front may end an event that went out before: they are no part of the next one.
            let blank = bytes[at..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            keep(at, at + blank);
            at += blank;
        }
        let Some(len) = framing.event_len(&bytes[at..]).filter(|len| *len > 0) else { break };
        if !is_left_out(&bytes[at..at + len]) {
            keep(at, at + len);
        }
        at += len;
    }
    (spans, at)
}

#[cfg(test)]
mod tests {
    use ringway_adapters::frame::event_stream::write_frame;

    use super::*;

    #[test]
    fn only_the_event_without_choices_is_left_out() {
        let stream = b"data: {\"choices\":[{\"x\":1}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"a\":1}}\r\n\r\ndata: [DONE]\n\ndata: {\"cho";
        let (spans, end) = kept(stream, Framing::Sse, |event| event.starts_with(b"data: {\"choices\":[],"));
        let kept: Vec<u8> = spans.iter().flat_map(|span| stream[span.clone()].to_vec()).collect();
        assert_eq!(kept, b"data: {\"choices\":[{\"x\":1}],\"usage\":null}\n\ndata: [DONE]\n\n");
        assert_eq!(&stream[end..], b"data: {\"cho");
    }

    #[test]
    fn messages_go_out_whole() {
        let mut stream = Vec::new();
        write_frame(&mut stream, &[(":event-type", "chunk")], b"{}");
        let whole = stream.len();
        stream.extend_from_within(..5);
        let (spans, end) = kept(&stream, Framing::EventStream, |_| false);
        assert_eq!((spans.len(), spans[0].clone(), end), (1, 0..whole, whole));
    }

    #[test]
    fn the_line_end_of_the_event_before_stays() {
        let stream = b"\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
        let (spans, end) = kept(stream, Framing::Sse, |event| event.starts_with(b"data: {\"choices\":[],"));
        let kept: Vec<u8> = spans.iter().flat_map(|span| stream[span.clone()].to_vec()).collect();
        assert_eq!((&kept[..], end), (&b"\ndata: [DONE]\n\n"[..], stream.len()));
    }
}
