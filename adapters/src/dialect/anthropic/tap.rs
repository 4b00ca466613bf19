//! Looks at a Messages stream that goes through untouched.
//!
//! Estimate per event: one pass of the cursor over its data, no allocation.

use super::error;
use super::usage::Counts;
use crate::dialect::{Seen, Tap};
use crate::fault::Fault;
use crate::frame::sse::{SseEvent, SseSplitter};
use crate::json::scan::{Cursor, Malformed};

#[derive(Default)]
pub(super) struct AnthropicTap {
    splitter: SseSplitter,
    look: Look,
}

#[derive(Default)]
struct Look {
    seen: Seen,
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
        let is_whole = self.look.message(&mut Cursor::new(body)).is_ok();
        self.look.seen.ended = is_whole && self.look.seen.finished;
    }
}

impl Look {
    fn event(&mut self, event: SseEvent<'_>) -> Result<(), Malformed> {
        if self.seen.ended || event.data == b"[DONE]" {
            return Ok(());
        }
        let mut cursor = Cursor::new(event.data);
        // Some proxies drop the event's name; the data's type says the same.
        let name = if event.event.is_empty() { type_of(event.data)? } else { event.event.as_bytes() };
        match name {
            b"content_block_delta" => {
                self.seen.event_count += 1;
                self.delta(&mut cursor)
            }
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
        cursor.object(|key, value| {
            if key != b"delta" {
                return Ok(());
            }
            value.object(|key, value| {
                if matches!(key, b"text" | b"thinking" | b"partial_json") {
                    self.seen.text_bytes += value.raw_string()?.map_or(0, text_len);
                }
                Ok(())
            })
        })
    }

    /// A whole message, `message_start` or `message_delta`: all hold a usage and a stop reason somewhere.
    fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let mut is_error = false;
        let copy = cursor.clone();
        cursor.object(|key, value| match key {
            b"message" | b"delta" => self.message(value),
            b"usage" => self.usage(value),
            b"content" => value.array(|block| {
                block.object(|key, value| {
                    match key {
                        b"text" | b"thinking" => self.seen.text_bytes += value.raw_string()?.map_or(0, text_len),
                        b"input" => self.seen.text_bytes += value.raw()?.len() as u64,
                        _ => {}
                    }
                    Ok(())
                })
            }),
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
            if let Some(count) = self.counts.field(key) {
                *count = value.u64()?.unwrap_or(*count);
            } else if key == b"output_tokens_details" {
                value.object(|key, value| {
                    if key == b"thinking_tokens" {
                        self.counts.thinking = value.u64()?.unwrap_or(self.counts.thinking);
                    }
                    Ok(())
                })?;
            }
            Ok(())
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

/// Bytes of a string once its escapes are undone: one for a short escape, UTF-8's length for a `\u` one.
fn text_len(raw: &[u8]) -> u64 {
    let mut len = raw.len() as u64;
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (written, meant) = match rest.get(at + 1) {
            Some(b'u') => (6, code_len(rest.get(at + 2..at + 6).unwrap_or_default())),
            _ => (2, 1),
        };
        len = len.saturating_sub(written as u64 - meant);
        rest = rest.get(at + written..).unwrap_or_default();
    }
    len
}

/// UTF-8 length of four hex digits; each half of a surrogate pair counts two of its four bytes.
fn code_len(hex: &[u8]) -> u64 {
    let code = std::str::from_utf8(hex).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
    match code {
        0..0x80 => 1,
        0x80..0x800 | 0xd800..0xe000 => 2,
        _ => 3,
    }
}
