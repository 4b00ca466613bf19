//! The JSON Schema of a provider's own facts. Words come from the tables that read them.

use ringway_adapters::dialect::DIALECTS;
use ringway_adapters::operation::Operation;
use schemars::{Schema, SchemaGenerator, json_schema};

pub(super) fn auth(_: &mut SchemaGenerator) -> Schema {
    let named = |word: &str, description: &str| {
        json_schema!({
            "type": "object",
            "properties": {word: {"type": "string", "minLength": 1, "description": description}},
            "required": [word],
            "additionalProperties": false
        })
    };
    json_schema!({"anyOf": [
        {"enum": ["bearer", "none"]},
        named("header", "The header that holds the bare key."),
        named("query", "The query parameter that holds the key."),
        named("scheme", "The word before the key in Authorization."),
        {
            "type": "object",
            "properties": {"sigv4": {
                "type": "object",
                "properties": {"service": {"type": "string", "minLength": 1}},
                "required": ["service"],
                "additionalProperties": false
            }},
            "required": ["sigv4"],
            "additionalProperties": false
        }
    ]})
}

pub(super) fn operations(_: &mut SchemaGenerator) -> Schema {
    let operations: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    let dialects: Vec<&str> = DIALECTS.iter().map(|row| row.name).collect();
    json_schema!({"type": "array", "minItems": 1, "items": {
        "type": "object",
        "properties": {
            "operation": {"enum": operations},
            "dialect": {"enum": dialects},
            "path": {"type": "string", "pattern": "^/", "description": "Below base_url; {model} stands for the model's name."},
            "stream_path": {"type": "string", "pattern": "^/", "description": "Where the answer is streamed, if elsewhere."},
            "models": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Of these alone; patterns with *."},
            "body": {
                "type": "object",
                "properties": {
                    "set": {"type": "object", "description": "Top-level fields with this value, whatever the client says."},
                    "drop": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Top-level fields that the path says."}
                },
                "additionalProperties": false
            }
        },
        "required": ["operation", "dialect", "path"],
        "additionalProperties": false
    }})
}

pub(super) fn quirks(generator: &mut SchemaGenerator) -> Schema {
    let texts = || json_schema!({"type": "array", "items": {"type": "string", "minLength": 1}});
    let flag = |description: &str| json_schema!({"type": "boolean", "description": description});
    json_schema!({
        "type": "object",
        "properties": {
            "drop": texts(),
            "rename": pairs(generator),
            "force": {"type": "object", "description": "Top-level request fields with this value, whatever the client says."},
            "reasoning_field": {"type": "string", "description": "What it calls an assistant message's thinking; empty: it refuses it."},
            "rewrites": {
                "type": "array",
                "items": {"enum": ["embed", "rerank"]},
                "description": "Operations with a form of their own within the dialect."
            },
            "stream_options": flag("It knows stream_options.include_usage."),
            "temperature_max": {"type": "number"},
            "flatten_content": flag("It wants message content as plain strings."),
            "prefill": flag("Every model continues a last assistant message."),
            "prefill_models": texts(),
            "api_version": {"type": "string", "description": "What {api_version} in a path stands for."}
        },
        "additionalProperties": false
    })
}

pub(super) fn pairs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}})
}

pub(super) fn rate_limits(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {
        "type": "object",
        "properties": {"remaining": {"type": "string"}, "reset": {"type": "string"}},
        "required": ["remaining", "reset"],
        "additionalProperties": false
    }})
}

#[cfg(test)]
mod tests {
    use ringway_adapters::provider::{Auth, Quirks, Served};
    use serde_json::Value;

    use super::super::{node, schema, typed};

    fn properties(pointer: &str) -> Vec<String> {
        let schema = schema();
        let field = schema.pointer(&format!("/$defs/ProviderConfig/properties/{pointer}")).unwrap_or_else(|| panic!("{pointer}"));
        let mut names: Vec<String> = field.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    /// The words of serde's complaint about a word that it does not know.
    fn expected<T: for<'n> serde::Deserialize<'n>>(text: &str) -> Vec<String> {
        let node = node::parse(text).unwrap();
        let mut problems = Vec::new();
        assert!(typed::read::<T>(&node, "it", &mut problems).is_none());
        let mut words: Vec<String> = problems[0].message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        words.sort();
        words
    }

    #[test]
    fn it_knows_the_fields_that_the_reader_knows() {
        assert_eq!(expected::<Quirks>("{zzz: 1}"), properties("quirks/properties"));
        assert_eq!(expected::<Vec<Served>>("[{zzz: 1}]"), properties("operations/items/properties"));
        let schema = schema();
        let auth = schema.pointer("/$defs/ProviderConfig/properties/auth/anyOf").and_then(Value::as_array).unwrap();
        let words = auth.iter().flat_map(|form| match form.get("enum") {
            Some(words) => words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            None => form["properties"].as_object().unwrap().keys().cloned().collect(),
        });
        let mut words: Vec<String> = words.collect();
        words.sort();
        assert_eq!(expected::<Auth>("zzz"), words);
    }
}
