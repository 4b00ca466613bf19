//! Answers, whole and streamed → events.

use super::line::{State, malformed};
use crate::dialect::StreamDecoder;
use crate::event::Event;
use crate::fault::{Fault, Kind};
use crate::frame::ndjson::NdjsonSplitter;

/// A whole answer is the one line of a stream that holds all.
pub(super) fn decode_answer(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let mut state = State::default();
    state.line(body, events)?;
    if state.is_over { Ok(()) } else { Err(malformed("the answer is not done")) }
}

#[derive(Debug, Default)]
pub(super) struct Decoder {
    splitter: NdjsonSplitter,
    state: State,
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |line| state.line(line, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        // A line without its end counts if it is whole; a torn one is the cut that is reported below.
        let _torn = self.splitter.finish(|line| state.line(line, events));
        if state.is_over { Ok(()) } else { Err(Fault::new(Kind::UpstreamCut, "stream ended before a line that says done")) }
    }
}
