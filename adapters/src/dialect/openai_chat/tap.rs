//! Looks at a chat stream that is forwarded untouched.
//!
//! Estimate: one pass over the bytes of an event, which skips strings with `memchr`, and a copy of its text; no allocation
//! for an event that is not cut.

use smallvec::SmallVec;

use super::answer::CHOICES_MAX;
use super::usage;
use crate::dialect::openai::error;
use crate::dialect::{Seen, Tap, tail};
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
    choices: SmallVec<[u8; CHOICES_INLINE]>,
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
        let well_formed = self.look.seen.whole(|seen| {
            let mut look = Look { seen: std::mem::take(seen), choices: SmallVec::new() };
            let well_formed = look.chunk(body).is_ok();
            *seen = look.seen;
            well_formed
        });
        self.look.seen.ended = well_formed && self.look.seen.fault.is_none();
    }

    fn tail(&mut self, end: &[u8]) {
        let seen = &mut self.look.seen;
        seen.usage = tail::object(end, b"\"usage\"").and_then(|mut value| usage::scan(&mut value).ok()?);
        seen.tier = tail::tier(end);
        seen.is_whole = seen.usage.is_some();
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

    /// One chunk, or a whole body: they differ in `delta` and `message` alone. Images and embeddings come in `data`.
    fn chunk(&mut self, json: &[u8]) -> Result<(), Malformed> {
        let mut bytes = 0;
        Cursor::new(json).object(|key, value| {
            match key {
                b"choices" => value.array(|choice| {
                    bytes += self.choice(choice)?;
                    Ok(())
                })?,
                b"usage" => self.usage(value)?,
                b"service_tier" => self.seen.take_tier(value)?,
                b"error" if value.peek_type()? != Type::Null => {
                    if let Ok(error) = node::parse(value.raw()?) {
                        self.seen.fault = Some(error::in_band(error));
                    }
                }
                b"data" => value.array(|entry| {
                    self.seen.images += is_image(entry)?;
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        if let Some(usage) = &mut self.seen.usage {
            usage.searches = usage.searches.max(self.seen.searches);
            usage.images = usage.images.max(self.seen.images);
        }
        self.seen.event_count += u64::from(bytes > 0);
        Ok(())
    }

    fn usage(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        if let Some(usage) = usage::scan(value)? {
            self.seen.usage = Some(usage);
        }
        Ok(())
    }

    /// Bytes of content in the choice ahead.
    fn choice(&mut self, choice: &mut Cursor<'_>) -> Result<u64, Malformed> {
        let (mut index, mut finished, mut bytes) = (0, false, 0);
        choice.object(|key, value| {
            match key {
                b"index" => index = value.u64()?.unwrap_or(0),
                b"delta" | b"message" => bytes += content(&mut self.seen, value)?,
                // The older completions.
                b"text" => bytes += self.seen.take_string(value)?,
                b"finish_reason" => finished = value.peek_type()? == Type::String,
                // Moonshot's streams.
                b"usage" => self.usage(value)?,
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

/// Choices that need no allocation: as many as a vector's own size holds.
const CHOICES_INLINE: usize = 16;

const UNSEEN: u8 = 0;
const BEGUN: u8 = 1;
const FINISHED: u8 = 2;

fn content(seen: &mut Seen, delta: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut bytes = 0;
    // Some servers say their thinking under both names.
    let (mut thinking, mut other_thinking) = (None, None);
    delta.object(|key, value| {
        match key {
            b"content" if value.peek_type()? == Type::Array => bytes += parts(seen, value)?,
            b"content" | b"refusal" => bytes += seen.take_string(value)?,
            b"reasoning_content" => thinking = value.raw_string()?,
            b"reasoning" => other_thinking = value.raw_string()?,
            b"tool_calls" => value.array(|call| {
                call.object(|key, value| {
                    if matches!(key, b"function" | b"custom") {
                        bytes += arguments(seen, value)?;
                    }
                    Ok(())
                })
            })?,
            b"function_call" => bytes += arguments(seen, value)?,
            b"annotations" => value.array(|annotation| {
                annotation.object(|key, value| {
                    if key == b"type" && value.raw_string()? == Some(b"url_citation") {
                        seen.searches = 1;
                    }
                    Ok(())
                })
            })?,
            _ => {}
        }
        Ok(())
    })?;
    bytes += thinking.or(other_thinking).map_or(0, |raw| seen.take_raw(raw));
    Ok(bytes)
}

/// Content in parts, thinking among them (Mistral).
fn parts(seen: &mut Seen, list: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut bytes = 0;
    list.array(|part| {
        part.object(|key, value| {
            match key {
                b"text" => bytes += seen.take_string(value)?,
                b"thinking" if value.peek_type()? == Type::String => bytes += seen.take_string(value)?,
                b"thinking" => value.array(|inner| {
                    inner.object(|key, value| {
                        if key == b"text" {
                            bytes += seen.take_string(value)?;
                        }
                        Ok(())
                    })
                })?,
                _ => {}
            }
            Ok(())
        })
    })?;
    Ok(bytes)
}

fn arguments(seen: &mut Seen, function: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut bytes = 0;
    function.object(|key, value| {
        if matches!(key, b"arguments" | b"input" | b"name") {
            bytes += seen.take_string(value)?;
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// 1 for an entry of `data` that is a generated image.
fn is_image(entry: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut is_image = false;
    entry.object(|key, value| {
        is_image |= matches!(key, b"b64_json" | b"url") && value.peek_type()? == Type::String;
        Ok(())
    })?;
    Ok(u64::from(is_image))
}
