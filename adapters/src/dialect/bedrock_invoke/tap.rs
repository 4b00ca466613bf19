//! Looks at an InvokeModel answer of any family that goes through untouched.
//!
//! Estimate per chunk: two CRCs, a copy out of base64 into a kept buffer, one pass of the cursor; no allocation once warm.

use super::{chunk, metrics};
use crate::dialect::bedrock::error::in_band;
use crate::dialect::{Seen, Tap, anthropic, bedrock_converse, tail};
use crate::fault::Fault;
use crate::frame::event_stream::{EventStreamSplitter, Frame};
use crate::frame::sse::SseEvent;
use crate::json::scan::{Cursor, Malformed};

#[derive(Default)]
pub(super) struct InvokeTap {
    splitter: EventStreamSplitter,
    scratch: Vec<u8>,
    look: Look,
}

/// What is seen, in the words of the family that the first bytes tell.
enum Look {
    Anthropic(anthropic::tap::Look),
    Nova(bedrock_converse::tap::Look),
    /// Any other, and all before the first bytes came.
    Other {
        seen: Seen,
        is_known: bool,
    },
}

impl Default for Look {
    fn default() -> Look {
        Look::Other { seen: Seen::default(), is_known: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Anthropic,
    Nova,
    Other,
}

/// Names at the top of an answer or a chunk, and whose they are; the first that stands there counts.
const FAMILIES: &[(&[u8], Family)] = &[
    (b"type", Family::Anthropic),
    (b"output", Family::Nova),
    (b"messageStart", Family::Nova),
    (b"contentBlockStart", Family::Nova),
    (b"contentBlockDelta", Family::Nova),
];

impl Tap for InvokeTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let InvokeTap { splitter, scratch, look } = self;
        let result = splitter.feed(bytes, |frame| look.frame(&frame, scratch));
        self.look.seen_mut().mid_event = self.splitter.mid_event();
        result
    }

    fn seen(&self) -> &Seen {
        match &self.look {
            Look::Anthropic(look) => &look.seen,
            Look::Nova(look) => &look.seen,
            Look::Other { seen, .. } => seen,
        }
    }

    fn whole(&mut self, body: &[u8]) {
        let family = family_of(body).unwrap_or(Family::Other);
        let mut seen = Seen::default();
        // A body that is broken is the client's to see: it goes through as it came.
        let is_whole = seen.whole(|seen| {
            let mut look = Look::of(family, std::mem::take(seen));
            let is_whole = look.whole(body).is_ok();
            *seen = std::mem::take(look.seen_mut());
            is_whole
        });
        seen.ended = is_whole && seen.finished;
        self.look = Look::of(family, seen);
    }

    fn tail(&mut self, end: &[u8]) {
        let Some(mut usage) = tail::object(end, b"\"usage\"") else { return };
        let (mut nova, mut other) = (bedrock_converse::tap::Look::default(), Seen::without_text());
        let is_read = nova.usage(&mut usage.clone()).is_ok() && metrics::look(&mut other, &mut usage).is_ok();
        let seen = self.look.seen_mut();
        seen.usage = nova.seen.usage.or(other.usage);
        seen.is_whole = is_read && seen.usage.is_some();
    }
}

impl Look {
    fn of(family: Family, seen: Seen) -> Look {
        match family {
            Family::Anthropic => Look::Anthropic(anthropic::tap::Look::with(seen)),
            Family::Nova => Look::Nova(bedrock_converse::tap::Look::with(seen)),
            Family::Other => Look::Other { seen, is_known: true },
        }
    }

    fn seen_mut(&mut self) -> &mut Seen {
        match self {
            Look::Anthropic(look) => &mut look.seen,
            Look::Nova(look) => &mut look.seen,
            Look::Other { seen, .. } => seen,
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, scratch: &mut Vec<u8>) -> Result<(), Fault> {
        if self.seen_mut().ended {
            return Ok(());
        }
        if let Some(fault) = in_band(frame) {
            self.seen_mut().fault = Some(fault);
            return Ok(());
        }
        chunk::read(frame.payload, scratch)?;
        self.chunk(scratch).map_err(Malformed::in_response)
    }

    fn chunk(&mut self, chunk: &[u8]) -> Result<(), Malformed> {
        if let Look::Other { is_known: false, .. } = self {
            let seen = std::mem::take(self.seen_mut());
            *self = Look::of(family_of(chunk)?, seen);
        }
        let mut cursor = Cursor::new(chunk);
        match self {
            Look::Anthropic(look) => look.event(SseEvent { event: "", data: chunk }),
            Look::Nova(look) => {
                cursor.object(|name, inner| if name == metrics::METRICS.as_bytes() { Ok(()) } else { look.event(name, inner) })
            }
            Look::Other { seen, .. } => {
                let before = seen.text_bytes;
                metrics::look(seen, &mut cursor)?;
                seen.event_count += u64::from(seen.text_bytes > before);
                if let Some(usage) = metrics::metrics(chunk)? {
                    // The last chunk of a family that has no other word for the end.
                    (seen.usage, seen.finished, seen.ended) = (Some(usage), true, true);
                }
                Ok(())
            }
        }
    }

    fn whole(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(body);
        match self {
            Look::Anthropic(look) => look.message(&mut cursor),
            Look::Nova(look) => look.answer(&mut cursor),
            Look::Other { seen, .. } => {
                metrics::look(seen, &mut cursor)?;
                seen.finished = true;
                Ok(())
            }
        }
    }
}

fn family_of(json: &[u8]) -> Result<Family, Malformed> {
    let mut found = None;
    Cursor::new(json).object(|key, _| {
        found = found.or_else(|| FAMILIES.iter().find(|row| row.0 == key).map(|row| row.1));
        Ok(())
    })?;
    Ok(found.unwrap_or(Family::Other))
}
