//! Looks at a Messages stream that goes through untouched.
//!
//! Estimate per event: one pass of the cursor over its data and a copy of its text, no allocation.

use super::error;
use super::usage::{COMPACTION, Compacted, Counts, GROUPS, ITERATIONS};
use crate::dialect::{Seen, Tap, tail};
use crate::fault::Fault;
use crate::frame::sse::{SseEvent, SseSplitter};
use crate::json::scan::{Cursor, Malformed};
use crate::usage::SERVICE_TIER;

#[derive(Default)]
pub(super) struct AnthropicTap {
    splitter: SseSplitter,
    look: Look,
}

#[derive(Default)]
pub(in crate::dialect) struct Look {
    pub(in crate::dialect) seen: Seen,
    counts: Counts,
}

impl Tap for AnthropicTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let AnthropicTap { splitter, look } = self;
        let result = splitter.feed(bytes, |event| look.event(event).map_err(Malformed::in_response));
        look.seen.mid_event = splitter.mid_event();
        result
    }

    fn seen(&self) -> &Seen {
        &self.look.seen
    }

    fn whole(&mut self, body: &[u8]) {
        // A body that is broken is the client's to see: it goes through as it came.
        let is_whole = self.look.seen.whole(|seen| {
            let mut look = Look { seen: std::mem::take(seen), counts: Counts::default() };
            let is_whole = look.message(&mut Cursor::new(body)).is_ok();
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

    pub(in crate::dialect) fn event(&mut self, event: SseEvent<'_>) -> Result<(), Malformed> {
        if self.seen.ended || event.data == b"[DONE]" {
            return Ok(());
        }
        let mut cursor = Cursor::new(event.data);
        // Some proxies drop the event's name; the data's type says the same.
        let name = if event.event.is_empty() { type_of(event.data)? } else { event.event.as_bytes() };
        match name {
            b"content_block_delta" => self.delta(&mut cursor),
            b"content_block_start" => cursor.object(|key, value| {
                if key == b"content_block" {
                    let bytes = self.block(value)?;
                    self.seen.event_count += u64::from(bytes > 0);
                }
                Ok(())
            }),
            b"message_start" | b"message_delta" => self.message(&mut cursor),
            b"message_stop" => {
                self.seen.ended = true;
                Ok(())
            }
            b"error" => self.error(&mut cursor),
            _ => Ok(()),
        }
    }

    fn delta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let before = self.seen.text_bytes;
        cursor.object(|key, value| {
            if key != b"delta" {
                return Ok(());
            }
            value.object(|key, value| {
                if matches!(key, b"text" | b"thinking" | b"partial_json") {
                    self.seen.take_string(value)?;
                }
                Ok(())
            })
        })?;
        self.seen.event_count += u64::from(self.seen.text_bytes > before);
        Ok(())
    }

    /// Bytes of generated text in the content block ahead. A stream's begins empty, but for the name of the tool it calls.
    fn block(&mut self, block: &mut Cursor<'_>) -> Result<u64, Malformed> {
        let before = self.seen.text_bytes;
        let (mut kind, mut name, mut input): (&[u8], _, _) = (b"", None, None);
        block.object(|key, value| {
            match key {
                b"type" => kind = value.raw_string()?.unwrap_or_default(),
                b"name" => name = value.raw_string()?,
                b"input" => input = Some(value.raw()?),
                b"text" | b"thinking" => drop(self.seen.take_string(value)?),
                _ => {}
            }
            Ok(())
        })?;
        if kind == b"tool_use" {
            // A stream's input begins as an empty object that its deltas replace.
            let pieces = [name, input.filter(|input| *input != b"{}")];
            for raw in pieces.into_iter().flatten() {
                self.seen.take_raw(raw);
            }
        }
        Ok(self.seen.text_bytes - before)
    }

    /// A whole message, `message_start` or `message_delta`: all hold a usage and a stop reason somewhere.
    pub(in crate::dialect) fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let mut is_error = false;
        let copy = cursor.clone();
        cursor.object(|key, value| match key {
            b"message" | b"delta" => self.message(value),
            b"usage" => self.usage(value),
            b"content" => value.array(|block| self.block(block).map(drop)),
            b"stop_reason" => {
                self.seen.finished |= value.raw_string()?.is_some();
                Ok(())
            }
            b"error" => {
                is_error = true;
                Ok(())
            }
            _ => Ok(()),
        })?;
        if is_error {
            self.error(&mut copy.clone())?;
        }
        Ok(())
    }

    fn usage(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let mut is_some = false;
        cursor.object(|key, value| {
            is_some = true;
            match key {
                _ if key == SERVICE_TIER.as_bytes() => self.seen.take_tier(value),
                _ if key == ITERATIONS.as_bytes() => compacted(value).map(|sum| self.counts.compacted = sum),
                _ => note(&mut self.counts, key, value),
            }
        })?;
        if is_some {
            self.seen.usage = Some(self.counts.usage());
        }
        Ok(())
    }

    fn error(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let (mut word, mut message) = (None, None);
        cursor.object(|key, value| {
            if key != b"error" {
                return Ok(());
            }
            value.object(|key, value| {
                match key {
                    b"type" => word = value.string()?,
                    b"message" => message = value.string()?,
                    _ => {}
                }
                Ok(())
            })
        })?;
        self.seen.fault = Some(error::in_band_of(word.as_deref(), message.as_deref()));
        Ok(())
    }
}

fn compacted(iterations: &mut Cursor<'_>) -> Result<Compacted, Malformed> {
    let mut all = Compacted::default();
    iterations.array(|iteration| {
        let (mut counts, mut is_compaction) = (Counts::default(), false);
        iteration.object(|key, value| {
            if key == b"type" {
                is_compaction = value.raw_string()? == Some(COMPACTION.as_bytes());
                return Ok(());
            }
            note(&mut counts, key, value)
        })?;
        if is_compaction {
            all.add(&counts);
        }
        Ok(())
    })?;
    Ok(all)
}

/// A count, or an object of counts.
fn note(counts: &mut Counts, key: &[u8], value: &mut Cursor<'_>) -> Result<(), Malformed> {
    if let Some(count) = counts.field(b"", key) {
        *count = value.u64()?.unwrap_or(*count);
    } else if let Some(group) = GROUPS.iter().find(|group| group.as_bytes() == key) {
        value.object(|key, value| {
            if let Some(count) = counts.field(group.as_bytes(), key) {
                *count = value.u64()?.unwrap_or(*count);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn type_of(data: &[u8]) -> Result<&[u8], Malformed> {
    let mut name: &[u8] = b"";
    Cursor::new(data).object(|key, value| {
        if key == b"type" {
            name = value.raw_string()?.unwrap_or_default();
        }
        Ok(())
    })?;
    Ok(name)
}
