//! Reads the recorded exchanges, with their request bodies as they were written.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Each file is the traffic of the provider of its name.
const FILES: &[&str] = &["openai", "anthropic", "azure"];
const APIS: &[&str] = &["chat", "completions", "responses", "messages", "count_tokens", "models"];

pub struct Exchange {
    pub id: String,
    pub provider: &'static str,
    pub api: String,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Option<String>,
    pub status: u16,
    pub answer_type: Option<String>,
    pub answer: Option<Vec<u8>>,
    pub is_stream: bool,
}

#[derive(Deserialize)]
struct Line<'l> {
    id: String,
    api: String,
    #[serde(borrow)]
    request: RequestLine<'l>,
    #[serde(borrow)]
    response: ResponseLine<'l>,
}

#[derive(Deserialize)]
struct RequestLine<'l> {
    method: String,
    url: String,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(borrow)]
    body: Option<&'l RawValue>,
}

#[derive(Deserialize)]
struct ResponseLine<'l> {
    status: Option<u16>,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(borrow)]
    body: Option<&'l RawValue>,
    sse_text: Option<String>,
    text: Option<String>,
}

/// The recordings: `RINGWAY_CORPUS`, else those of this tree.
pub fn files() -> Vec<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/data");
    let directory = std::env::var_os("RINGWAY_CORPUS").map_or(ours, PathBuf::from);
    let file = |name: &&str| {
        let plain = directory.join(format!("{name}.jsonl"));
        if plain.is_file() { plain } else { directory.join(format!("{name}.jsonl.gz")) }
    };
    FILES.iter().map(file).collect()
}

pub fn exchanges(files: &[PathBuf]) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for (path, provider) in files.iter().zip(FILES) {
        for line in read(path).lines() {
            let line: Line<'_> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            exchanges.extend(exchange(line, provider).filter(|exchange| APIS.contains(&exchange.api.as_str())));
        }
    }
    exchanges
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}; RINGWAY_CORPUS names the directory", path.display()));
    let mut text = String::new();
    let read = match path.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        false => (&bytes[..]).read_to_string(&mut text),
    };
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

fn exchange(line: Line<'_>, provider: &'static str) -> Option<Exchange> {
    let text = |(name, value): (String, serde_json::Value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()));
    let (_, after_scheme) = line.request.url.split_once("://")?;
    let target = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let response = line.response;
    let answer_fields: Vec<_> = response.headers.into_iter().filter_map(text).collect();
    let is_stream = response.sse_text.is_some();
    Some(Exchange {
        id: line.id,
        provider,
        api: line.api,
        method: line.request.method,
        target: target.to_owned(),
        fields: line.request.headers.into_iter().filter_map(text).collect(),
        body: line.request.body.map(|body| body.get().to_owned()),
        status: response.status.unwrap_or(200),
        answer_type: answer_fields.into_iter().find(|(name, _)| name == "content-type").map(|(_, value)| value),
        answer: response.sse_text.or(response.text).or(response.body.map(|body| body.get().to_owned())).map(String::into_bytes),
        is_stream,
    })
}
