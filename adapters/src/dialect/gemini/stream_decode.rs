//! A stream of generateContent chunks → events.
//!
//! Estimate per chunk: its bytes are copied once for the parser, whose buffers are kept; its text once, and its usage.

use super::chunk::{Answer, Texts, malformed};
use super::split::Splitter;
use crate::dialect::StreamDecoder;
use crate::event::Event;
use crate::fault::{Fault, Kind};
use crate::json::tree::Parser;

pub(super) struct Decoder {
    splitter: Splitter,
    parser: Parser,
    answer: Answer,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { splitter: Splitter::default(), parser: Parser::new(), answer: Answer::default() }
    }
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let Decoder { splitter, parser, answer } = self;
        splitter.feed(bytes, |chunk| apply(chunk, parser, answer, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Decoder { splitter, parser, answer } = self;
        // A chunk without its blank line counts if it is whole; a torn one is the cut that is reported below.
        let torn = splitter.finish(|chunk| apply(chunk, parser, answer, events));
        if answer.is_over {
            return Ok(());
        }
        if torn.is_ok() && !splitter.mid_event() && answer.is_complete() {
            answer.end(events);
            return Ok(());
        }
        let missing = if answer.is_complete() { "its array was closed" } else { "a finishReason" };
        Err(Fault::new(Kind::UpstreamCut, format!("stream ended before {missing}")))
    }
}

fn apply(chunk: &[u8], parser: &mut Parser, answer: &mut Answer, events: &mut Vec<Event>) -> Result<(), Fault> {
    if chunk.is_empty() || chunk == b"[DONE]" {
        return Ok(());
    }
    parser.with(chunk, |json| answer.apply(json, Texts::Joined, events)).unwrap_or_else(|_| Err(malformed("a chunk is not valid JSON")))
}
