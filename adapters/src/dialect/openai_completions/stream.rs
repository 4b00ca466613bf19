//! Chunks of a stream → events.

use super::answer::State;
use crate::dialect::StreamDecoder;
use crate::event::Event;
use crate::fault::{Fault, Kind};
use crate::frame::sse::SseSplitter;

/// The decoder of one stream.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    splitter: SseSplitter,
    state: State,
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |event| take(state, event.data, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.finish(|event| take(state, event.data, events)).map_err(|_| cut())?;
        if self.state.is_over { Ok(()) } else { end(&mut self.state, events) }
    }
}

fn cut() -> Fault {
    Fault::new(Kind::UpstreamCut, "the provider's stream ended before its answer was complete")
}

fn take(state: &mut State, data: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    if state.is_over || data.is_empty() {
        return Ok(());
    }
    if data.trim_ascii() == b"[DONE]" { end(state, events) } else { state.chunk(data, events) }
}

fn end(state: &mut State, events: &mut Vec<Event>) -> Result<(), Fault> {
    if !state.is_complete() {
        return Err(cut());
    }
    state.end(events);
    Ok(())
}
