use serde_json::{Value, json};

use super::*;

/// A recorded request and answer in each form, of the same two texts where the form takes two.
const EMBEDDINGS: &[(&str, &str, &str)] = &[
    (
        "openai-chat",
        r#"{"model":"text-embedding-3-small","input":["Hello","World"],"dimensions":2}"#,
        r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[0.25,-0.5]},{"object":"embedding","index":0,"embedding":[0.5,1]}],"model":"x","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    ),
    (
        "gemini",
        r#"{"requests":[{"model":"models/gemini-embedding-2","content":{"parts":[{"text":"Hello"}]},"outputDimensionality":2},{"model":"models/gemini-embedding-2","content":{"parts":[{"text":"World"}]},"outputDimensionality":2}]}"#,
        r#"{"embeddings":[{"values":[0.5,1]},{"values":[0.25,-0.5]}],"usageMetadata":{"promptTokenCount":8,"promptTokenDetails":[{"modality":"TEXT","tokenCount":8}]}}"#,
    ),
    (
        "cohere",
        r#"{"model":"embed-v4.0","texts":["Hello","World"],"embedding_types":["float"],"output_dimension":2}"#,
        r#"{"id":"b718","texts":["Hello","World"],"embeddings":{"float":[[0.5,1],[0.25,-0.5]]},"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":8,"image_tokens":0}},"response_type":"embeddings_by_type"}"#,
    ),
    (
        "ollama",
        r#"{"model":"all-minilm","input":["Hello","World"],"dimensions":2}"#,
        r#"{"model":"all-minilm","embeddings":[[0.5,1],[0.25,-0.5]],"prompt_eval_count":8}"#,
    ),
];

fn read(text: &str) -> Map<String, Value> {
    object(text.as_bytes()).unwrap()
}

#[test]
fn embeddings_are_the_same_in_every_form() {
    for (from, asked, _) in EMBEDDINGS {
        let from = row(embed::ROWS, from, Operation::Embed).unwrap();
        let request = (from.decode_request)(&read(asked)).unwrap();
        assert_eq!((&request.inputs[..], request.dimensions), (&["Hello".to_owned(), "World".to_owned()][..], Some(2)), "{asked}");
        for (to, _, answered) in EMBEDDINGS {
            let to = row(embed::ROWS, to, Operation::Embed).unwrap();
            let sent = (to.encode_request)(&request, "m", &mut Vec::new()).unwrap();
            let again = (to.decode_request)(sent.as_object().unwrap()).unwrap();
            assert_eq!((again.inputs, again.dimensions), (request.inputs.clone(), Some(2)), "{sent}");
            let answer = (to.decode_answer)(&read(answered)).unwrap();
            assert_eq!((&answer.vectors[..], answer.input_tokens), (&[vec![0.5, 1.0], vec![0.25, -0.5]][..], 8));
            let back = (from.encode_answer)(&answer, &request, "m");
            let again = (from.decode_answer)(back.as_object().unwrap()).unwrap();
            assert_eq!((again.vectors, again.input_tokens), (answer.vectors, 8), "{back}");
        }
    }
}

#[test]
fn an_answer_in_coheres_form_has_an_id() {
    let cohere = row(embed::ROWS, "cohere", Operation::Embed).unwrap();
    let asked = (cohere.decode_request)(&read(EMBEDDINGS[2].1)).unwrap();
    let answer = embed::Answer { vectors: vec![vec![0.5]], ..embed::Answer::default() };
    let id = |answer: &embed::Answer| (cohere.encode_answer)(answer, &asked, "m")["id"].as_str().unwrap().to_owned();
    let made = id(&answer);
    assert_eq!((made.len(), made.split('-').map(str::len).collect::<Vec<_>>()), (36, vec![8, 4, 4, 4, 12]), "{made}");
    assert!(made == id(&answer) && made.as_bytes()[14] == b'8', "{made}");
    assert_eq!(id(&embed::Answer { id: Some("b718".to_owned()), ..answer }), "b718");
}

