//! What a request needs of a model, read from its body in one pass: tools, images, audio, documents, a JSON schema, thinking.
//!
//! One table for all dialects: their names for these things do not collide. It is a second look at the body, beside `peek`, and
//! taken only where a rule asks; it allocates nothing but a user's name with escapes.

use std::borrow::Cow;

use crate::json::scan::{Cursor, Malformed, Type};

/// A set of things that a body has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Has(u8);

impl Has {
    pub const TOOLS: Has = Has(1);
    pub const IMAGES: Has = Has(2);
    pub const AUDIO: Has = Has(4);
    pub const DOCUMENTS: Has = Has(8);
    pub const JSON_SCHEMA: Has = Has(16);
    pub const THINKING: Has = Has(32);

    /// The names that conditions and refusals use.
    pub const NAMES: &[(&str, Has)] = &[
        ("tools", Has::TOOLS),
        ("images", Has::IMAGES),
        ("audio", Has::AUDIO),
        ("documents", Has::DOCUMENTS),
        ("json_schema", Has::JSON_SCHEMA),
        ("thinking", Has::THINKING),
    ];

    pub fn contains(self, other: Has) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn with(self, other: Has) -> Has {
        Has(self.0 | other.0)
    }

    /// What both hold.
    pub fn and(self, other: Has) -> Has {
        Has(self.0 & other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    pub has: Has,
    /// The end user whom the body names.
    pub user: Option<Cow<'a, str>>,
    /// Bytes of images, audio and documents that stand in the body as text.
    pub media_bytes: usize,
}

/// Looks through `body`. Where its JSON breaks off, so does what was found; `peek` has the word on that.
pub fn needs(body: &[u8]) -> Needs<'_> {
    let mut needs = Needs::default();
    let _ = Cursor::new(body).object(|key, value| match FIELDS.iter().find(|(name, _)| name.as_bytes() == key) {
        Some((_, read)) => read(&mut needs, value),
        None => Ok(()),
    });
    needs
}

type Read = for<'a> fn(&mut Needs<'a>, &mut Cursor<'a>) -> Result<(), Malformed>;

/// Members of a request that say something of it.
const FIELDS: &[(&str, Read)] = &[
    ("tools", |needs, value| filled(needs, value, Has::TOOLS)),
    ("functions", |needs, value| filled(needs, value, Has::TOOLS)),
    ("messages", messages),
    ("input", messages),
    ("contents", messages),
    ("generationConfig", generation_config),
    ("system", |needs, value| parts(needs, value, 0)),
    ("response_format", format),
    ("output_format", format),
    ("text", wrapped_format),
    ("output_config", wrapped_format),
    ("modalities", |needs, value| {
        value.array(|item| {
            if item.raw_string()? == Some(b"audio") {
                needs.has = needs.has.with(Has::AUDIO);
            }
            Ok(())
        })
    }),
    ("reasoning_effort", |needs, value| effort(needs, value)),
    ("reasoning", |needs, value| value.object(|key, value| if key == b"effort" { effort(needs, value) } else { Ok(()) })),
    ("thinking", thinking),
    ("toolConfig", |needs, value| value.object(|key, value| if key == b"tools" { filled(needs, value, Has::TOOLS) } else { Ok(()) })),
    ("outputConfig", |needs, value| value.object(|key, value| if key == b"textFormat" { format(needs, value) } else { Ok(()) })),
    ("additionalModelRequestFields", |needs, value| {
        value.object(|key, value| if key == b"thinking" { thinking(needs, value) } else { Ok(()) })
    }),
    // Ollama's own: a schema, or the word json.
    ("format", |needs, value| schema(needs, value)),
    ("images", |needs, value| filled(needs, value, Has::IMAGES)),
    ("think", |needs, value| {
        if !matches!(value.raw()?, b"false" | b"null" | b"\"none\"") {
            needs.has = needs.has.with(Has::THINKING);
        }
        Ok(())
    }),
    ("user", user),
    ("safety_identifier", user),
    ("metadata", |needs, value| value.object(|key, value| if key == b"user_id" { user(needs, value) } else { Ok(()) })),
];

/// A list that has something in it.
fn filled(needs: &mut Needs<'_>, value: &mut Cursor<'_>, has: Has) -> Result<(), Malformed> {
    value.array(|_| {
        needs.has = needs.has.with(has);
        Ok(())
    })
}

/// `{"type": "json_schema", …}`.
fn format<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    value.object(|key, value| {
        match key {
            b"type" if value.raw_string()? == Some(b"json_schema") => needs.has = needs.has.with(Has::JSON_SCHEMA),
            b"json_schema" => schema(needs, value)?,
            _ => {}
        }
        Ok(())
    })
}

