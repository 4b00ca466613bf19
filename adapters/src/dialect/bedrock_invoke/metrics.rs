//! What an answer of any family used: `amazon-bedrock-invocationMetrics`, and the words of families that have no codec here.

use crate::dialect::Seen;
use crate::dialect::bedrock_converse::usage::Counts;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::usage::Usage;

/// Stands in the last chunk of a stream, whatever the family.
pub(super) const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// Names of generated text in the answers of Llama, Titan, Cohere, AI21 and older Claude.
const TEXTS: &[&[u8]] = &[b"generation", b"outputText", b"text", b"completion"];

/// Names of objects and lists that hold an answer's text.
const NESTS: &[&[u8]] = &[b"results", b"generations", b"completions", b"choices", b"message", b"data", b"outputs"];

/// Names of counts of the input and of the output.
const INPUTS: &[&[u8]] = &[b"inputTextTokenCount", b"prompt_token_count", b"prompt_tokens", b"input_tokens"];
const OUTPUTS: &[&[u8]] = &[b"totalOutputTextTokenCount", b"generation_token_count", b"completion_tokens", b"output_tokens", b"tokenCount"];

/// Names of what says that an answer is finished.
const FINISHES: &[&[u8]] = &[b"stop_reason", b"completionReason", b"finish_reason", b"finishReason", b"is_finished"];

/// Nesting that is followed.
const DEPTH_MAX: usize = 4;

/// Reads the metrics of Bedrock out of a chunk, if they are in it.
pub(super) fn metrics(chunk: &[u8]) -> Result<Option<Usage>, Malformed> {
    // Only the last chunk has them: the others are not looked through a second time.
    if memchr::memmem::find(chunk, METRICS.as_bytes()).is_none() {
        return Ok(None);
    }
    let mut counts = None;
    Cursor::new(chunk).object(|key, value| {
        if key == METRICS.as_bytes() {
            let own: &mut Counts = counts.insert(Counts::default());
            value.object(|key, value| {
                if let Some(count) = own.field(key) {
                    *count = value.u64()?.unwrap_or(*count);
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(counts.map(|counts: Counts| counts.usage()))
}

/// Looks at an answer, or a chunk of one, in the words of any family.
pub(super) fn look(seen: &mut Seen, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    nested(seen, cursor, 0)
}

fn nested(seen: &mut Seen, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return cursor.skip().map(drop);
    }
    cursor.object(|key, value| {
        if TEXTS.contains(&key) {
            return seen.take_string(value).map(drop);
        }
        if INPUTS.contains(&key) || OUTPUTS.contains(&key) {
            if let Some(count) = value.u64()? {
                let usage = seen.usage.get_or_insert_default();
                *(if INPUTS.contains(&key) { &mut usage.input } else { &mut usage.output }) = count;
            }
            return Ok(());
        }
        if FINISHES.contains(&key) {
            seen.finished |= match value.peek_type()? {
                Type::Null => false,
                Type::Bool => value.bool()? == Some(true),
                _ => true,
            };
            return Ok(());
        }
        match (NESTS.contains(&key) || key == b"usage", value.peek_type()?) {
            (true, Type::Array) => value.array(|item| nested(seen, item, depth + 1)),
            (true, Type::Object) => nested(seen, value, depth + 1),
            // Chat answers of AI21.
            _ if key == b"content" => seen.take_string(value).map(drop),
            _ => Ok(()),
        }
    })
}
