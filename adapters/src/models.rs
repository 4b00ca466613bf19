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

/// How a dialect writes models.
struct Shape {
    open: &'static [u8],
    write: fn(Model<'_>, &mut Vec<u8>),
    /// Ends the list; takes the first and the last id.
    close: fn(Option<&str>, Option<&str>, &mut Vec<u8>),
}

fn shape(dialect: DialectId) -> &'static Shape {
    match dialect {
        DialectId::OpenaiChat | DialectId::OpenaiResponses => &OPENAI,
        DialectId::Anthropic => &ANTHROPIC,
    }
}

/// When a model was made is not known here; SDKs want the field all the same, and the epoch says so best.
const OPENAI: Shape = Shape {
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

const ANTHROPIC: Shape = Shape {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MODELS: [Model<'static>; 2] =
        [Model { id: "openai/gpt-4.1", provider: "openai" }, Model { id: "a \"quoted\" route", provider: "ringway" }];

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
    }

    #[test]
    fn empty_lists_are_lists() {
        assert_eq!(listed(DialectId::OpenaiResponses, &[]), json!({"object": "list", "data": []}));
        assert_eq!(listed(DialectId::Anthropic, &[]), json!({"data": [], "has_more": false, "first_id": null, "last_id": null}));
    }

    #[test]
    fn one_model_is_an_element_of_the_list() {
        for dialect in [DialectId::OpenaiChat, DialectId::Anthropic] {
            let mut out = Vec::new();
            one(dialect, MODELS[1], &mut out);
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), listed(dialect, &MODELS)["data"][1]);
        }
    }
}
