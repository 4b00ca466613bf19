//! Reads the recorded exchanges.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ringway_adapters::dialect::DialectId;
use serde_json::Value;

/// `RINGWAY_CORPUS_FILES` names others, with commas between: providers that imitate the dialects.
const FILES: &str = "openai,anthropic,azure";
const APIS: &[(&str, Option<DialectId>)] = &[
    ("chat", Some(DialectId::OpenaiChat)),
    ("responses", Some(DialectId::OpenaiResponses)),
    ("messages", Some(DialectId::Anthropic)),
    ("count_tokens", Some(DialectId::Anthropic)),
    ("completions", None),
    ("models", None),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Request,
    Answer,
}

pub struct Exchange {
    pub id: String,
    pub provider: String,
    pub api: String,
    /// None where adapters have no codec: the bodies only pass through.
    pub dialect: Option<DialectId>,
    pub method: String,
    pub path: String,
    pub request: Option<Value>,
    pub status: u16,
    pub reply: Reply,
}

pub enum Reply {
    Json(Value),
    Stream { text: String, chunk_sizes: Vec<usize> },
    Empty,
}

pub fn exchanges() -> Result<Vec<Exchange>, String> {
    let directory = directory();
    let only = std::env::var("RINGWAY_CORPUS_ONLY").unwrap_or_default();
    let mut exchanges = Vec::new();
    let files = std::env::var("RINGWAY_CORPUS_FILES").unwrap_or_else(|_| FILES.to_owned());
    for file in files.split(',') {
        let text = read(&directory, file)?;
        for (index, line) in text.lines().enumerate() {
            let value: Value = serde_json::from_str(line).map_err(|error| format!("{file}.jsonl line {}: {error}", index + 1))?;
            exchanges.extend(exchange(value).filter(|exchange| exchange.id.starts_with(&only)));
        }
    }
    Ok(exchanges)
}

fn directory() -> PathBuf {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/data");
    std::env::var_os("RINGWAY_CORPUS").map_or(recorded, PathBuf::from)
}

/// `NAME.jsonl`, else `NAME.jsonl.gz`.
fn read(directory: &Path, name: &str) -> Result<String, String> {
    let plain = directory.join(format!("{name}.jsonl"));
    let packed = directory.join(format!("{name}.jsonl.gz"));
    let path = if plain.is_file() { plain } else { packed };
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}; RINGWAY_CORPUS names the directory", path.display()))?;
    let mut text = String::new();
    let read = match path.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        false => (&bytes[..]).read_to_string(&mut text),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text)
}

fn exchange(mut line: Value) -> Option<Exchange> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api = text(&line["api"]);
    let dialect = APIS.iter().find(|row| row.0 == api)?.1;
    let url = text(&line["request"]["url"]);
    let path = url.split('?').next().unwrap_or_default().splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    let mut response = line["response"].take();
    let reply = if let Some(text) = response["sse_text"].as_str() {
        let sizes = response["chunk_sizes"].as_array().cloned().unwrap_or_default();
        Reply::Stream { text: text.to_owned(), chunk_sizes: sizes.iter().filter_map(Value::as_u64).map(|size| size as usize).collect() }
    } else if response.get("body").is_some() {
        Reply::Json(response["body"].take())
    } else {
        Reply::Empty
    };
    Some(Exchange {
        id: text(&line["id"]),
        provider: text(&line["provider"]),
        api,
        dialect,
        method: text(&line["request"]["method"]),
        path,
        request: line["request"].get_mut("body").map(Value::take).filter(Value::is_object),
        status: response["status"].as_u64().unwrap_or_default() as u16,
        reply,
    })
}
