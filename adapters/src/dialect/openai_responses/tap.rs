//! Looks at a Responses stream that is forwarded untouched.
//!
//! Estimate: one pass over the bytes of an event, which skips strings with `memchr`, and a copy of its text; no allocation
//! for an event that is not cut.

use super::answer::{IMAGE_CALL, is_billed_search};
use super::usage;
use crate::dialect::openai::error;
use crate::dialect::{Seen, Tap, tail};
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
        let well_formed = self.seen.whole(|seen| response(seen, &mut Cursor::new(body), Output::Count).is_ok());
        self.seen.finished = well_formed && self.seen.fault.is_none();
        self.seen.ended = self.seen.finished;
    }

    fn tail(&mut self, end: &[u8]) {
        self.seen.usage = tail::object(end, b"\"usage\"").and_then(|mut value| usage::scan(&mut value).ok()?);
        self.seen.tier = tail::tier(end);
        self.seen.is_whole = self.seen.usage.is_some();
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
    let (mut kind, mut bytes, mut inner, mut item, mut error): (&[u8], u64, Option<Cursor<'_>>, Option<Cursor<'_>>, Option<&[u8]>) =
        (b"", 0, None, None, None);
    Cursor::new(data).object(|key, value| {
        match key {
            b"type" => kind = value.raw_string()?.unwrap_or_default(),
            b"delta" => bytes = seen.take_string(value)?,
            b"response" => inner = Some(value.clone()),
            b"item" => item = Some(value.clone()),
            b"error" if value.peek_type()? != Type::Null => error = Some(value.raw()?),
            _ => {}
        }
        Ok(())
    })?;
    if let Some(item) = &mut item {
        match kind {
            // A call's name is generated, too; its arguments follow as deltas.
            b"response.output_item.added" => bytes += Marks::of(item)?.called().map_or(0, |name| seen.take_raw(name)),
            b"response.output_item.done" => Marks::of(item)?.bill(seen),
            _ => {}
        }
    }
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
        // The tier is told at once; the rest of the first events repeats the request.
        b"response.created" => return inner.map_or(Ok(()), |mut inner| tier(seen, &mut inner)),
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

fn tier(seen: &mut Seen, response: &mut Cursor<'_>) -> Result<(), Malformed> {
    response.object(|key, value| if key == b"service_tier" { seen.take_tier(value) } else { Ok(()) })
}

fn response(seen: &mut Seen, value: &mut Cursor<'_>, output: Output) -> Result<(), Malformed> {
    value.object(|key, value| {
        match key {
            b"usage" => {
                if let Some(usage) = usage::scan(value)? {
                    seen.usage = Some(usage);
                }
            }
            b"service_tier" => seen.take_tier(value)?,
            b"error" if value.peek_type()? != Type::Null => {
                if let Ok(error) = node::parse(value.raw()?) {
                    seen.fault = Some(error::in_band(error));
                }
            }
            b"output" if output == Output::Count => value.array(|item| whole_item(seen, item))?,
            _ => {}
        }
        Ok(())
    })?;
    if let Some(usage) = &mut seen.usage {
        usage.searches = usage.searches.max(seen.searches);
        usage.images = seen.images;
    }
    Ok(())
}

/// What of an item decides how it is counted.
#[derive(Default)]
struct Marks<'a> {
    kind: &'a [u8],
    action: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
}

impl<'a> Marks<'a> {
    fn of(item: &mut Cursor<'a>) -> Result<Marks<'a>, Malformed> {
        let mut marks = Marks::default();
        item.object(|key, value| marks.take(key, value))?;
        Ok(marks)
    }

    fn take(&mut self, key: &[u8], value: &mut Cursor<'a>) -> Result<(), Malformed> {
        match key {
            b"type" => self.kind = value.raw_string()?.unwrap_or_default(),
            b"name" => self.name = value.raw_string()?,
            b"action" => value.object(|key, value| {
                if key == b"type" {
                    self.action = value.raw_string()?;
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    }

    /// The name of the client's tool that the item calls.
    fn called(&self) -> Option<&'a [u8]> {
        self.name.filter(|_| matches!(self.kind, b"function_call" | b"custom_tool_call"))
    }

    /// Counts a whole item that is billed by the piece.
    fn bill(&self, seen: &mut Seen) {
        seen.searches += u64::from(is_billed_search(self.kind, self.action));
        seen.images += u64::from(self.kind == IMAGE_CALL);
    }
}

fn whole_item(seen: &mut Seen, item: &mut Cursor<'_>) -> Result<(), Malformed> {
    let mut marks = Marks::default();
    item.object(|key, value| {
        match key {
            b"arguments" | b"input" => drop(seen.take_string(value)?),
            b"content" | b"summary" => value.array(|part| {
                part.object(|key, value| {
                    if matches!(key, b"text" | b"refusal") {
                        seen.take_string(value)?;
                    }
                    Ok(())
                })
            })?,
            _ => marks.take(key, value)?,
        }
        Ok(())
    })?;
    if let Some(name) = marks.called() {
        seen.take_raw(name);
    }
    marks.bill(seen);
    seen.event_count += 1;
    Ok(())
}
