//! Looks at a ConverseStream that goes through untouched.
//!
//! Estimate per frame: two CRCs, one pass of the cursor over its payload and a copy of its text, no allocation.

use super::usage::Counts;
use crate::dialect::bedrock::error::in_band;
use crate::dialect::{Seen, Tap, tail};
use crate::fault::Fault;
use crate::frame::event_stream::{EventStreamSplitter, Frame, Message};
use crate::json::scan::{Cursor, Malformed, Type};

#[derive(Default)]
pub(super) struct ConverseTap {
    splitter: EventStreamSplitter,
    look: Look,
}

/// What one answer comes to.
#[derive(Default)]
pub(in crate::dialect) struct Look {
    pub(in crate::dialect) seen: Seen,
    has_metadata: bool,
}

impl Tap for ConverseTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let ConverseTap { splitter, look } = self;
        let result = splitter.feed(bytes, |frame| look.frame(&frame));
        look.seen.mid_event = splitter.mid_event();
        result
    }

    fn seen(&self) -> &Seen {
        &self.look.seen
    }

    fn whole(&mut self, body: &[u8]) {
        // A body that is broken is the client's to see: it goes through as it came.
        let is_whole = self.look.seen.whole(|seen| {
            let mut look = Look { seen: std::mem::take(seen), has_metadata: false };
            let is_whole = look.answer(&mut Cursor::new(body)).is_ok();
            *seen = look.seen;
            is_whole
        });
        self.look.seen.ended = is_whole && self.look.seen.finished;
    }

    fn tail(&mut self, end: &[u8]) {
        if let Some(mut usage) = tail::object(end, b"\"usage\"") {
            let is_read = self.look.usage(&mut usage).is_ok();
            self.look.seen.is_whole = is_read && self.look.seen.usage.is_some();
        }
    }
}

impl Look {
    pub(in crate::dialect) fn with(seen: Seen) -> Look {
        Look { seen, ..Look::default() }
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        if self.seen.ended {
            return Ok(());
        }
        match frame.message() {
            Message::Event(name) => self.event(name.as_bytes(), &mut Cursor::new(frame.payload)).map_err(Malformed::in_response),
            _ => {
                self.seen.fault = in_band(frame);
                Ok(())
            }
        }
    }

    /// One event by its name.
    pub(in crate::dialect) fn event(&mut self, name: &[u8], payload: &mut Cursor<'_>) -> Result<(), Malformed> {
        match name {
            b"contentBlockDelta" | b"contentBlockStart" => {
                let before = self.seen.text_bytes;
                payload.object(|key, value| if matches!(key, b"delta" | b"start") { self.block(value) } else { Ok(()) })?;
                self.seen.event_count += u64::from(self.seen.text_bytes > before);
                Ok(())
            }
            b"messageStop" => self.answer(payload),
            b"metadata" => {
                self.has_metadata = true;
                self.answer(payload)
            }
            _ => payload.skip().map(drop),
        }?;
        self.seen.ended |= self.seen.finished && self.has_metadata;
        Ok(())
    }

    /// A whole answer, `messageStop` or `metadata`: each holds a part of what is looked for.
    pub(in crate::dialect) fn answer(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.object(|key, value| match key {
            b"output" => value.object(|key, value| if key == b"message" { self.message(value) } else { Ok(()) }),
            b"usage" => self.usage(value),
            b"stopReason" => {
                self.seen.finished |= value.raw_string()?.is_some();
                Ok(())
            }
            b"serviceTier" => value.object(|key, value| if key == b"type" { self.seen.take_tier(value) } else { Ok(()) }),
            _ => Ok(()),
        })
    }

    fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.object(|key, value| if key == b"content" { value.array(|block| self.block(block)) } else { Ok(()) })
    }

    /// A content block, its start or a delta: generated text stands under one of these names, however deep.
    fn block(&mut self, block: &mut Cursor<'_>) -> Result<(), Malformed> {
        block.object(|key, value| match key {
            b"text" | b"name" => self.seen.take_string(value).map(drop),
            // A stream's is text cut anywhere, a whole answer's is a value.
            b"input" => match value.peek_type()? {
                Type::String => self.seen.take_string(value).map(drop),
                _ => {
                    let raw = value.raw()?;
                    if raw != b"{}" {
                        self.seen.take_raw(raw);
                    }
                    Ok(())
                }
            },
            b"toolUse" | b"reasoningContent" | b"reasoningText" => self.block(value),
            b"citationsContent" => {
                value.object(|key, value| if key == b"content" { value.array(|piece| self.block(piece)) } else { Ok(()) })
            }
            _ => Ok(()),
        })
    }

    pub(in crate::dialect) fn usage(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let (mut counts, mut is_some) = (Counts::default(), false);
        cursor.object(|key, value| {
            if let Some(count) = counts.field(key) {
                is_some = true;
                *count = value.u64()?.unwrap_or(*count);
            }
            Ok(())
        })?;
        if is_some {
            self.seen.usage = Some(counts.usage());
        }
        Ok(())
    }
}