/// An object is a schema, or holds one.
fn schema(needs: &mut Needs<'_>, value: &mut Cursor<'_>) -> Result<(), Malformed> {
    if value.peek_type()? == Type::Object {
        needs.has = needs.has.with(Has::JSON_SCHEMA);
    }
    Ok(())
}

/// `{"format": {"type": "json_schema", …}}`.
fn wrapped_format<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    value.object(|key, value| if key == b"format" { format(needs, value) } else { Ok(()) })
}

fn thinking<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    value.object(|key, value| {
        if key == b"type" && matches!(value.raw_string()?, Some(b"enabled" | b"adaptive")) {
            needs.has = needs.has.with(Has::THINKING);
        }
        Ok(())
    })
}

/// An effort other than none at all.
fn effort<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    if value.raw_string()?.is_some_and(|effort| effort != b"none") {
        needs.has = needs.has.with(Has::THINKING);
    }
    Ok(())
}

fn user<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    if let Some(name) = value.string()?.filter(|name| !name.is_empty()) {
        needs.user.get_or_insert(name);
    }
    Ok(())
}

/// Gemini's answer in JSON, or spoken, and its thinking.
fn generation_config<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    value.object(|key, value| match key {
        b"responseSchema" | b"responseJsonSchema" => {
            needs.has = needs.has.with(Has::JSON_SCHEMA);
            Ok(())
        }
        b"responseModalities" => value.array(|item| {
            if item.raw_string()? == Some(b"AUDIO") {
                needs.has = needs.has.with(Has::AUDIO);
            }
            Ok(())
        }),
        b"thinkingConfig" => value.object(|key, value| {
            let is_some = match key {
                b"thinkingBudget" => value.u64()? != Some(0),
                b"thinkingLevel" => true,
                _ => false,
            };
            if is_some {
                needs.has = needs.has.with(Has::THINKING);
            }
            Ok(())
        }),
        _ => Ok(()),
    })
}

/// Data of a part, or where it is: what it is stands in its media type.
fn typed_media<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    let mut copy = value.clone();
    needs.media_bytes += value.skip()?.len();
    copy.object(|key, value| {
        if matches!(key, b"mimeType" | b"mime_type")
            && let Some(media_type) = value.raw_string()?
        {
            let found = TYPED.iter().find(|(stem, _)| media_type.starts_with(stem));
            needs.has = found.map_or(needs.has, |(_, has)| needs.has.with(*has));
        }
        Ok(())
    })
}

/// Turns, each with its `content`; an item of a responses request may be a part by itself.
fn messages<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>) -> Result<(), Malformed> {
    parts(needs, value, 0)
}

/// Parts may hold parts: a turn its content, a tool's result what the tool gave.
const DEPTH_MAX: usize = 4;

/// The words for a part's type, in any dialect.
const PARTS: &[(&[u8], Has)] = &[
    (b"image_url", Has::IMAGES),
    (b"input_image", Has::IMAGES),
    (b"image", Has::IMAGES),
    (b"input_audio", Has::AUDIO),
    (b"audio", Has::AUDIO),
    (b"file", Has::DOCUMENTS),
    (b"input_file", Has::DOCUMENTS),
    (b"document", Has::DOCUMENTS),
];

/// What a media type is of. A slash is written with an escape by some.
const TYPED: &[(&[u8], Has)] =
    &[(b"image", Has::IMAGES), (b"audio", Has::AUDIO), (b"application", Has::DOCUMENTS), (b"text", Has::DOCUMENTS)];

/// Names of blocks that are objects, where a block is named by its one field.
const BLOCKS: &[(&[u8], Has)] = &[(b"image", Has::IMAGES), (b"document", Has::DOCUMENTS), (b"audio", Has::AUDIO)];

/// Members of a part that hold its medium.
const MEDIA: &[&[u8]] = &[b"image_url", b"source", b"input_audio", b"file", b"file_data"];

