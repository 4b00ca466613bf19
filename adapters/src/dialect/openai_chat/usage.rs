//! The `usage` object: read, scanned and written.
//!
//! Images, embeddings and transcriptions of the same API report in it, too, some under the names of the Responses API.

use serde_json::Value;

use super::ME;
use crate::dialect::openai::extra;
use crate::ir::Extra;
use crate::json::node::{Node, Object};
use crate::json::scan::{Cursor, Malformed, Type};
use crate::json::write;
use crate::usage::Usage;

/// The figures as they stand on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    prompt: u64,
    completion: u64,
    total: u64,
    cached: u64,
    cache_write: u64,
    /// Cached tokens beside the details: DeepSeek's and Moonshot's own names.
    cache_hit: u64,
    reasoning: u64,
    /// Perplexity's own place for reasoning.
    research: u64,
    audio_input: u64,
    audio_output: u64,
    image_input: u64,
    image_output: u64,
    searches: u64,
    audio_ms: u64,
}

/// Where in the object a figure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Top,
    Input,
    Output,
}

fn group(name: &[u8]) -> Option<Group> {
    match name {
        b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => Some(Group::Input),
        b"completion_tokens_details" | b"output_tokens_details" => Some(Group::Output),
        _ => None,
    }
}

impl Figures {
    /// Where a figure of the wire goes.
    fn field(&mut self, group: Group, name: &[u8]) -> Option<&mut u64> {
        match (group, name) {
            (Group::Top, b"prompt_tokens" | b"input_tokens") => Some(&mut self.prompt),
            (Group::Top, b"completion_tokens" | b"output_tokens") => Some(&mut self.completion),
            (Group::Top, b"total_tokens") => Some(&mut self.total),
            (Group::Top, b"prompt_cache_hit_tokens" | b"cached_tokens") => Some(&mut self.cache_hit),
            (Group::Top, b"reasoning_tokens") => Some(&mut self.research),
            // Azure's name in its inference API.
            (Group::Top, b"audio_prompt_tokens") => Some(&mut self.audio_input),
            // Perplexity bills searches, xAI the sources that it used.
            (Group::Top, b"num_search_queries" | b"num_sources_used") => Some(&mut self.searches),
            (Group::Input, b"cached_tokens") => Some(&mut self.cached),
            (Group::Input, b"cache_write_tokens") => Some(&mut self.cache_write),
            (Group::Input, b"audio_tokens") => Some(&mut self.audio_input),
            (Group::Input, b"image_tokens") => Some(&mut self.image_input),
            (Group::Output, b"reasoning_tokens") => Some(&mut self.reasoning),
            (Group::Output, b"audio_tokens") => Some(&mut self.audio_output),
            (Group::Output, b"image_tokens") => Some(&mut self.image_output),
            _ => None,
        }
    }

    fn usage(self) -> Usage {
        // Some servers count reasoning beside `completion_tokens` instead of inside it: their `total_tokens` tells, or that there is
        // more of it than of all.
        let is_beside = self.reasoning > 0 && self.total == self.prompt + self.completion + self.reasoning;
        let beside = if is_beside {
            self.reasoning
        } else if self.research > self.completion {
            self.research
        } else {
            0
        };
        Usage {
            input: self.prompt,
            output: self.completion.saturating_add(beside),
            cached_read: if self.cached > 0 { self.cached } else { self.cache_hit },
            cached_write: self.cache_write,
            reasoning: if self.reasoning > 0 { self.reasoning } else { self.research },
            audio_input: self.audio_input,
            audio_output: self.audio_output,
            image_input: self.image_input,
            image_output: self.image_output,
            searches: self.searches,
            audio_ms: self.audio_ms,
            ..Usage::default()
        }
    }
}

/// Seconds of audio: of a transcription that is billed by length, and Mistral's of what was heard.
fn is_seconds(name: &[u8]) -> bool {
    matches!(name, b"seconds" | b"prompt_audio_seconds")
}

fn milliseconds(seconds: Option<f64>) -> u64 {
    // A float becomes the nearest whole number that fits.
    seconds.map_or(0, |seconds| (seconds * 1000.0).round() as u64)
}

/// The hub's figure, and the members that it has no word for.
pub(in crate::dialect) fn decode(mut object: Object<'_>) -> (Usage, Extra) {
    let mut figures = Figures::default();
    for (name, node) in object.rest() {
        match (group(name.as_bytes()), node) {
            (Some(group), Node::Object(details)) => {
                for (name, node) in details.rest() {
                    note(&mut figures, group, name, node);
                }
            }
            _ => note(&mut figures, Group::Top, name, node),
        }
    }
    let totals = ["prompt_tokens", "completion_tokens", "total_tokens"];
    for name in totals {
        object.take_u64(name);
    }
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    let usage = figures.usage();
    if usage.output != figures.completion {
        private.fields.insert("completion_tokens".into(), figures.completion.into());
    }
    if usage.total() != figures.total {
        private.fields.insert("total_tokens".into(), figures.total.into());
    }
    (usage, private)
}

fn note(figures: &mut Figures, group: Group, name: &str, node: &Node<'_>) {
    if group == Group::Top && is_seconds(name.as_bytes()) {
        figures.audio_ms = milliseconds(node.as_f64());
    } else if let (Some(figure), Some(value)) = (figures.field(group, name.as_bytes()), node.as_u64()) {
        *figure = value;
    }
}

