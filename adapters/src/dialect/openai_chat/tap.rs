//! Looks at a chat stream that is forwarded untouched.
//!
//! Estimate: one pass over the bytes of an event, which skips strings with `memchr`; no allocation for an event that is
//! not cut.

use super::answer::CHOICES_MAX;
use super::usage;
use crate::dialect::openai::{error, length};
use crate::dialect::{Seen, Tap};
use crate::fault::Fault;
use crate::frame::sse::SseSplitter;
use crate::json::node;
use crate::json::scan::{Cursor, Malformed, Type};

/// The tap of one stream or whole body.
#[derive(Debug, Default)]
pub(super) struct ChatTap {
    splitter: SseSplitter,
    look: Look,
}

#[derive(Debug, Default)]
struct Look {
    seen: Seen,
    /// How far each choice is, by its index.
    choices: Vec<u8>,
}

impl Tap for ChatTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let look = &mut self.look;
        self.splitter.feed(bytes, |event| look.event(event.data).map_err(Malformed::in_response))?;
        self.look.seen.mid_event = self.splitter.mid_event();
        Ok(())
    }

    fn seen(&self) -> &Seen {
        &self.look.seen
    }

    fn whole(&mut self, body: &[u8]) {
        let well_formed = self.look.chunk(body).is_ok();
        self.look.seen.ended = well_formed && self.look.seen.fault.is_none();
    }
}

impl Look {
    fn event(&mut self, data: &[u8]) -> Result<(), Malformed> {
        if data.trim_ascii() == b"[DONE]" {
            self.seen.ended = true;
        } else if !data.is_empty() {
            self.chunk(data)?;
        }
        Ok(())
    }

    /// One chunk, or a whole body: they differ in `delta` and `message` alone.
    fn chunk(&mut self, json: &[u8]) -> Result<(), Malformed> {
        let mut bytes = 0;
        Cursor::new(json).object(|key, value| {
            match key {
                b"choices" => value.array(|choice| {
                    bytes += self.choice(choice)?;
                    Ok(())
                })?,
                b"usage" => self.seen.usage = usage::scan(value)?.or(self.seen.usage),
                b"error" if value.peek_type()? != Type::Null => {
                    if let Ok(error) = node::parse(value.raw()?) {
                        self.seen.fault = Some(error::in_band(error));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        self.seen.event_count += u64::from(bytes > 0);
        self.seen.text_bytes += bytes;
        Ok(())
    }

    /// Bytes of content in the choice ahead.
    fn choice(&mut self, choice: &mut Cursor<'_>) -> Result<u64, Malformed> {
        let (mut index, mut finished, mut bytes) = (0, false, 0);
        choice.object(|key, value| {
            match key {
                b"index" => index = value.u64()?.unwrap_or(0),
                b"delta" | b"message" => bytes += content(value)?,
                b"finish_reason" => finished = value.peek_type()? == Type::String,
                _ => {}
            }
            Ok(())
        })?;
        if index < CHOICES_MAX as u64 {
            let index = index as usize;
            if self.choices.len() <= index {
                self.choices.resize(index + 1, UNSEEN);
            }
            let state = &mut self.choices[index];
            *state = (*state).max(if finished { FINISHED } else { BEGUN });
        }
        self.seen.finished = self.choices.contains(&FINISHED) && !self.choices.contains(&BEGUN);
        Ok(bytes)
    }
}

const UNSEEN: u8 = 0;
const BEGUN: u8 = 1;
const FINISHED: u8 = 2;

fn content(delta: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut bytes = 0;
    delta.object(|key, value| {
        match key {
            b"content" | b"refusal" | b"reasoning_content" | b"reasoning" => bytes += length::text(value)?,
            b"tool_calls" => value.array(|call| {
                call.object(|key, value| {
                    if matches!(key, b"function" | b"custom") {
                        bytes += arguments(value)?;
                    }
                    Ok(())
                })
            })?,
            b"function_call" => bytes += arguments(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(bytes)
}

fn arguments(function: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut bytes = 0;
    function.object(|key, value| {
        if matches!(key, b"arguments" | b"input" | b"name") {
            bytes += length::text(value)?;
        }
        Ok(())
    })?;
    Ok(bytes)
}
