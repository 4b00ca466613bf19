//! The gateway's own answers to `/v1/models`, in the client's dialect.

use crate::dialect::DialectId;
use crate::json::patch::write_string;

/// A model as a client may ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model<'a> {
    /// What the client writes: `provider/model` or a route's name.
    pub id: &'a str,
    /// The provider's name, or the gateway's own for a route.
    pub provider: &'a str,
    /// Most tokens of a request and its answer, where they are known.
    pub context_tokens_max: Option<u64>,
    pub output_tokens_max: Option<u64>,
}

/// Appends the list of `models` in their order. It is whole: there is no second page.
pub fn list<'a>(dialect: DialectId, models: impl Iterator<Item = Model<'a>>, out: &mut Vec<u8>) {
    let shape = shape(dialect);
    out.extend_from_slice(shape.open);
    let (mut first, mut last) = (None, None);
    for model in models {
        if first.is_some() {
            out.push(b',');
        }
        (shape.write)(model, out);
        first = first.or(Some(model.id));
        last = Some(model.id);
    }
    (shape.close)(first, last, out);
}

/// Appends one model.
pub fn one(dialect: DialectId, model: Model<'_>, out: &mut Vec<u8>) {
    (shape(dialect).write)(model, out);
}

/// The dialect tells a model's limits.
pub fn tells_limits(dialect: DialectId) -> bool {
    shape(dialect).tells_limits
}

/// How a dialect writes models.
struct Shape {
    tells_limits: bool,
    open: &'static [u8],
    write: fn(Model<'_>, &mut Vec<u8>),
    /// Ends the list; takes the first and the last id.
    close: fn(Option<&str>, Option<&str>, &mut Vec<u8>),
}

fn shape(dialect: DialectId) -> &'static Shape {
    match dialect {
        DialectId::Anthropic => &ANTHROPIC,
        DialectId::Cohere | DialectId::CohereV1 | DialectId::Ollama => &NAMED,
        DialectId::Gemini => &GEMINI,
        _ => &OPENAI,
    }
}

/// When a model was made is not known here; SDKs want the field all the same, and the epoch says so best.
const OPENAI: Shape = Shape {
    tells_limits: false,
    open: b"{\"object\":\"list\",\"data\":[",
    write: |model, out| {
        out.extend_from_slice(b"{\"id\":");
        write_string(model.id, out);
        out.extend_from_slice(b",\"object\":\"model\",\"created\":0,\"owned_by\":");
        write_string(model.provider, out);
        out.push(b'}');
    },
    close: |_, _, out| out.extend_from_slice(b"]}"),
};

/// Cohere's and Ollama's: a model is its name.
const NAMED: Shape = Shape {
    tells_limits: false,
    open: b"{\"models\":[",
    write: |model, out| {
        out.extend_from_slice(b"{\"name\":");
        write_string(model.id, out);
        out.extend_from_slice(b",\"model\":");
        write_string(model.id, out);
        out.extend_from_slice(b",\"modified_at\":\"1970-01-01T00:00:00Z\",\"endpoints\":[\"chat\"]}");
    },
    close: |_, _, out| out.extend_from_slice(b"]}"),
};

const ANTHROPIC: Shape = Shape {
    tells_limits: false,
    open: b"{\"data\":[",
    write: |model, out| {
        out.extend_from_slice(b"{\"type\":\"model\",\"id\":");
        write_string(model.id, out);
        out.extend_from_slice(b",\"display_name\":");
        write_string(model.id, out);
        out.extend_from_slice(b",\"created_at\":\"1970-01-01T00:00:00Z\"}");
    },
    close: |first, last, out| {
        out.extend_from_slice(b"],\"has_more\":false");
        for (key, id) in [("first_id", first), ("last_id", last)] {
            out.extend_from_slice(format!(",\"{key}\":").as_bytes());
            match id {
                Some(id) => write_string(id, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    },
};

/// Names begin with `models/`, and limits stand beside them, as recorded. Whoever lists models wants those that generate.
const GEMINI: Shape = Shape {
    tells_limits: true,
    open: b"{\"models\":[",
    write: |model, out| {
        out.extend_from_slice(b"{\"name\":");
        write_string(&format!("models/{}", model.id), out);
        out.extend_from_slice(b",\"version\":\"\",\"displayName\":");
        write_string(model.id, out);
        for (key, limit) in [("inputTokenLimit", model.context_tokens_max), ("outputTokenLimit", model.output_tokens_max)] {
            if let Some(limit) = limit {
                out.extend_from_slice(format!(",\"{key}\":{limit}").as_bytes());
            }
        }
        out.extend_from_slice(b",\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\"]}");
    },
    close: |_, _, out| out.extend_from_slice(b"]}"),
};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MODELS: [Model<'static>; 2] = [
        Model { context_tokens_max: Some(1_047_576), output_tokens_max: Some(32_768), ..named("openai/gpt-4.1", "openai") },
        named("a \"quoted\" route", "ringway"),
    ];

    const fn named<'a>(id: &'a str, provider: &'a str) -> Model<'a> {
        Model { id, provider, context_tokens_max: None, output_tokens_max: None }
    }

    fn listed(dialect: DialectId, models: &[Model<'_>]) -> Value {
        let mut out = Vec::new();
        list(dialect, models.iter().copied(), &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn lists_have_the_shape_of_the_clients_dialect() {
        let openai = listed(DialectId::OpenaiChat, &MODELS);
        assert_eq!(openai["object"], "list");
        assert_eq!(openai["data"][0], json!({"id": "openai/gpt-4.1", "object": "model", "created": 0, "owned_by": "openai"}));
        assert_eq!(openai["data"][1]["id"], MODELS[1].id);
        let anthropic = listed(DialectId::Anthropic, &MODELS);
        assert_eq!(anthropic["data"][1]["display_name"], MODELS[1].id);
        assert_eq!(anthropic["data"][0]["type"], "model");
        assert_eq!((&anthropic["first_id"], &anthropic["last_id"]), (&json!(MODELS[0].id), &json!(MODELS[1].id)));
        assert_eq!(anthropic["has_more"], false);
        assert_eq!(listed(DialectId::Ollama, &MODELS)["models"][0]["name"], MODELS[0].id);
        let gemini = listed(DialectId::Gemini, &MODELS);
        assert_eq!(
            gemini["models"][0],
            json!({
                "name": "models/openai/gpt-4.1",
                "version": "",
                "displayName": "openai/gpt-4.1",
                "inputTokenLimit": 1_047_576,
                "outputTokenLimit": 32_768,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            })
        );
        assert_eq!(gemini["models"][1].get("inputTokenLimit"), None);
    }

    #[test]
    fn empty_lists_are_lists() {
        assert_eq!(listed(DialectId::OpenaiResponses, &[]), json!({"object": "list", "data": []}));
        assert_eq!(listed(DialectId::Anthropic, &[]), json!({"data": [], "has_more": false, "first_id": null, "last_id": null}));
    }

    #[test]
    fn one_model_is_an_element_of_the_list() {
        for (dialect, name) in [(DialectId::OpenaiChat, "data"), (DialectId::Anthropic, "data"), (DialectId::Cohere, "models")] {
            let mut out = Vec::new();
            one(dialect, MODELS[1], &mut out);
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), listed(dialect, &MODELS)[name][1]);
        }
    }
}
