//! Embeddings: texts in, vectors out.
//!
//! Forms as in the recorded traffic of api.openai.com, generativelanguage.googleapis.com, api.cohere.com, bedrock-runtime and
//! localhost:11434, read 2026-11-20.

use serde_json::{Map, Value, json};

use super::{Named, missing, texts};
use crate::fault::{Fault, Kind};
use crate::ir::{Gravity, Loss};

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Request {
    pub inputs: Vec<String>,
    pub dimensions: Option<u64>,
    /// What the vectors are for, in Cohere's words: `search_document`, `search_query`, `classification`, `clustering`.
    pub purpose: Option<String>,
    pub encoding: Encoding,
    /// It was asked in the form that takes one text alone.
    pub is_single: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Numbers,
    /// Little-endian 32-bit floats.
    Base64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub vectors: Vec<Vec<f64>>,
    pub input_tokens: u64,
    /// The provider's own, where its API has one.
    pub id: Option<String>,
}

/// One API's form.
pub(super) struct Row {
    dialect: &'static str,
    pub decode_request: fn(&Map<String, Value>) -> Result<Request, Fault>,
    pub encode_request: fn(&Request, model: &str, &mut Vec<Loss>) -> Result<Value, Fault>,
    pub decode_answer: fn(&Map<String, Value>) -> Option<Answer>,
    pub encode_answer: fn(&Answer, &Request, model: &str) -> Value,
}

impl Named for Row {
    fn dialect(&self) -> &'static str {
        self.dialect
    }
}

pub(super) const GEMINI: &str = "gemini";
/// Gemini's form where there is no path for several.
pub(super) const GEMINI_OF_ONE: &str = "gemini:embedContent";
pub(super) const VERB_OF_ONE: &str = ":embedContent";

pub(super) const ROWS: &[Row] = &[
    Row {
        dialect: "openai-chat",
        decode_request: openai_request,
        encode_request: to_openai,
        decode_answer: openai_answer,
        encode_answer: as_openai,
    },
    Row {
        dialect: GEMINI,
        decode_request: gemini_request,
        encode_request: to_gemini,
        decode_answer: gemini_answer,
        encode_answer: as_gemini,
    },
    Row {
        dialect: GEMINI_OF_ONE,
        decode_request: gemini_request,
        encode_request: to_gemini_of_one,
        decode_answer: gemini_answer,
        encode_answer: as_gemini,
    },
    Row {
        dialect: "cohere",
        decode_request: cohere_request,
        encode_request: to_cohere,
        decode_answer: cohere_answer,
        encode_answer: as_cohere,
    },
    Row {
        dialect: "cohere-v1",
        decode_request: cohere_request,
        encode_request: to_cohere,
        decode_answer: cohere_answer,
        encode_answer: as_cohere,
    },
    Row {
        dialect: "bedrock-invoke",
        decode_request: invoke_request,
        encode_request: to_invoke,
        decode_answer: invoke_answer,
        encode_answer: as_invoke,
    },
    Row {
        dialect: "ollama",
        decode_request: ollama_request,
        encode_request: to_ollama,
        decode_answer: ollama_answer,
        encode_answer: as_ollama,
    },
];

fn openai_request(body: &Map<String, Value>) -> Result<Request, Fault> {
    let inputs =
        texts(body.get("input")).ok_or_else(|| missing("input", "a text or a list of texts; token ids go to their own provider"))?;
    let encoding = if body.get("encoding_format") == Some(&json!("base64")) { Encoding::Base64 } else { Encoding::Numbers };
    let purpose = body.get("input_type").and_then(Value::as_str).map(str::to_owned);
    Ok(Request { inputs, dimensions: body.get("dimensions").and_then(Value::as_u64), purpose, encoding, is_single: false })
}

fn to_openai(asked: &Request, model: &str, losses: &mut Vec<Loss>) -> Result<Value, Fault> {
    lose_purpose(asked, losses);
    let mut body = json!({"model": model, "input": asked.inputs});
    if let Some(dimensions) = asked.dimensions {
        body["dimensions"] = dimensions.into();
    }
    Ok(body)
}

