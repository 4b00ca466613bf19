//! Looks at a generateContent stream that goes through untouched.
//!
//! Estimate per chunk: one pass of the cursor over its data and a copy of its text, no allocation.

use super::error;
use super::split::Splitter;
use super::usage::{Counts, searches};
use crate::dialect::{Seen, Tap, tail};
use crate::fault::Fault;
use crate::json::scan::{Cursor, Malformed, Type};

#[derive(Default)]
pub(super) struct GeminiTap {
    splitter: Splitter,
    look: Look,
}

#[derive(Default)]
struct Look {
    seen: Seen,
    counts: Counts,
    query_count: u64,
    /// The model bills all searches of an answer as one.
    has_lump_search: bool,
    /// Candidates that began, and those that have their reason, a bit each.
    begun: u64,
    done: u64,
}

impl Tap for GeminiTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let GeminiTap { splitter, look } = self;
        let result = splitter.feed(bytes, |chunk| look.event(chunk).map_err(Malformed::in_response));
        look.seen.mid_event = splitter.mid_event();
        look.seen.ended |= splitter.is_closed();
        result
    }

    fn seen(&self) -> &Seen {
        &self.look.seen
    }

    fn whole(&mut self, body: &[u8]) {
        // A body that is broken is the client's to see: it goes through as it came.
        let is_whole = self.look.seen.whole(|seen| {
            let mut look = Look { seen: std::mem::take(seen), ..Look::default() };
            let is_whole = look.body(body).is_ok();
            *seen = look.seen;
            is_whole
        });
        self.look.seen.ended = is_whole && self.look.seen.finished;
    }

    fn tail(&mut self, end: &[u8]) {
        if let Some(mut metadata) = tail::object(end, b"\"usageMetadata\"") {
            let is_read = self.look.usage(&mut metadata).is_ok();
            self.look.seen.is_whole = is_read && self.look.seen.usage.is_some();
        }
    }
}

impl Look {
    fn event(&mut self, data: &[u8]) -> Result<(), Malformed> {
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let before = self.seen.text_bytes;
        self.chunk(&mut Cursor::new(data))?;
        self.seen.event_count += u64::from(self.seen.text_bytes > before);
        Ok(())
    }

    /// A whole answer, or an array of chunks.
    fn body(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(body);
        match cursor.peek_type()? {
            Type::Array => cursor.array(|chunk| self.chunk(chunk))?,
            _ => self.chunk(&mut cursor)?,
        }
        cursor.end()
    }

    fn chunk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let mut is_blocked = false;
        cursor.object(|key, value| match key {
            b"candidates" => {
                let mut place = 0;
                value.array(|candidate| {
                    place += 1;
                    self.candidate(place - 1, candidate)
                })
            }
            b"usageMetadata" if value.peek_type()? == Type::Object => self.usage(value),
            b"promptFeedback" => value.object(|key, value| {
                is_blocked |= key == b"blockReason" && value.peek_type()? != Type::Null;
                Ok(())
            }),
            b"modelVersion" => {
                let model = value.string()?.unwrap_or_default();
                self.has_lump_search = !model.is_empty() && searches(&model, 2) == 1;
                Ok(())
            }
            b"error" if value.peek_type()? == Type::Object => self.error(value),
            _ => Ok(()),
        })?;
        if is_blocked && self.begun == 0 {
            (self.begun, self.done) = (1, 1);
        }
        self.seen.finished = self.begun != 0 && self.begun == self.done;
        if let Some(usage) = &mut self.seen.usage {
            usage.searches = if self.has_lump_search { self.query_count.min(1) } else { self.query_count };
        }
        Ok(())
    }

    fn candidate(&mut self, place: u64, candidate: &mut Cursor<'_>) -> Result<(), Malformed> {
        let (mut index, mut is_done, mut has_content) = (place, false, false);
        candidate.object(|key, value| {
            match key {
                b"index" => index = value.u64()?.unwrap_or(place),
                b"finishReason" => is_done = says_something(value)?,
                b"content" if value.peek_type()? == Type::Object => {
                    has_content = true;
                    value.object(|key, value| if key == b"parts" { value.array(|part| self.part(part)) } else { Ok(()) })?;
                }
                b"groundingMetadata" => {
                    let mut count = 0;
                    value.object(|key, value| {
                        if key != b"webSearchQueries" {
                            return Ok(());
                        }
                        value.array(|_| {
                            count += 1;
                            Ok(())
                        })
                    })?;
                    self.query_count = self.query_count.max(count);
                }
                _ => {}
            }
            Ok(())
        })?;
        let bit = 1 << index.min(63);
        self.begun |= bit;
        if is_done {
            self.done |= bit;
        } else if has_content {
            // What goes on after its end has not ended.
            self.done &= !bit;
        }
        Ok(())
    }

    fn part(&mut self, part: &mut Cursor<'_>) -> Result<(), Malformed> {
        part.object(|key, value| match key {
            b"text" => self.seen.take_string(value).map(drop),
            b"functionCall" => value.object(|key, value| match key {
                b"name" => self.seen.take_string(value).map(drop),
                b"args" | b"partialArgs" => {
                    let raw = value.raw()?;
                    self.seen.take_raw(raw);
                    Ok(())
                }
                _ => Ok(()),
            }),
            b"executableCode" => value.object(|key, value| if key == b"code" { self.seen.take_string(value).map(drop) } else { Ok(()) }),
            _ => Ok(()),
        })
    }

    fn usage(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let mut copy = cursor.clone();
        self.counts.scan(cursor)?;
        self.seen.usage = Some(self.counts.usage());
        copy.object(|key, value| if matches!(key, b"serviceTier" | b"trafficType") { self.seen.take_tier(value) } else { Ok(()) })
    }

    fn error(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let (mut word, mut message) = (None, None);
        cursor.object(|key, value| {
            match key {
                b"status" => word = value.string()?,
                b"message" => message = value.string()?,
                _ => {}
            }
            Ok(())
        })?;
        self.seen.fault = Some(error::in_band_of(word.as_deref(), message.as_deref()));
        Ok(())
    }
}

/// A reason, by word or by number.
fn says_something(value: &mut Cursor<'_>) -> Result<bool, Malformed> {
    match value.peek_type()? {
        Type::String => Ok(value.raw_string()?.is_some_and(|word| !matches!(word, b"" | b"FINISH_REASON_UNSPECIFIED"))),
        Type::Number => Ok(value.u64()?.is_some_and(|number| number > 0)),
        _ => Ok(false),
    }
}
