//! The simplest JSON value that a JSON schema allows.

use serde_json::{Map, Value, json};

/// Schemas nested deeper than this get null.
const DEPTH_MAX: u32 = 12;

/// Fills the required properties (all, where none is said to be required) with simple values.
pub(super) fn sample(schema: &Value) -> Value {
    value_of(schema, schema, 0)
}

fn value_of(schema: &Value, root: &Value, depth: u32) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(fixed) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
        return fixed.clone();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|name| root.pointer(name.strip_prefix('#')?)) {
        return value_of(target, root, depth + 1);
    }
    if let Some(choice) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(key)?.get(0)) {
        return value_of(choice, root, depth + 1);
    }
    let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind));
    match kind.and_then(Value::as_str) {
        Some("string") => json!("text"),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("number") => schema.get("minimum").cloned().unwrap_or(json!(1.5)),
        Some("boolean") => json!(true),
        Some("array") => json!([value_of(schema.get("items").unwrap_or(&Value::Null), root, depth + 1)]),
        Some("object") => object_of(schema, root, depth),
        None if schema.get("properties").is_some() => object_of(schema, root, depth),
        _ => Value::Null,
    }
}

fn object_of(schema: &Value, root: &Value, depth: u32) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let mut object = Map::new();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if required.is_none_or(|required| required.iter().any(|wanted| wanted == name)) {
            object.insert(name.clone(), value_of(property, root, depth + 1));
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_filled_and_references_followed() {
        let schema = json!({"type": "object", "required": ["city", "days", "kind"], "properties": {
            "city": {"type": "string"}, "skipped": {"type": "string"}, "days": {"type": "array", "items": {"$ref": "#/$defs/day"}},
            "kind": {"enum": ["a", "b"]}}, "$defs": {"day": {"type": ["integer", "null"]}}});
        assert_eq!(sample(&schema), json!({"city": "text", "days": [1], "kind": "a"}));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
        assert!(sample(&schema).is_object());
    }
}
