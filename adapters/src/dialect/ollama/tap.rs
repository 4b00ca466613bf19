//! Looks at lines that go through untouched, and at whole answers.
//!
//! Estimate per line: one pass of the cursor over its bytes and a copy of its text, no allocation.

use super::error;
use crate::dialect::{Seen, Tap};
use crate::fault::Fault;
use crate::frame::ndjson::NdjsonSplitter;
use crate::json::node;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::usage::Usage;

#[derive(Default)]
pub(super) struct OllamaTap {
    splitter: NdjsonSplitter,
    seen: Seen,
}

impl Tap for OllamaTap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let OllamaTap { splitter, seen } = self;
        let result = splitter.feed(bytes, |line| look(seen, line).map_err(Malformed::in_response));
        seen.mid_event = splitter.mid_event();
        result
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn whole(&mut self, body: &[u8]) {
        let is_whole = self.seen.whole(|seen| look(seen, body).is_ok());
        self.seen.ended = is_whole && self.seen.fault.is_none();
    }

    /// The counts stand at the top level, behind the text.
    fn tail(&mut self, end: &[u8]) {
        let count = |name: &[u8]| {
            let at = memchr::memmem::rfind(end, name)? + name.len();
            Cursor::new(end.get(at..)?.trim_ascii_start().strip_prefix(b":")?).u64().ok()?
        };
        let (input, output) = (count(b"\"prompt_eval_count\""), count(b"\"eval_count\""));
        self.seen.usage = counted(input, output);
        self.seen.is_whole = self.seen.usage.is_some();
    }
}

fn counted(input: Option<u64>, output: Option<u64>) -> Option<Usage> {
    (input.is_some() || output.is_some()).then(|| Usage {
        input: input.unwrap_or_default(),
        output: output.unwrap_or_default(),
        ..Usage::default()
    })
}

fn look(seen: &mut Seen, line: &[u8]) -> Result<(), Malformed> {
    if seen.ended {
        return Ok(());
    }
    let before = seen.text_bytes;
    let (mut input, mut output, mut is_done) = (None, None, false);
    Cursor::new(line).object(|key, value| {
        match key {
            b"message" => message(seen, value)?,
            b"response" | b"thinking" => drop(seen.take_string(value)?),
            b"done" => is_done = value.bool()? == Some(true),
            b"prompt_eval_count" => input = value.u64()?,
            b"eval_count" => output = value.u64()?,
            b"error" if value.peek_type()? != Type::Null => {
                if let Ok(error) = node::parse(value.raw()?) {
                    seen.fault = Some(error::in_band(error));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    seen.event_count += u64::from(seen.text_bytes > before);
    // Embeddings count their input alone and are never done.
    seen.usage = counted(input, output).or(seen.usage);
    if is_done {
        (seen.finished, seen.ended) = (true, true);
    }
    Ok(())
}

fn message(seen: &mut Seen, message: &mut Cursor<'_>) -> Result<(), Malformed> {
    message.object(|key, value| {
        match key {
            b"content" | b"thinking" => drop(seen.take_string(value)?),
            b"tool_calls" => value.array(|call| {
                call.object(|key, value| {
                    if key != b"function" {
                        return Ok(());
                    }
                    value.object(|key, value| {
                        match key {
                            b"name" => drop(seen.take_string(value)?),
                            b"arguments" => drop(seen.take_raw(value.raw()?)),
                            _ => {}
                        }
                        Ok(())
                    })
                })
            })?,
            _ => {}
        }
        Ok(())
    })
}
