//! `Schema`, the subset of OpenAPI 3.0 that this dialect takes beside JSON Schema, into JSON Schema.
//!
//! Types are in upper case there, null is a flag, and counts are strings.
// ai.google.dev/api/caching#Schema, read 2026-11-20.

use serde_json::{Map, Value};

use super::name::camel;

/// The same as JSON Schema. Key order is kept.
pub(super) fn to_json_schema(schema: Value) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let mut out = Map::new();
    let mut is_nullable = false;
    for (name, value) in fields {
        let name = camel(&name).into_owned();
        match (name.as_str(), value) {
            ("type", Value::String(word)) if word == "TYPE_UNSPECIFIED" => {}
            ("type", Value::String(word)) => drop(out.insert(name, word.to_ascii_lowercase().into())),
            ("nullable", Value::Bool(value)) => is_nullable = value,
            // It only orders what is generated; the order of `properties` says the same.
            ("propertyOrdering", _) => {}
            ("minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength", Value::String(count)) => {
                let number = count.parse::<u64>().map_or(Value::String(count), Value::from);
                out.insert(name, number);
            }
            ("properties" | "$defs" | "defs" | "definitions", Value::Object(properties)) => {
                let properties: Map<String, Value> = properties.into_iter().map(|(key, value)| (key, to_json_schema(value))).collect();
                out.insert(name, properties.into());
            }
            ("items" | "additionalProperties" | "not", value) => drop(out.insert(name, to_json_schema(value))),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(all)) => {
                out.insert(name, all.into_iter().map(to_json_schema).collect());
            }
            (_, value) => drop(out.insert(name, value)),
        }
    }
    if is_nullable {
        add_null(&mut out);
    }
    out.into()
}

fn add_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type").filter(|kind| kind.is_string()) {
        *kind = Value::Array(vec![kind.take(), "null".into()]);
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum")
        && !words.contains(&Value::Null)
    {
        words.push(Value::Null);
    }
    if let Some(Value::Array(all)) = schema.get_mut("anyOf") {
        all.push(serde_json::json!({"type": "null"}));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_flags_and_counts_become_json_schema() {
        let schema = json!({
            "type": "OBJECT",
            "properties": {
                "type": {"type": "STRING", "nullable": true, "enum": ["a"]},
                "list": {"type": "ARRAY", "min_items": "1", "items": {"type": "INTEGER", "format": "int32"}},
                "either": {"anyOf": [{"type": "NUMBER"}], "nullable": true},
            },
            "required": ["type"],
            "propertyOrdering": ["type", "list"],
        });
        assert_eq!(
            to_json_schema(schema).to_string(),
            json!({
                "type": "object",
                "properties": {
                    "type": {"type": ["string", "null"], "enum": ["a", null]},
                    "list": {"type": "array", "minItems": 1, "items": {"type": "integer", "format": "int32"}},
                    "either": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                },
                "required": ["type"],
            })
            .to_string()
        );
    }

    #[test]
    fn json_schema_stays_as_it_is() {
        let schema =
            json!({"type": "object", "properties": {"a_b": {"$ref": "#/$defs/x"}}, "additionalProperties": false, "$defs": {"x": true}});
        assert_eq!(to_json_schema(schema.clone()), schema);
    }
}
