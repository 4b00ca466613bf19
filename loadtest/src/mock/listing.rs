//! The operations that generate nothing: models, embeddings, token counts.

use serde_json::{Value, json};

use super::INPUT_TOKENS;
use super::endpoint::Family;

const MODELS: &[&str] = &["mock", "bench", "gpt-4o-mini", "gpt-4.1", "claude-sonnet-4-5", "text-embedding-3-small"];
const EMBEDDING_DIMENSIONS_DEFAULT: u64 = 8;
const EMBEDDING_DIMENSIONS_MAX: u64 = 4096;

/// The list, or one model where the path names one.
pub(super) fn models(family: Family, path: &str) -> Value {
    let entry = |id: &str| match family {
        Family::Google => json!({"name": format!("models/{id}"), "displayName": id}),
        Family::Anthropic => json!({"type": "model", "id": id, "display_name": id, "created_at": "2025-10-01T00:00:00Z"}),
        _ => json!({"id": id, "object": "model", "created": 1_760_000_000, "owned_by": "mock"}),
    };
    if let Some((_, id)) = path.split_once("/models/") {
        return entry(id);
    }
    let data: Vec<Value> = MODELS.iter().copied().map(entry).collect();
    match family {
        Family::Google => json!({"models": data}),
        Family::Anthropic => json!({"data": data, "has_more": false, "first_id": MODELS[0], "last_id": MODELS[MODELS.len() - 1]}),
        _ => json!({"object": "list", "data": data}),
    }
}

/// One vector an input, as floats or, where `encoding_format` asks for it, base64 of little-endian f32.
pub(super) fn embeddings(model: &str, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let count =
        body.get("input").and_then(Value::as_array).map_or(1, |inputs| if inputs.iter().all(Value::is_number) { 1 } else { inputs.len() });
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(EMBEDDING_DIMENSIONS_DEFAULT).min(EMBEDDING_DIMENSIONS_MAX);
    let vector: Vec<f32> = (0..dimensions).map(|index| index as f32 / 8.0).collect();
    let embedding = if body.get("encoding_format") == Some(&json!("base64")) {
        json!(encode_base64(&vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
    } else {
        json!(vector)
    };
    let data: Vec<Value> = (0..count).map(|index| json!({"object": "embedding", "index": index, "embedding": embedding})).collect();
    json!({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS}})
}

pub(super) fn count_tokens() -> Value {
    json!({"input_tokens": INPUT_TOKENS})
}

/// RFC 4648 §4, padded.
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * position) & 63) as usize] as char;
            out.push(if position <= group.len() { letter } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in cases {
            assert_eq!(encode_base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn one_vector_an_input() {
        assert_eq!(embeddings("m", br#"{"input":["a","b"],"dimensions":2}"#)["data"].as_array().unwrap().len(), 2);
        assert_eq!(embeddings("m", br#"{"input":[1,2,3],"encoding_format":"base64","dimensions":1}"#)["data"][0]["embedding"], "AAAAAA==");
    }
}
