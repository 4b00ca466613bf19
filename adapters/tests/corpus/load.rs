//! Reads the recorded exchanges: every file of the directory, plain or packed, whatever form its bodies have.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::apis::Api;
use crate::base64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Request,
    Answer,
}

pub struct Exchange {
    pub id: String,
    pub provider: String,
    pub api: String,
    pub model: String,
    /// What the recording says: in some dialects the path decides it.
    pub is_stream: bool,
    pub method: String,
    /// Without scheme, host and query; empty where no request was recorded.
    pub path: String,
    pub request: Option<Value>,
    pub status: u16,
    pub reply: Reply,
    /// How it is read.
    pub row: &'static Api,
}

pub enum Reply {
    Json(Value),
    Stream {
        bytes: Vec<u8>,
        chunk_sizes: Vec<usize>,
    },
    /// The payload of one event each, whose framing the recorder dropped.
    Events(Vec<String>),
    Text(String),
    Empty,
}

/// All exchanges; `RINGWAY_CORPUS_ONLY` is a prefix of the ids to take.
///
/// # Errors
/// A file that cannot be read, or a line that is no exchange, named.
pub fn exchanges() -> Result<Vec<Exchange>, String> {
    let only = std::env::var("RINGWAY_CORPUS_ONLY").unwrap_or_default();
    let mut exchanges = Vec::new();
    for path in files()? {
        for (index, line) in read(&path)?.lines().enumerate() {
            let value: Value = serde_json::from_str(line).map_err(|error| format!("{} line {}: {error}", path.display(), index + 1))?;
            exchanges.extend(Some(exchange(value)).filter(|exchange| exchange.id.starts_with(&only)));
        }
    }
    Ok(exchanges)
}

/// `RINGWAY_CORPUS`, else the recordings of this tree; those without requests are in a directory below. Files whose names
/// begin with `_` hold no exchanges.
fn files() -> Result<Vec<PathBuf>, String> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/data");
    let directory = std::env::var_os("RINGWAY_CORPUS").map_or(recorded, PathBuf::from);
    let mut by_name = BTreeMap::new();
    for below in ["", "response_only"] {
        let listed = match fs::read_dir(directory.join(below)) {
            Ok(listed) => listed,
            Err(_) if !below.is_empty() => continue,
            Err(error) => return Err(format!("{}: {error}; RINGWAY_CORPUS names the directory", directory.display())),
        };
        for entry in listed {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".jsonl");
            if let Some(stem) = stem.filter(|stem| !stem.starts_with('_')) {
                by_name.insert(format!("{below}/{stem}"), path);
            }
        }
    }
    Ok(by_name.into_values().collect())
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut text = String::new();
    let read = match path.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        false => (&bytes[..]).read_to_string(&mut text),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text)
}

fn exchange(mut line: Value) -> Exchange {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let url = text(&line["request"]["url"]);
    let request = line["request"].get_mut("body").map(Value::take).filter(Value::is_object);
    let mut exchange = Exchange {
        id: text(&line["id"]),
        provider: text(&line["provider"]),
        api: text(&line["api"]),
        model: text(&line["model"]),
        is_stream: line["stream"] == true,
        method: text(&line["request"]["method"]),
        path: path(&url),
        request,
        status: line["response"]["status"].as_u64().unwrap_or(200) as u16,
        reply: reply(line["response"].take()),
        row: Api::any(),
    };
    exchange.row = Api::of(&exchange);
    exchange
}

fn path(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let below_host = path.split_once("://").map_or(path, |(_, rest)| rest).split_once('/');
    below_host.map_or(String::new(), |(_, rest)| format!("/{rest}"))
}

fn reply(mut response: Value) -> Reply {
    let sizes: Vec<Value> = response["chunk_sizes"].as_array().cloned().unwrap_or_default();
    let chunk_sizes = sizes.iter().filter_map(Value::as_u64).map(|size| size as usize).collect();
    let text = |name: &str| response[name].as_str();
    if let Some(text) = text("sse_text").or(text("ndjson_text")) {
        return Reply::Stream { bytes: text.as_bytes().to_vec(), chunk_sizes };
    }
    if let Some(lines) = text("event_json_lines") {
        return Reply::Events(lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect());
    }
    if response["eventstream"] == true {
        return Reply::Stream { bytes: text("base64").and_then(base64::decode).unwrap_or_default(), chunk_sizes };
    }
    if let Some(text) = text("text") {
        // Some recorders kept a binary event stream as base64: a frame begins with its length, below 64 KiB.
        return match base64::decode(text).filter(|_| text.starts_with("AAA")) {
            Some(bytes) => Reply::Stream { bytes, chunk_sizes },
            None => Reply::Text(text.to_owned()),
        };
    }
    match response.get_mut("body") {
        Some(body) => Reply::Json(body.take()),
        None => response["base64"].as_str().map_or(Reply::Empty, |text| Reply::Text(text.to_owned())),
    }
}