fn openai_answer(body: &Map<String, Value>) -> Option<Answer> {
    let mut rows: Vec<(u64, Vec<f64>)> = Vec::new();
    for (at, row) in body.get("data")?.as_array()?.iter().enumerate() {
        rows.push((row["index"].as_u64().unwrap_or(at as u64), vector(&row["embedding"])?));
    }
    rows.sort_by_key(|(index, _)| *index);
    let usage = &body.get("usage").unwrap_or(&Value::Null);
    let input_tokens = usage["prompt_tokens"].as_u64().or_else(|| usage["total_tokens"].as_u64()).unwrap_or(0);
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    Some(Answer { vectors: rows.into_iter().map(|(_, vector)| vector).collect(), input_tokens, id })
}

fn as_openai(answer: &Answer, asked: &Request, model: &str) -> Value {
    let rows = answer.vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = match asked.encoding {
            Encoding::Numbers => json!(vector),
            Encoding::Base64 => Value::String(base64(vector)),
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let tokens = answer.input_tokens;
    json!({"object": "list", "data": rows.collect::<Vec<_>>(), "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

/// Purposes in Cohere's words and in Gemini's (ai.google.dev/api/embeddings#tasktype, read 2026-11-20).
const PURPOSES: &[(&str, &str)] = &[
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("search_query", "RETRIEVAL_QUERY"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
];

fn gemini_request(body: &Map<String, Value>) -> Result<Request, Fault> {
    let one = |request: &Map<String, Value>| -> Option<String> {
        let parts = request.get("content")?.get("parts")?.as_array()?;
        parts.iter().map(|part| part["text"].as_str()).collect::<Option<Vec<_>>>().map(|texts| texts.concat())
    };
    let list = body.get("requests").and_then(Value::as_array);
    let requests: Vec<&Map<String, Value>> = match list {
        Some(list) => list.iter().filter_map(Value::as_object).collect(),
        None => vec![body],
    };
    let inputs: Option<Vec<String>> = requests.iter().map(|request| one(request)).collect();
    let inputs = inputs.filter(|inputs| !inputs.is_empty()).ok_or_else(|| missing("content", "parts of text"))?;
    let first = requests[0];
    let word = first.get("taskType").and_then(Value::as_str);
    let purpose = word.and_then(|word| PURPOSES.iter().find(|row| row.1 == word)).map(|row| row.0.to_owned());
    let dimensions = first.get("outputDimensionality").and_then(Value::as_u64);
    Ok(Request { inputs, dimensions, purpose, encoding: Encoding::Numbers, is_single: list.is_none() })
}

fn to_gemini(asked: &Request, model: &str, _: &mut Vec<Loss>) -> Result<Value, Fault> {
    let name = if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
    let task = asked.purpose.as_deref().and_then(|purpose| PURPOSES.iter().find(|row| row.0 == purpose)).map(|row| row.1);
    let requests = asked.inputs.iter().map(|text| {
        let mut request = json!({"model": name, "content": {"parts": [{"text": text}]}});
        if let Some(task) = task {
            request["taskType"] = task.into();
        }
        if let Some(dimensions) = asked.dimensions {
            request["outputDimensionality"] = dimensions.into();
        }
        request
    });
    Ok(json!({"requests": requests.collect::<Vec<_>>()}))
}

/// The path names the model.
fn to_gemini_of_one(asked: &Request, model: &str, losses: &mut Vec<Loss>) -> Result<Value, Fault> {
    only_text(asked, model)?;
    let mut request = to_gemini(asked, model, losses)?["requests"][0].take();
    request.as_object_mut().map(|request| request.remove("model"));
    Ok(request)
}

/// The one text, where the form takes no more.
fn only_text<'a>(asked: &'a Request, model: &str) -> Result<&'a str, Fault> {
    let [text] = asked.inputs.as_slice() else {
        let message = format!("{model} embeds one text a request, not {}; send them one by one", asked.inputs.len());
        return Err(Fault { param: Some("input".into()), ..Fault::new(Kind::InvalidRequest, message) });
    };
    Ok(text)
}

fn gemini_answer(body: &Map<String, Value>) -> Option<Answer> {
    let vectors = match body.get("embeddings") {
        Some(list) => list.as_array()?.iter().map(|row| vector(&row["values"])).collect::<Option<Vec<_>>>()?,
        None => vec![vector(&body.get("embedding")?["values"])?],
    };
    let input_tokens = body.get("usageMetadata").and_then(|usage| usage["promptTokenCount"].as_u64()).unwrap_or(0);
    Some(Answer { vectors, input_tokens, id: None })
}

fn as_gemini(answer: &Answer, asked: &Request, _: &str) -> Value {
    let rows: Vec<Value> = answer.vectors.iter().map(|vector| json!({"values": vector})).collect();
    let usage = json!({"promptTokenCount": answer.input_tokens});
    match (asked.is_single, rows.first()) {
        (true, Some(row)) => json!({"embedding": row, "usageMetadata": usage}),
        _ => json!({"embeddings": rows, "usageMetadata": usage}),
    }
}

fn cohere_request(body: &Map<String, Value>) -> Result<Request, Fault> {
    let of_inputs = || {
        let list = body.get("inputs")?.as_array()?;
        list.iter().map(|input| input["content"][0]["text"].as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let inputs = texts(body.get("texts")).or_else(of_inputs).ok_or_else(|| missing("texts", "a list of texts"))?;
    let purpose = body.get("input_type").and_then(Value::as_str).map(str::to_owned);
    Ok(Request {
        inputs,
        dimensions: body.get("output_dimension").and_then(Value::as_u64),
        purpose,
        encoding: Encoding::Numbers,
        // The first version's form, whose vectors stand in no object.
        is_single: body.get("embedding_types").is_none(),
    })
}

fn to_cohere(asked: &Request, model: &str, _: &mut Vec<Loss>) -> Result<Value, Fault> {
    let purpose = asked.purpose.as_deref().unwrap_or("search_document");
    let mut body = json!({"model": model, "texts": asked.inputs, "input_type": purpose, "embedding_types": ["float"]});
    if let Some(dimensions) = asked.dimensions {
        body["output_dimension"] = dimensions.into();
    }
    Ok(body)
}

fn cohere_answer(body: &Map<String, Value>) -> Option<Answer> {
    let embeddings = body.get("embeddings")?;
    let list = embeddings.get("float").unwrap_or(embeddings).as_array()?;
    let tokens = body.get("meta").and_then(|meta| meta["billed_units"]["input_tokens"].as_u64());
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    Some(Answer { vectors: list.iter().map(vector).collect::<Option<Vec<_>>>()?, input_tokens: tokens.unwrap_or(0), id })
}

fn as_cohere(answer: &Answer, asked: &Request, _: &str) -> Value {
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": answer.input_tokens}});
    let (embeddings, kind) = match asked.is_single {
        true => (json!(answer.vectors), "embeddings_floats"),
        false => (json!({"float": answer.vectors}), "embeddings_by_type"),
    };
    let id = answer.id.clone().unwrap_or_else(|| made_id(asked));
    json!({"id": id, "embeddings": embeddings, "texts": asked.inputs, "meta": meta, "response_type": kind})
}

/// An id in Cohere's form, a UUID, for an answer whose provider gave none. Of equal inputs it is equal: output is deterministic.
fn made_id(asked: &Request) -> String {
    let fold = |seed: u64| {
        let bytes = asked.inputs.iter().flat_map(|text| text.bytes().chain([0]));
        bytes.fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    let (high, low) = (fold(0xcbf2_9ce4_8422_2325), fold(0x9e37_79b9_7f4a_7c15));
    // Version 8 and the variant of RFC 9562 §5.8.
    let (middle, last) = ((high & 0x0fff) | 0x8000, (low >> 48 & 0x3fff) | 0x8000);
    format!("{:08x}-{:04x}-{middle:04x}-{last:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, low & 0xffff_ffff_ffff)
}

/// Titan's form, or that of Cohere's models there, which is Cohere's own.
fn invoke_request(body: &Map<String, Value>) -> Result<Request, Fault> {
    let Some(text) = body.get("inputText").and_then(Value::as_str) else { return cohere_request(body) };
    let dimensions = body.get("dimensions").and_then(Value::as_u64);
    Ok(Request { inputs: vec![text.to_owned()], dimensions, is_single: true, ..Request::default() })
}

fn to_invoke(asked: &Request, model: &str, losses: &mut Vec<Loss>) -> Result<Value, Fault> {
    if model.contains("cohere.") {
        let mut body = to_cohere(asked, model, losses)?;
        body.as_object_mut().map(|body| body.remove("model"));
        return Ok(body);
    }
    let text = only_text(asked, model)?;
    lose_purpose(asked, losses);
    let mut body = json!({"inputText": text});
    if let Some(dimensions) = asked.dimensions {
        body["dimensions"] = dimensions.into();
    }
    Ok(body)
}

fn invoke_answer(body: &Map<String, Value>) -> Option<Answer> {
    let Some(embedding) = body.get("embedding") else { return cohere_answer(body) };
    let input_tokens = body.get("inputTextTokenCount").and_then(Value::as_u64).unwrap_or(0);
    Some(Answer { vectors: vec![vector(embedding)?], input_tokens, id: None })
}

fn as_invoke(answer: &Answer, asked: &Request, model: &str) -> Value {
    match answer.vectors.as_slice() {
        [vector] if asked.purpose.is_none() && asked.is_single => {
            json!({"embedding": vector, "inputTextTokenCount": answer.input_tokens})
        }
        _ => as_cohere(answer, asked, model),
    }
}

fn ollama_request(body: &Map<String, Value>) -> Result<Request, Fault> {
    let inputs = texts(body.get("input").or_else(|| body.get("prompt"))).ok_or_else(|| missing("input", "a text or a list of texts"))?;
    let dimensions = body.get("dimensions").and_then(Value::as_u64);
    // The older path has a prompt in place of an input, and one vector.
    Ok(Request { inputs, dimensions, is_single: body.contains_key("prompt"), ..Request::default() })
}

fn to_ollama(asked: &Request, model: &str, losses: &mut Vec<Loss>) -> Result<Value, Fault> {
    lose_purpose(asked, losses);
    let mut body = json!({"model": model, "input": asked.inputs});
    if let Some(dimensions) = asked.dimensions {
        body["dimensions"] = dimensions.into();
    }
    Ok(body)
}

fn ollama_answer(body: &Map<String, Value>) -> Option<Answer> {
    let vectors = match body.get("embeddings") {
        Some(list) => list.as_array()?.iter().map(vector).collect::<Option<Vec<_>>>()?,
        None => vec![vector(body.get("embedding")?)?],
    };
    let input_tokens = body.get("prompt_eval_count").and_then(Value::as_u64).unwrap_or(0);
    Some(Answer { vectors, input_tokens, id: None })
}

fn as_ollama(answer: &Answer, asked: &Request, model: &str) -> Value {
    match (asked.is_single, answer.vectors.first()) {
        (true, Some(vector)) => json!({"embedding": vector}),
        _ => json!({"model": model, "embeddings": answer.vectors, "prompt_eval_count": answer.input_tokens}),
    }
}

fn lose_purpose(asked: &Request, losses: &mut Vec<Loss>) {
    if asked.purpose.is_some() {
        losses.push(Loss { field: "input_type".into(), gravity: Gravity::Tuning });
    }
}

/// Numbers, or base64 of little-endian 32-bit floats.
fn vector(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Array(list) => list.iter().map(Value::as_f64).collect(),
        Value::String(text) => {
            let bytes = unbase64(text)?;
            let floats = bytes.chunks_exact(4).filter_map(|bytes| bytes.first_chunk::<4>());
            (bytes.len() % 4 == 0).then(|| floats.map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect())
        }
        _ => None,
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 §4.
fn base64(vector: &[f64]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect();
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let index = (bits >> (18 - 6 * at)) & 63;
            out.push(if at <= group.len() { ALPHABET[index as usize] as char } else { '=' });
        }
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = ALPHABET.iter().position(|digit| *digit == byte)?;
        (bits, count) = (bits << 6 | digit as u32, count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
