//! Reads the recorded exchanges, with their request bodies as they were written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::apis::Api;
use crate::base64;

pub struct Exchange {
    pub id: String,
    pub provider: String,
    pub api: String,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Option<String>,
    pub status: u16,
    pub answer_fields: Vec<(String, String)>,
    pub answer: Option<Answer>,
    /// How it goes through the gateway; `None` where it does not.
    pub row: Option<&'static Api>,
}

pub enum Answer {
    Whole(String),
    Stream(String),
    /// Base64 in the recording.
    Binary(Vec<u8>),
}

impl Exchange {
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    pub fn answer_field(&self, name: &str) -> Option<&str> {
        self.answer_fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// What was recorded of the answer, as text.
    pub fn answer_text(&self) -> &str {
        match &self.answer {
            Some(Answer::Whole(text) | Answer::Stream(text)) => text,
            _ => "",
        }
    }
}

#[derive(Deserialize)]
struct Line<'l> {
    id: String,
    provider: String,
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
    ndjson_text: Option<String>,
    text: Option<String>,
    base64: Option<String>,
}

/// The recordings: `RINGWAY_CORPUS`, else those of this tree. Files whose names begin with `_` hold no exchanges, those in
/// `response_only` no requests.
pub fn files() -> Vec<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/data");
    let directory = std::env::var_os("RINGWAY_CORPUS").map_or(ours, PathBuf::from);
    let listed = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}; RINGWAY_CORPUS names it", directory.display()));
    let mut by_stem = BTreeMap::new();
    for path in listed.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".jsonl");
        if let Some(stem) = stem.filter(|stem| !stem.starts_with('_')) {
            by_stem.insert(stem.to_owned(), path);
        }
    }
    by_stem.into_values().collect()
}

pub fn exchanges(files: &[PathBuf]) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for path in files {
        for line in read(path).lines() {
            let line: Line<'_> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            exchanges.push(exchange(line));
        }
    }
    exchanges
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let read = match path.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        false => (&bytes[..]).read_to_string(&mut text),
    };
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

fn exchange(line: Line<'_>) -> Exchange {
    let text = |(name, value): (String, serde_json::Value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()));
    let after_scheme = line.request.url.split_once("://").map_or(line.request.url.as_str(), |(_, rest)| rest);
    let target = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let response = line.response;
    let whole = response.text.or(response.body.map(|body| body.get().to_owned())).map(Answer::Whole);
    let stream = response.sse_text.or(response.ndjson_text).map(Answer::Stream);
    let mut exchange = Exchange {
        id: line.id,
        provider: line.provider,
        api: line.api,
        method: line.request.method,
        target: target.split('#').next().unwrap_or_default().to_owned(),
        fields: line.request.headers.into_iter().filter_map(text).collect(),
        body: line.request.body.map(|body| body.get().to_owned()),
        status: response.status.unwrap_or(200),
        answer_fields: response.headers.into_iter().filter_map(text).collect(),
        answer: stream.or(whole).or(response.base64.and_then(|text| base64::decode(&text)).map(Answer::Binary)),
        row: None,
    };
    exchange.row = Api::of(&exchange);
    exchange
}