/// The same figure from the object ahead; nothing where `usage` is not an object.
pub(super) fn scan(value: &mut Cursor<'_>) -> Result<Option<Usage>, Malformed> {
    if value.peek_type()? != Type::Object {
        return Ok(None);
    }
    let mut figures = Figures::default();
    value.object(|key, value| {
        if let Some(group) = group(key) {
            return value.object(|key, value| figure(&mut figures, group, key, value));
        }
        if is_seconds(key) {
            let text = std::str::from_utf8(value.raw()?).unwrap_or_default();
            figures.audio_ms = milliseconds(text.parse().ok());
            return Ok(());
        }
        figure(&mut figures, Group::Top, key, value)
    })?;
    Ok(Some(figures.usage()))
}

fn figure(figures: &mut Figures, group: Group, name: &[u8], value: &mut Cursor<'_>) -> Result<(), Malformed> {
    if let Some(figure) = figures.field(group, name) {
        *figure = value.u64()?.unwrap_or(*figure);
    }
    Ok(())
}

/// The object, where a value may stand. The dialect's own details go back as they came.
pub(in crate::dialect) fn encode(usage: &Usage, extra: &Extra, out: &mut Vec<u8>) {
    let own = extra.of(ME);
    let raw = |name: &str, figure: u64| own.and_then(|fields| fields.get(name)).and_then(Value::as_u64).unwrap_or(figure);
    write::open(out);
    write::uint(out, "prompt_tokens", usage.input);
    write::uint(out, "completion_tokens", raw("completion_tokens", usage.output));
    write::uint(out, "total_tokens", raw("total_tokens", usage.total()));
    if extra.dialect != Some(ME) && usage.searches > 0 {
        write::uint(out, "num_search_queries", usage.searches);
    }
    if extra.dialect != Some(ME) {
        write::key(out, "prompt_tokens_details");
        write::open(out);
        write::uint(out, "cached_tokens", usage.cached_read);
        if usage.cached_write > 0 {
            write::uint(out, "cache_write_tokens", usage.cached_write);
        }
        write::uint(out, "audio_tokens", usage.audio_input);
        if usage.image_input > 0 {
            write::uint(out, "image_tokens", usage.image_input);
        }
        write::close(out);
        write::key(out, "completion_tokens_details");
        write::open(out);
        write::uint(out, "reasoning_tokens", usage.reasoning);
        write::uint(out, "audio_tokens", usage.audio_output);
        if usage.image_output > 0 {
            write::uint(out, "image_tokens", usage.image_output);
        }
        write::close(out);
    }
    if let Some(fields) = own {
        let known = |name: &String| matches!(name.as_str(), "completion_tokens" | "total_tokens" | super::CHUNK);
        fields.iter().filter(|(name, _)| !known(name)).for_each(|(name, value)| write::value(out, name, value));
    }
    write::close(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::node;

    #[test]
    fn decode_scan_and_encode_agree() {
        let rows = [
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":2,"accepted_prediction_tokens":0}}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":3},"num_sources_used":0}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_cache_hit_tokens":7}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"cached_tokens":8}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"audio_prompt_tokens":3,"num_sources_used":4}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_audio_seconds":3}"#,
            r#"{"prompt_tokens":33,"completion_tokens":71,"total_tokens":104,"citation_tokens":9,"num_search_queries":18,"reasoning_tokens":739}"#,
            r#"{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"prompt_tokens_details":{"image_tokens":4},"completion_tokens_details":{"image_tokens":6}}"#,
        ];
        for row in rows {
            let (usage, extra) = decode(node::parse(row.as_bytes()).unwrap().into_object().unwrap());
            assert_eq!(scan(&mut Cursor::new(row.as_bytes())), Ok(Some(usage)));
            let mut out = Vec::new();
            encode(&usage, &extra, &mut out);
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), serde_json::from_str::<Value>(row).unwrap());
        }
    }

    #[test]
    fn reasoning_counted_apart_is_added_once() {
        let json = br#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":3}}"#;
        let usage = scan(&mut Cursor::new(json)).unwrap();
        assert_eq!(usage.map(|usage| (usage.output, usage.total())), Some((8, 18)));
    }

    #[test]
    fn every_kind_is_read_from_its_own_name() {
        let of = |json: &str| scan(&mut Cursor::new(json.as_bytes())).unwrap().unwrap();
        let research =
            of(r#"{"prompt_tokens":33,"completion_tokens":71,"total_tokens":104,"num_search_queries":18,"reasoning_tokens":739}"#);
        assert_eq!((research.output, research.reasoning, research.searches), (810, 739, 18));
        let inside = of(r#"{"prompt_tokens":33,"completion_tokens":71,"total_tokens":104,"reasoning_tokens":40}"#);
        assert_eq!((inside.output, inside.reasoning), (71, 40));
        let kept = of(r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"cached_tokens":8}"#);
        assert_eq!(kept.cached_read, 8);
        let image = of(
            r#"{"input_tokens":14,"input_tokens_details":{"image_tokens":3,"text_tokens":11},"output_tokens":272,"output_tokens_details":{"image_tokens":272},"total_tokens":286}"#,
        );
        assert_eq!((image.input, image.image_input, image.output, image.image_output), (14, 3, 272, 272));
        assert_eq!(of(r#"{"type":"duration","seconds":6.5}"#).audio_ms, 6_500);
        assert_eq!(of(r#"{"type":"duration","seconds":-1e300}"#).audio_ms, 0);
    }
}