#[test]
fn one_text_goes_where_only_one_is_taken() {
    let openai = row(embed::ROWS, "openai-chat", Operation::Embed).unwrap();
    let asked = |text: &str| (openai.decode_request)(&read(text)).unwrap();
    let titan = row(embed::ROWS, "bedrock-invoke", Operation::Embed).unwrap();
    let model = "amazon.titan-embed-text-v2:0";
    let one = asked(r#"{"input":"Test","input_type":"search_query"}"#);
    let mut losses = Vec::new();
    assert_eq!((titan.encode_request)(&one, model, &mut losses).unwrap(), json!({"inputText": "Test"}));
    assert_eq!(losses.len(), 1, "it has no word for what the vectors are for");
    let two = asked(r#"{"input":["a","b"]}"#);
    assert!((titan.encode_request)(&two, model, &mut losses).unwrap_err().message.contains("one text a request"));
    let cohere = (titan.encode_request)(&two, "cohere.embed-english-v3", &mut losses).unwrap();
    assert_eq!(cohere, json!({"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}));
    let answer = (titan.decode_answer)(&read(r#"{"embedding":[0.5],"embeddingsByType":{"float":[0.5]},"inputTextTokenCount":4}"#)).unwrap();
    assert_eq!((answer.vectors, answer.input_tokens), (vec![vec![0.5]], 4));
    let answer =
        (titan.decode_answer)(&read(r#"{"embeddings":[[0.5],[1]],"id":"0e9c","response_type":"embeddings_floats","texts":["a","b"]}"#));
    assert_eq!(answer.unwrap().vectors.len(), 2);
}

#[test]
fn the_verb_of_the_path_tells_geminis_form() {
    let path = "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-embedding-2:embedContent";
    let ask = |body: &str, path: &str| request(Operation::Embed, DialectId::OpenaiChat, DialectId::Gemini, "m", path, body.as_bytes());
    let one = ask(r#"{"input":"a","dimensions":2}"#, path).unwrap();
    assert_eq!(String::from_utf8(one.body.clone()).unwrap(), r#"{"outputDimensionality":2,"content":{"parts":[{"text":"a"}]}}"#);
    let (answer, _) = one.answer("m", br#"{"embedding":{"values":[0.5]}}"#).unwrap();
    assert_eq!(read(std::str::from_utf8(&answer).unwrap())["data"][0]["embedding"], json!([0.5]));
    assert!(ask(r#"{"input":["a","b"]}"#, path).err().unwrap().message.contains("one text a request"));
    assert!(ask(r#"{"input":"a"}"#, "/v1beta/models/m:batchEmbedContents").unwrap().body.starts_with(b"{\"requests\":[{"));
}

#[test]
fn base64_is_read_and_written() {
    let openai = row(embed::ROWS, "openai-chat", Operation::Embed).unwrap();
    let asked = (openai.decode_request)(&read(r#"{"input":"x","encoding_format":"base64"}"#)).unwrap();
    for numbers in [vec![], vec![0.5], vec![1.0, -2.5], vec![0.0, 3.0, f64::from(1e-3_f32)]] {
        let answer = embed::Answer { vectors: vec![numbers], input_tokens: 1, id: None };
        let written = (openai.encode_answer)(&answer, &asked, "m");
        assert!(written["data"][0]["embedding"].is_string());
        assert_eq!((openai.decode_answer)(written.as_object().unwrap()), Some(answer));
    }
    let body = read(r#"{"data":[{"embedding":"AAAAPw=="}]}"#);
    assert_eq!((openai.decode_answer)(&body).unwrap().vectors, [[0.5]]);
    assert_eq!((openai.decode_answer)(&read(r#"{"data":[{"embedding":"AAA"}]}"#)), None);
    assert_eq!((openai.decode_answer)(&read(r#"{"data":[{"embedding":"A*=="}]}"#)), None);
}

#[test]
fn rankings_are_the_same_in_every_form() {
    let asked = r#"{"model":"m","query":"what is ruby","documents":["Paris","Ruby"],"top_n":2,"return_documents":true}"#;
    let answers = [
        r#"{"model":"bge","object":"list","results":[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":-4.5}],"usage":{"prompt_tokens":13,"total_tokens":13}}"#,
        r#"{"object":"list","data":[{"relevance_score":0.75,"index":1},{"relevance_score":-4.5,"index":0}],"model":"rerank-2-lite","usage":{"total_tokens":13}}"#,
        r#"{"results":[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":-4.5}]}"#,
    ];
    for from in rerank::ROWS {
        let request = (from.decode_request)(&read(asked)).unwrap();
        for to in rerank::ROWS {
            let sent = (to.encode_request)(&request, "m");
            let again = (to.decode_request)(sent.as_object().unwrap()).unwrap();
            assert_eq!((&again.query, &again.documents, again.top_n), (&request.query, &request.documents, Some(2)), "{sent}");
            for answered in answers {
                let answer = (to.decode_answer)(&read(answered)).unwrap();
                assert_eq!(answer.results, [(1, 0.75), (0, -4.5)]);
                let back = (from.encode_answer)(&answer, &request, "m");
                assert_eq!(back["results"][0], json!({"index": 1, "relevance_score": 0.75, "document": {"text": "Ruby"}}));
            }
        }
    }
}

#[test]
fn what_is_no_request_or_no_answer_says_so() {
    let chat = DialectId::OpenaiChat;
    for body in ["", "[]", "{}", r#"{"input":7}"#, r#"{"input":[1,2]}"#] {
        assert_eq!(request(Operation::Embed, chat, chat, "m", "", body.as_bytes()).err().unwrap().kind, Kind::InvalidRequest, "{body}");
    }
    let both = request(Operation::Embed, chat, chat, "m", "", br#"{"input":["a","b"]}"#).unwrap();
    for body in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{"embedding":[1]}]}"#, r#"{"data":[{"embedding":["x"]},{"embedding":[1]}]}"#] {
        assert_eq!(both.answer("m", body.as_bytes()).unwrap_err().kind, Kind::MalformedResponse, "{body}");
    }
    let other = request(Operation::Embed, chat, DialectId::Anthropic, "m", "", br#"{"input":"a"}"#);
    assert!(other.err().unwrap().message.contains("anthropic"));
    assert!(request(Operation::Moderate, chat, chat, "m", "", b"{}").is_err());
}
