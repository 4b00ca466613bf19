//! An InvokeModelWithResponseStream → events.
//!
//! Estimate per chunk: two CRCs and a copy out of base64 into a kept buffer, then what Anthropic's decoder takes.

use super::chunk;
use crate::dialect::bedrock::error::in_band;
use crate::dialect::{StreamDecoder, anthropic, bedrock_converse};
use crate::event::Event;
use crate::fault::{Fault, Kind};
use crate::frame::event_stream::{EventStreamSplitter, Frame};
use crate::json::tree::{Json, Parser};

pub(super) struct Decoder {
    splitter: EventStreamSplitter,
    body: Body,
}

/// What stands inside the chunks.
struct Body {
    scratch: Vec<u8>,
    family: Option<Family>,
    anthropic: anthropic::stream_decode::Decoder,
    nova: bedrock_converse::stream_decode::State,
    parser: Parser,
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Anthropic,
    Nova,
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        let body = Body {
            scratch: Vec::new(),
            family: None,
            anthropic: anthropic::stream_decode::Decoder::new(),
            nova: Default::default(),
            parser: Parser::new(),
            is_over: false,
        };
        Decoder { splitter: EventStreamSplitter::default(), body }
    }
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let Decoder { splitter, body } = self;
        splitter.feed(bytes, |frame| body.frame(&frame, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.body.is_over {
            return Ok(());
        }
        if self.splitter.mid_event() && !matches!(events.last(), Some(Event::End)) {
            return Err(Fault::new(Kind::UpstreamCut, "stream ended inside an event frame"));
        }
        match self.body.family {
            Some(Family::Nova) => self.body.nova.finish(events),
            _ => self.body.anthropic.finish(events),
        }
    }
}

impl Body {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        if let Some(fault) = in_band(frame) {
            self.is_over = true;
            events.push(Event::Fault(fault));
            return Ok(());
        }
        chunk::read(frame.payload, &mut self.scratch)?;
        let family = match self.family {
            Some(family) => family,
            None => *self.family.insert(family_of(&self.scratch, &mut self.parser)?),
        };
        match family {
            Family::Anthropic => self.anthropic.data(&self.scratch, events),
            Family::Nova => {
                let nova = &mut self.nova;
                let applied = self.parser.with(&self.scratch, |json| {
                    let mut named = json.object().into_iter().flatten();
                    named.try_for_each(|(name, inner)| nova.apply(name, inner, events))
                });
                applied.unwrap_or_else(|_| Err(malformed("a chunk is not valid JSON")))
            }
        }
    }
}

fn family_of(chunk: &[u8], parser: &mut Parser) -> Result<Family, Fault> {
    let is = |json: Json<'_, '_>| match () {
        () if json.get_str("type").is_some() => Some(Family::Anthropic),
        () if ["messageStart", "contentBlockStart", "contentBlockDelta"].iter().any(|name| json.get(name).is_some()) => Some(Family::Nova),
        () => None,
    };
    let family = parser.with(chunk, is).map_err(|_| malformed("a chunk is not valid JSON"))?;
    family.ok_or_else(|| malformed("a chunk is of a model family whose answers are not translated"))
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}
