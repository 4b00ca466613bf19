//! Recorded exchanges, read from JSON lines and indexed by id.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::base64::decode_base64;

/// The response of one recorded exchange, ready to be sent.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Sent chunked: server-sent events, JSON lines or an event stream.
    pub(super) streams: bool,
    pub(super) chunk_sizes: Vec<usize>,
}

/// All recorded exchanges by id.
pub(super) struct Corpus {
    by_id: HashMap<String, Recorded>,
}

/// Framing is ours, and the recorded bodies are decompressed.
const HEADERS_DROPPED: &[&str] = &["content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive"];

#[derive(Deserialize)]
struct Line<'l> {
    id: String,
    #[serde(borrow)]
    response: Option<ResponseLine<'l>>,
}

#[derive(Deserialize)]
struct ResponseLine<'l> {
    status: Option<u16>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(borrow)]
    body: Option<&'l RawValue>,
    sse_text: Option<String>,
    ndjson_text: Option<String>,
    text: Option<String>,
    base64: Option<String>,
    #[serde(default)]
    eventstream: bool,
    #[serde(default)]
    chunk_sizes: Vec<usize>,
}

impl Corpus {
    /// # Errors
    /// A file that cannot be read or a line that is not an exchange, named.
    pub(super) fn load(paths: &[PathBuf]) -> Result<Self, String> {
        let mut by_id = HashMap::new();
        for path in paths {
            load_file(path, &mut by_id)?;
        }
        Ok(Self { by_id })
    }

    pub(super) fn find(&self, id: &str) -> Option<&Recorded> {
        self.by_id.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

fn load_file(path: &Path, by_id: &mut HashMap<String, Recorded>) -> Result<(), String> {
    let file = File::open(path).map_err(|error| format!("corpus {}: {error}", path.display()))?;
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = if is_compressed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    for (index, line) in BufReader::new(reader).lines().enumerate() {
        let at = || format!("{} line {}", path.display(), index + 1);
        let line = line.map_err(|error| format!("{}: {error}", at()))?;
        let parsed: Line<'_> = serde_json::from_str(&line).map_err(|error| format!("{}: {error}", at()))?;
        if let Some(response) = parsed.response {
            by_id.insert(parsed.id, recorded(response).ok_or_else(|| format!("{}: base64 is malformed", at()))?);
        }
    }
    Ok(())
}

fn recorded(response: ResponseLine<'_>) -> Option<Recorded> {
    let streams = response.sse_text.is_some() || response.ndjson_text.is_some() || response.eventstream;
    let text = response.sse_text.or(response.ndjson_text).or(response.text);
    let body = match (text, response.base64, response.body) {
        (Some(text), _, _) => text.into_bytes(),
        (None, Some(base64), _) => decode_base64(&base64)?,
        (None, None, Some(json)) => json.get().as_bytes().to_vec(),
        (None, None, None) => Vec::new(),
    };
    let headers = response
        .headers
        .into_iter()
        .filter(|(name, _)| !HEADERS_DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped)))
        .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .filter(|(name, value)| !name.contains(['\r', '\n', ':']) && !value.contains(['\r', '\n']))
        .collect();
    Some(Recorded { status: response.status.unwrap_or(200), headers, body, streams, chunk_sizes: response.chunk_sizes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Recorded {
        let line: Line<'_> = serde_json::from_str(text).unwrap();
        recorded(line.response.unwrap()).unwrap()
    }

    #[test]
    fn json_bodies_keep_their_text_and_framing_headers_go() {
        let one = read(r#"{"id":"a","request":{},"response":{"status":400,"headers":{"content-length":"9","x":"y"},"body":{"b": 1.50}}}"#);
        assert_eq!((one.status, one.streams, one.body.as_slice()), (400, false, &br#"{"b": 1.50}"#[..]));
        assert_eq!(one.headers, [("x".to_owned(), "y".to_owned())]);
    }

    #[test]
    fn event_streams_and_sse_stream() {
        assert!(read(r#"{"id":"a","response":{"status":200,"headers":{},"base64":"Zm9v","eventstream":true}}"#).streams);
        let sse = read(r#"{"id":"a","response":{"status":200,"headers":{},"sse_text":"data: 1\n\n","chunk_sizes":[4,5]}}"#);
        assert_eq!((sse.streams, sse.chunk_sizes.as_slice()), (true, &[4, 5][..]));
    }
}
