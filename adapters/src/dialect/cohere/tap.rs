//! Looks at a chat stream that goes through untouched, and at whole answers: chat of both forms, embeddings, rerank.
//!
//! Estimate per event: one pass of the cursor over its data and a copy of its text, no allocation.

use super::stream_decode::Splitter;
use super::usage::Figures;
use super::{BROKEN, error};
use crate::dialect::{Seen, Tap, tail};
use crate::fault::Fault;
use crate::json::scan::{Cursor, Malformed, Type};

#[derive(Default)]
pub(super) struct CohereTap {
    splitter: Splitter,
    look: Look,
}

#[derive(Default)]
struct Look {
    seen: Seen,
    figures: Figures,
}

impl Tap for CohereTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let CohereTap { splitter, look } = self;
        let result = splitter.feed(bytes, |data| look.event(data).map_err(Malformed::in_response));
        look.seen.mid_event = splitter.mid_event();
        result
    }

    fn seen(&self) -> &Seen {
        &self.look.seen
    }

    fn whole(&mut self, body: &[u8]) {
        let is_whole = self.look.seen.whole(|seen| {
            let mut look = Look { seen: std::mem::take(seen), figures: Figures::default() };
            let is_whole = look.object(&mut Cursor::new(body)).is_ok();
            *seen = look.seen;
            is_whole
        });
        self.look.seen.ended = is_whole && self.look.seen.fault.is_none();
    }

    fn tail(&mut self, end: &[u8]) {
        let seen = &mut self.look.seen;
        for key in [&b"\"usage\""[..], b"\"meta\""] {
            let mut figures = Figures::default();
            if let Some(mut value) = tail::object(end, key)
                && figures.scan(&mut value).is_ok()
                && let Some(usage) = figures.usage()
            {
                seen.usage = Some(usage);
            }
        }
        seen.is_whole = seen.usage.is_some();
    }
}

impl Look {
    fn event(&mut self, data: &[u8]) -> Result<(), Malformed> {
        if self.seen.ended || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let before = self.seen.text_bytes;
        let is_last = self.object(&mut Cursor::new(data))?;
        self.seen.event_count += u64::from(self.seen.text_bytes > before);
        if is_last && self.seen.fault.is_none() {
            (self.seen.ended, self.seen.finished) = (true, true);
        }
        Ok(())
    }

    /// An event or a whole answer: they hold the same members at different depths. `true` where the event ends a stream.
    fn object(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
        let (mut is_last, mut is_generation, mut text) = (false, None, None);
        cursor.object(|key, value| {
            match key {
                b"type" => is_last = value.raw_string()? == Some(b"message-end"),
                b"event_type" => {
                    let word = value.raw_string()?;
                    is_last = word == Some(b"stream-end");
                    is_generation = Some(word == Some(b"text-generation"));
                }
                b"delta" | b"response" => drop(self.object(value)?),
                b"message" => self.message(value)?,
                // v1's text.
                b"text" => text = value.raw_string()?,
                b"tool_calls" => self.calls(value)?,
                b"usage" | b"meta" => self.usage(value)?,
                b"finish_reason" => self.finish(value)?,
                b"error" => self.error(value)?,
                _ => {}
            }
            Ok(())
        })?;
        // The whole answer, in the last event too, repeats what came.
        if let Some(text) = text.filter(|_| is_generation.unwrap_or(self.seen.text_bytes == 0)) {
            self.seen.take_raw(text);
        }
        Ok(is_last)
    }

    /// The message of an answer, of an event, or the text of an error.
    fn message(&mut self, message: &mut Cursor<'_>) -> Result<(), Malformed> {
        if message.peek_type()? != Type::Object {
            return Ok(());
        }
        message.object(|key, value| {
            match key {
                b"content" => match value.peek_type()? {
                    Type::Array => value.array(|part| self.part(part))?,
                    Type::String => drop(self.seen.take_string(value)?),
                    _ => self.part(value)?,
                },
                b"tool_plan" => drop(self.seen.take_string(value)?),
                b"tool_calls" => self.calls(value)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn part(&mut self, part: &mut Cursor<'_>) -> Result<(), Malformed> {
        part.object(|key, value| {
            if matches!(key, b"text" | b"thinking") {
                self.seen.take_string(value)?;
            }
            Ok(())
        })
    }

    fn calls(&mut self, calls: &mut Cursor<'_>) -> Result<(), Malformed> {
        match calls.peek_type()? {
            Type::Array => calls.array(|call| self.call(call)),
            _ => self.call(calls),
        }
    }

    /// v1's call has its members beside each other, and `parameters` for arguments.
    fn call(&mut self, call: &mut Cursor<'_>) -> Result<(), Malformed> {
        call.object(|key, value| {
            match key {
                b"function" => self.call(value)?,
                b"name" | b"arguments" => drop(self.seen.take_string(value)?),
                b"parameters" => drop(self.seen.take_raw(value.raw()?)),
                _ => {}
            }
            Ok(())
        })
    }

    fn usage(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        self.figures.scan(value)?;
        self.seen.usage = self.figures.usage().or(self.seen.usage);
        Ok(())
    }

    fn finish(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        let Some(word) = value.string()? else { return Ok(()) };
        if BROKEN.contains(&word.as_ref()) {
            self.seen.fault.get_or_insert_with(|| error::in_band(None, &word));
        } else {
            self.seen.finished = true;
        }
        Ok(())
    }

    fn error(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        if value.peek_type()? == Type::String {
            let message = value.string()?;
            self.seen.fault = Some(error::in_band(message.as_deref(), "ERROR"));
        }
        Ok(())
    }
}