fn parts<'a>(needs: &mut Needs<'a>, value: &mut Cursor<'a>, depth: usize) -> Result<(), Malformed> {
    if depth > DEPTH_MAX || value.peek_type()? != Type::Array {
        return Ok(());
    }
    value.array(|part| {
        part.object(|key, value| {
            if key == b"type" {
                let found = value.raw_string()?.and_then(|word| PARTS.iter().find(|(name, _)| *name == word));
                needs.has = found.map_or(needs.has, |(_, has)| needs.has.with(*has));
            } else if key == b"images" {
                filled(needs, value, Has::IMAGES)?;
            } else if matches!(key, b"inlineData" | b"inline_data" | b"fileData" | b"file_data") && value.peek_type()? == Type::Object {
                typed_media(needs, value)?;
            } else if matches!(key, b"content" | b"output" | b"parts") {
                parts(needs, value, depth + 1)?;
            } else if let Some((_, has)) = BLOCKS.iter().find(|(name, _)| *name == key)
                && value.peek_type()? == Type::Object
            {
                needs.has = needs.has.with(*has);
                needs.media_bytes += value.skip()?.len();
            } else if key == b"toolResult" {
                value.object(|key, value| if key == b"content" { parts(needs, value, depth + 1) } else { Ok(()) })?;
            } else if MEDIA.contains(&key) {
                needs.media_bytes += value.skip()?.len();
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialects_words_are_known() {
        for (body, has) in [
            (r#"{"messages":[{"role":"user","content":"tools"}],"tools":[],"response_format":{"type":"text"}}"#, Has::default()),
            (r#"{"tools":[{"type":"function"}]}"#, Has::TOOLS),
            (r#"{"functions":[{"name":"f"}]}"#, Has::TOOLS),
            (r#"{"messages":[{"content":[{"type":"text","text":"image"},{"type":"image_url","image_url":{"url":"x"}}]}]}"#, Has::IMAGES),
            (r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","data":"x"}}]}]}"#, Has::IMAGES),
            (r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image"}]}]}]}"#, Has::IMAGES),
            (r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]}"#, Has::IMAGES),
            (r#"{"input":"an image"}"#, Has::default()),
            (r#"{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"x"}}]}]}"#, Has::AUDIO),
            (r#"{"messages":[{"content":[{"text":"image"},{"image":{"format":"png"}}]}]}"#, Has::IMAGES),
            (
                r#"{"messages":[{"content":[{"toolResult":{"content":[{"document":{}}]}}]}],"toolConfig":{"tools":[1]}}"#,
                Has::TOOLS.with(Has::DOCUMENTS),
            ),
            (r#"{"outputConfig":{"textFormat":{"type":"json_schema"}}}"#, Has::JSON_SCHEMA),
            (r#"{"additionalModelRequestFields":{"thinking":{"type":"enabled"}}}"#, Has::THINKING),
            (r#"{"modalities":["text","audio"]}"#, Has::AUDIO),
            (r#"{"messages":[{"content":[{"type":"document","source":{}}]}]}"#, Has::DOCUMENTS),
            (r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#, Has::JSON_SCHEMA),
            (r#"{"text":{"format":{"type":"json_schema"}}}"#, Has::JSON_SCHEMA),
            (r#"{"contents":[{"parts":[{"text":"x"},{"inlineData":{"mimeType":"image/png","data":"x"}}]}]}"#, Has::IMAGES),
            (r#"{"contents":[{"parts":[{"file_data":{"mime_type":"application/pdf"}}]}]}"#, Has::DOCUMENTS),
            (r#"{"generationConfig":{"responseSchema":{},"thinkingConfig":{"thinkingBudget":0}}}"#, Has::JSON_SCHEMA),
            (r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"low"}}}"#, Has::THINKING),
            (r#"{"reasoning_effort":"none","reasoning":{"summary":"auto"},"thinking":{"type":"disabled"}}"#, Has::default()),
            (r#"{"reasoning_effort":"low"}"#, Has::THINKING),
            (r#"{"reasoning":{"effort":"high"}}"#, Has::THINKING),
            (r#"{"thinking":{"type":"enabled","budget_tokens":9}}"#, Has::THINKING),
            (r#"{"tools":[1],"thinking":{"type":"adaptive"}}"#, Has::TOOLS.with(Has::THINKING)),
            (r#"{"messages":[{"content":"x","images":["AAAA"]}],"format":"json","think":false}"#, Has::IMAGES),
            (r#"{"format":{"type":"object"},"think":true}"#, Has::JSON_SCHEMA.with(Has::THINKING)),
            (r#"{"response_format":{"type":"json_object","json_schema":{}}}"#, Has::JSON_SCHEMA),
        ] {
            assert_eq!(needs(body.as_bytes()).has, has, "{body}");
        }
    }

    #[test]
    fn the_user_is_found_in_each_place() {
        for body in [r#"{"user":"u\u0031"}"#, r#"{"metadata":{"user_id":"u1"}}"#, r#"{"safety_identifier":"u1"}"#] {
            assert_eq!(needs(body.as_bytes()).user.as_deref(), Some("u1"), "{body}");
        }
        assert_eq!(needs(br#"{"user":null}"#).user, None);
    }

    #[test]
    fn media_are_measured() {
        let data = "A".repeat(1_000);
        let body =
            format!(r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#);
        assert!((1_000..1_100).contains(&needs(body.as_bytes()).media_bytes));
    }

    #[test]
    fn no_cut_of_a_body_panics() {
        let body = br#"{"tools":[1],"user":"\u00e9","messages":[{"content":[{"type":"image","content":[[[{}]]]}]}]}"#;
        for end in 0..body.len() {
            let _ = needs(&body[..end]);
        }
    }
}
