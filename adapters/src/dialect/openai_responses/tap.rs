//! Looks at a Responses stream that is forwarded untouched.
//!
//! Estimate: one pass over the bytes of an event, which skips strings with `memchr`; no allocation for an event that is
//! not cut.

use super::usage;
use crate::dialect::openai::{error, length};
use crate::dialect::{Seen, Tap};
use crate::fault::Fault;
use crate::frame::sse::SseSplitter;
use crate::json::node::{self, Node, Object};
use crate::json::scan::{Cursor, Malformed, Type};

/// The tap of one stream or whole body.
#[derive(Debug, Default)]
pub(super) struct ResponsesTap {
    splitter: SseSplitter,
    seen: Seen,
}

impl Tap for ResponsesTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let seen = &mut self.seen;
        self.splitter.feed(bytes, |event| look(seen, event.data).map_err(Malformed::in_response))?;
        self.seen.mid_event = self.splitter.mid_event();
        Ok(())
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn whole(&mut self, body: &[u8]) {
        let well_formed = response(&mut self.seen, &mut Cursor::new(body), Output::Count).is_ok();
        self.seen.finished = well_formed && self.seen.fault.is_none();
        self.seen.ended = self.seen.finished;
    }
}

/// Whether the texts of a response object are counted: in a stream its deltas were.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Count,
    Skip,
}

fn look(seen: &mut Seen, data: &[u8]) -> Result<(), Malformed> {
    if data.is_empty() || data.trim_ascii() == b"[DONE]" {
        return Ok(());
    }
    let (mut kind, mut bytes, mut inner, mut error): (&[u8], u64, Option<Cursor<'_>>, Option<&[u8]>) = (b"", 0, None, None);
    Cursor::new(data).object(|key, value| {
        match key {
            b"type" => kind = value.raw_string()?.unwrap_or_default(),
            b"delta" => bytes = length::text(value)?,
            b"response" => inner = Some(value.clone()),
            b"error" if value.peek_type()? != Type::Null => error = Some(value.raw()?),
            _ => {}
        }
        Ok(())
    })?;
    seen.text_bytes += bytes;
    seen.event_count += u64::from(bytes > 0);
    match kind {
        b"response.completed" | b"response.incomplete" => {
            seen.finished = true;
            seen.ended = true;
        }
        b"response.failed" | b"response.cancelled" | b"error" => {
            let said = error.or((kind == b"error").then_some(data));
            seen.fault = said.and_then(|json| node::parse(json).ok()).map(error::in_band);
        }
        b"" if error.is_some() => seen.fault = error.and_then(|json| node::parse(json).ok()).map(error::in_band),
        _ => return Ok(()),
    }
    if let Some(mut inner) = inner {
        response(seen, &mut inner, Output::Skip)?;
    }
    let failed = matches!(kind, b"response.failed" | b"response.cancelled");
    if failed && seen.fault.is_none() {
        seen.fault = Some(error::in_band(Node::Object(Object::default())));
    }
    Ok(())
}

fn response(seen: &mut Seen, value: &mut Cursor<'_>, output: Output) -> Result<(), Malformed> {
    value.object(|key, value| {
        match key {
            b"usage" => seen.usage = usage::scan(value)?.or(seen.usage),
            b"error" if value.peek_type()? != Type::Null => {
                if let Ok(error) = node::parse(value.raw()?) {
                    seen.fault = Some(error::in_band(error));
                }
            }
            b"output" if output == Output::Count => value.array(|item| item_text(seen, item))?,
            _ => {}
        }
        Ok(())
    })
}

fn item_text(seen: &mut Seen, item: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut bytes = 0;
    item.object(|key, value| {
        match key {
            b"arguments" | b"input" => bytes += length::text(value)?,
            b"content" | b"summary" => value.array(|part| {
                part.object(|key, value| {
                    if matches!(key, b"text" | b"refusal") {
                        bytes += length::text(value)?;
                    }
                    Ok(())
                })
            })?,
            _ => {}
        }
        Ok(())
    })?;
    seen.text_bytes += bytes;
    seen.event_count += 1;
    Ok(())
}
