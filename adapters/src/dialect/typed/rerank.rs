//! Rankings: a query and documents in, their order out.
//!
//! Forms as in the recorded traffic of bedrock-runtime (Cohere's model), localhost:8080 (llama.cpp), openrouter.ai and
//! api.voyageai.com, read 2026-11-20. Jina's and vLLM's are that of llama.cpp.

use serde_json::{Map, Value, json};

use super::{Named, missing};
use crate::fault::Fault;
use crate::usage::Usage;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Request {
    pub query: String,
    /// Texts, or objects that hold one; they go as they came.
    pub documents: Vec<Value>,
    pub top_n: Option<u64>,
    pub returns_documents: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// Index and score, best first.
    pub results: Vec<(u64, f64)>,
    pub usage: Usage,
}

/// One API's form.
pub(super) struct Row {
    dialect: &'static str,
    pub decode_request: fn(&Map<String, Value>) -> Result<Request, Fault>,
    pub encode_request: fn(&Request, model: &str) -> Value,
    pub decode_answer: fn(&Map<String, Value>) -> Option<Answer>,
    pub encode_answer: fn(&Answer, &Request, model: &str) -> Value,
}

impl Named for Row {
    fn dialect(&self) -> &'static str {
        self.dialect
    }
}

pub(super) const ROWS: &[Row] = &[
    Row { dialect: "openai-chat", decode_request, encode_request: to_common, decode_answer, encode_answer: as_common },
    Row { dialect: "cohere", decode_request, encode_request: to_cohere, decode_answer, encode_answer: as_cohere },
    Row { dialect: "cohere-v1", decode_request, encode_request: to_cohere, decode_answer, encode_answer: as_cohere },
    Row { dialect: "bedrock-invoke", decode_request, encode_request: to_invoke, decode_answer, encode_answer: as_invoke },
];

fn decode_request(body: &Map<String, Value>) -> Result<Request, Fault> {
    let query = body.get("query").and_then(Value::as_str).ok_or_else(|| missing("query", "a text"))?;
    let documents = body.get("documents").and_then(Value::as_array).filter(|list| !list.is_empty());
    Ok(Request {
        query: query.to_owned(),
        documents: documents.ok_or_else(|| missing("documents", "a list of texts"))?.clone(),
        top_n: body.get("top_n").or_else(|| body.get("top_k")).and_then(Value::as_u64),
        returns_documents: body.get("return_documents").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn to_common(asked: &Request, model: &str) -> Value {
    let mut body = json!({"model": model, "query": asked.query, "documents": asked.documents});
    if let Some(top_n) = asked.top_n {
        body["top_n"] = top_n.into();
    }
    body
}

/// Of documents the second version takes text alone (docs.cohere.com/v2/reference/rerank, read 2026-11-20).
fn to_cohere(asked: &Request, model: &str) -> Value {
    let documents: Vec<&Value> = asked.documents.iter().map(|document| document.get("text").unwrap_or(document)).collect();
    let mut body = to_common(asked, model);
    body["documents"] = json!(documents);
    body
}

fn to_invoke(asked: &Request, model: &str) -> Value {
    let mut body = to_cohere(asked, model);
    body.as_object_mut().map(|body| body.remove("model"));
    body["api_version"] = 2.into();
    body
}

/// `results`, or `data` where the list has that name.
fn decode_answer(body: &Map<String, Value>) -> Option<Answer> {
    let list = body.get("results").or_else(|| body.get("data"))?.as_array()?;
    let result = |row: &Value| Some((row["index"].as_u64()?, row["relevance_score"].as_f64().or_else(|| row["score"].as_f64())?));
    let count = |value: Option<&Value>, name: &str| value.and_then(|value| value[name].as_u64());
    let usage = body.get("usage");
    let units = body.get("meta").map(|meta| &meta["billed_units"]);
    Some(Answer {
        results: list.iter().map(result).collect::<Option<Vec<_>>>()?,
        usage: Usage {
            input: count(usage, "prompt_tokens").or_else(|| count(usage, "total_tokens")).unwrap_or(0),
            searches: count(units, "search_units").unwrap_or(0),
            ..Usage::default()
        },
    })
}

fn results(answer: &Answer, asked: &Request) -> Vec<Value> {
    let text = |index: u64| {
        let document = asked.documents.get(index as usize)?;
        document.get("text").unwrap_or(document).as_str()
    };
    let row = |(index, score): &(u64, f64)| match text(*index).filter(|_| asked.returns_documents) {
        Some(text) => json!({"index": index, "relevance_score": score, "document": {"text": text}}),
        None => json!({"index": index, "relevance_score": score}),
    };
    answer.results.iter().map(row).collect()
}

fn as_common(answer: &Answer, asked: &Request, model: &str) -> Value {
    let tokens = answer.usage.input;
    json!({"object": "list", "model": model, "results": results(answer, asked), "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

fn as_cohere(answer: &Answer, asked: &Request, _: &str) -> Value {
    let units = json!({"search_units": answer.usage.searches.max(1)});
    json!({"results": results(answer, asked), "meta": {"api_version": {"version": "2"}, "billed_units": units}})
}

fn as_invoke(answer: &Answer, asked: &Request, _: &str) -> Value {
    json!({"results": results(answer, asked)})
}
