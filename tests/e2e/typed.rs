//! Embeddings and rankings: asked in one API, answered by another.

use ringway_tests::standin::{Asked, StandIn, json};
use serde_json::{Value, json};

use crate::client::post;
use crate::process::Ringway;

/// Asks each provider's own path in its own form, and answers as the recorded ones do.
fn provider() -> StandIn {
    StandIn::start(|asked| {
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        let known = ANSWERS.iter().find(|(end, _)| path.ends_with(end));
        known.map_or_else(|| json("404 Not Found", "{}"), |(_, body)| json("200 OK", body))
    })
}

/// What stands at the end of a path, and the answer there: of two texts, where the form takes two.
const ANSWERS: &[(&str, &str)] = &[
    (":batchEmbedContents", r#"{"embeddings":[{"values":[0.5,1]},{"values":[0.25,-0.5]}],"usageMetadata":{"promptTokenCount":8}}"#),
    (":embedContent", r#"{"embedding":{"values":[0.5,1]},"usageMetadata":{"promptTokenCount":8}}"#),
    (
        "/v2/embed",
        r#"{"id":"b718","embeddings":{"float":[[0.5,1],[0.25,-0.5]]},"meta":{"billed_units":{"input_tokens":8}},"response_type":"embeddings_by_type"}"#,
    ),
    ("amazon.titan-embed-text-v2%3A0/invoke", r#"{"embedding":[0.5,1],"embeddingsByType":{"float":[0.5,1]},"inputTextTokenCount":8}"#),
    ("cohere.embed-english-v3/invoke", r#"{"embeddings":[[0.5,1],[0.25,-0.5]],"id":"0e9c","response_type":"embeddings_floats"}"#),
    ("/api/embed", r#"{"model":"m","embeddings":[[0.5,1],[0.25,-0.5]],"prompt_eval_count":8}"#),
    (
        "/v1/embeddings",
        r#"{"object":"list","data":[{"object":"embedding","embedding":[0.5,1],"index":0},{"object":"embedding","embedding":[0.25,-0.5],"index":1}],"model":"m","usage":{"total_tokens":8}}"#,
    ),
    (
        "/voyage/v1/rerank",
        r#"{"object":"list","data":[{"relevance_score":0.75,"index":1},{"relevance_score":0.25,"index":0}],"model":"rerank-2","usage":{"total_tokens":13}}"#,
    ),
    (
        "/v1/rerank",
        r#"{"model":"m","results":[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":0.25}],"usage":{"total_tokens":13},"own":1}"#,
    ),
    (
        "/v2/rerank",
        r#"{"id":"r","results":[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":0.25}],"meta":{"billed_units":{"search_units":1}}}"#,
    ),
];

fn gateway(upstream: &StandIn) -> Ringway {
    Ringway::start(&format!(
        "providers:
  gemini: {{base_url: \"http://{0}\", keys: [k]}}
  cohere: {{base_url: \"http://{0}\", keys: [k]}}
  bedrock: {{base_url: \"http://{0}\", region: us-east-1, keys: [k]}}
  ollama: {{base_url: \"http://{0}\"}}
  voyage: {{base_url: \"http://{0}/voyage/v1\", keys: [k]}}
  jina: {{base_url: \"http://{0}/v1\", keys: [k]}}
  llamacpp: {{base_url: \"http://{0}/v1\", keys: [k]}}
",
        upstream.address
    ))
}

fn last(upstream: &StandIn) -> (String, Value) {
    let Asked { line, body, .. } = upstream.asked().pop().expect("the provider was asked");
    (line, serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn a_client_of_embeddings_reaches_every_api() {
    let upstream = provider();
    let ringway = gateway(&upstream);
    let both = json!(["Hello", "World"]);
    let part = |model: &str, text: &str| json!({"model": format!("models/{model}"), "content": {"parts": [{"text": text}]}, "outputDimensionality": 2});
    for (model, path, sent, tokens) in [
        (
            "gemini/gemini-embedding-001",
            "/v1beta/models/gemini-embedding-001:batchEmbedContents",
            json!({"requests": [part("gemini-embedding-001", "Hello"), part("gemini-embedding-001", "World")]}),
            8,
        ),
        (
            "cohere/embed-v4.0",
            "/v2/embed",
            json!({"model": "embed-v4.0", "texts": both, "input_type": "search_document", "embedding_types": ["float"], "output_dimension": 2}),
            8,
        ),
        (
            "bedrock/cohere.embed-english-v3",
            "/model/cohere.embed-english-v3/invoke",
            json!({"texts": both, "input_type": "search_document", "embedding_types": ["float"], "output_dimension": 2}),
            0,
        ),
        ("ollama/all-minilm", "/api/embed", json!({"model": "all-minilm", "input": both, "dimensions": 2}), 8),
    ] {
        let answer = post(ringway.address, "/v1/embeddings", &json!({"model": model, "input": both, "dimensions": 2}));
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let expected = json!({"object": "list", "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}, "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}, {"object": "embedding", "index": 1, "embedding": [0.25, -0.5]}]});
        assert_eq!(answer.json(), expected, "{model}");
        assert_eq!(last(&upstream), (format!("POST {path}"), sent), "{model}");
        let record = ringway.record();
        assert_eq!((&record["operation"], &record["usage"]["output"]), (&json!("embed"), &json!(0)), "{record}");
        assert!(record["usage"]["input"].as_u64().is_some_and(|input| input == tokens || (tokens == 0 && input > 0)), "{record}");
    }
    // Titan takes one text.
    let titan =
        |input: Value| post(ringway.address, "/v1/embeddings", &json!({"model": "bedrock/amazon.titan-embed-text-v2:0", "input": input}));
    let answer = titan(json!("Hello"));
    assert_eq!((answer.status, &answer.json()["data"][0]["embedding"]), (200, &json!([0.5, 1.0])), "{}", answer.text());
    assert_eq!(last(&upstream), ("POST /model/amazon.titan-embed-text-v2%3A0/invoke".to_owned(), json!({"inputText": "Hello"})));
    let refused = titan(both.clone());
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("input")), "{}", refused.text());
    // Voyage speaks the client's own API, with one other word.
    let answer = post(ringway.address, "/v1/embeddings", &json!({"model": "voyage/voyage-3", "input": both, "dimensions": 2}));
    assert_eq!((answer.status, &answer.json()["data"][1]["embedding"]), (200, &json!([0.25, -0.5])), "{}", answer.text());
    let sent = json!({"model": "voyage-3", "input": both, "output_dimension": 2});
    assert_eq!(last(&upstream), ("POST /voyage/v1/embeddings".to_owned(), sent));
}

#[test]
fn clients_of_other_apis_reach_embeddings() {
    let upstream = provider();
    let ringway = gateway(&upstream);
    let one = json!({"content": {"parts": [{"text": "Hello"}]}});
    let two = json!({"requests": [one, {"content": {"parts": [{"text": "World"}]}}]});
    let both = json!(["Hello", "World"]);
    for (path, body, pointer) in [
        ("/v1beta/models/voyage%2Fvoyage-3:batchEmbedContents", two, "/embeddings/1/values"),
        (
            "/v2/embed",
            json!({"model": "voyage/voyage-3", "texts": both, "input_type": "search_query", "embedding_types": ["float"]}),
            "/embeddings/float/1",
        ),
        ("/api/embed", json!({"model": "voyage/voyage-3", "input": both}), "/embeddings/1"),
    ] {
        let answer = post(ringway.address, path, &body);
        assert_eq!((answer.status, answer.json().pointer(pointer)), (200, Some(&json!([0.25, -0.5]))), "{path}: {}", answer.text());
        let (line, sent) = last(&upstream);
        assert_eq!((line.as_str(), &sent["input"]), ("POST /voyage/v1/embeddings", &both), "{path}");
    }
}

#[test]
fn a_ranking_reaches_every_api() {
    let upstream = provider();
    let ringway = gateway(&upstream);
    let documents = json!(["Paris", "Ruby"]);
    for (model, path, top) in [
        ("voyage/rerank-2", "/voyage/v1/rerank", "top_k"),
        ("jina/jina-reranker-v2", "/v1/rerank", "top_n"),
        ("cohere/rerank-v3.5", "/v2/rerank", "top_n"),
    ] {
        let body = json!({"model": model, "query": "what is ruby", "documents": documents, "top_n": 2});
        for door in ["/v2/rerank", "/v1/rerank"] {
            let answer = post(ringway.address, door, &body);
            let results = &answer.json()["results"];
            let ranks: Vec<(&Value, &Value)> =
                results.as_array().into_iter().flatten().map(|row| (&row["index"], &row["relevance_score"])).collect();
            assert_eq!(ranks, [(&json!(1), &json!(0.75)), (&json!(0), &json!(0.25))], "{door} {model}: {}", answer.text());
            let (line, sent) = last(&upstream);
            assert_eq!((line, &sent["documents"]), (format!("POST {path}"), &documents), "{door} {model}");
            assert_eq!((&sent[top], sent.as_object().map(|sent| sent.len())), (&json!(2), Some(4)), "{door} {model}: {sent}");
            assert_eq!(ringway.record()["operation"], "rerank");
        }
    }
}

/// A provider whose rankings have the form of its own that `rewrites` is for is told by its TOML; here the common form is asked for.
#[test]
fn a_ranking_of_the_same_api_goes_by_untouched() {
    let upstream = provider();
    let ringway = gateway(&upstream);
    let body = json!({"model": "llamacpp/bge", "query": "q", "documents": ["x", "y"]});
    let answer = post(ringway.address, "/v1/rerank", &body);
    assert_eq!((answer.status, &answer.json()["own"]), (200, &json!(1)), "{}", answer.text());
    assert_eq!(upstream.asked().pop().map(|asked| asked.line), Some("POST /v1/rerank".to_owned()));
}
