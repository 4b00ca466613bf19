//! The JSON Schema of the file, for editors. Made from the types, so that it cannot fall behind them.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{At, Config, Table};
use crate::plan::Trigger;

/// The schema of the whole file.
pub fn schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "ringway.yaml".into());
    }
    without_defaults(&mut schema);
    schema
}

/// Drops `default`: what derives know is the empty value, not what the gateway does in its place; the descriptions say that.
fn without_defaults(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            // A property may itself be called `default`; only the annotation is no schema.
            if map.get("default").is_some_and(|default| !default.is_object() || default.as_object().is_some_and(|map| map.is_empty())) {
                map.remove("default");
            }
            map.values_mut().for_each(without_defaults);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(without_defaults),
        _ => {}
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}s", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<T>();
        json_schema!({"type": "object", "additionalProperties": entry})
    }
}

pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1})
}

pub(super) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string", "minLength": 1}})
}

pub(super) fn one_or_many(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
}

pub(super) fn usage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"enum": ["inject", "tap"]})
}

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *(ms|s|m|h|d)$", "examples": ["500ms", "2s", "10m"]})
}

pub(super) fn size(_: &mut SchemaGenerator) -> Schema {
    let pattern = "^[0-9]+(\\.[0-9]+)? *([kKmMgG][iI]?[bB]?|[bB])?$";
    json_schema!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": pattern}], "examples": ["64KiB", "32MiB"]})
}

pub(super) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1})
}

pub(super) fn retries(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": crate::retry::ATTEMPTS_PER_TARGET_MAX - 1})
}

pub(super) fn ratio(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
}

pub(super) fn triggers(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = Trigger::WORDS.iter().map(|(word, _)| *word).collect();
    json_schema!({"type": "array", "items": {"enum": words}})
}

pub(super) fn breaker(generator: &mut SchemaGenerator) -> Schema {
    let settings = generator.subschema_for::<super::BreakerConfig>();
    json_schema!({"anyOf": [{"const": "off"}, settings]})
}

pub(super) fn keys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"anyOf": [{"type": "string", "minLength": 1}, {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "For records and the admin API. Default key-N."},
            "value": {"type": "string", "minLength": 1, "description": "The secret: \"${NAME}\" or \"${file:/path}\"."},
            "weight": {"type": "integer", "minimum": 0, "description": "Its share of the requests. Default 1."}
        },
        "required": ["value"],
        "additionalProperties": false
    }]}})
}

pub(super) fn models(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"anyOf": [{"type": "string", "minLength": 1}, {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "context": {"type": "integer", "minimum": 1, "description": "Tokens of prompt and answer together."},
            "input_usd_per_million": decimal("Dollars for a million tokens of prompt."),
            "output_usd_per_million": decimal("Dollars for a million tokens of answer.")
        },
        "required": ["name"],
        "additionalProperties": false
    }]}})
}

pub(super) fn targets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "maxItems": crate::plan::TARGETS_MAX, "items": {"anyOf": [
        {"type": "string", "minLength": 3},
        {
            "type": "object",
            "properties": {
                "model": {"type": "string", "minLength": 3, "description": "provider/model"},
                "weight": {"type": "integer", "minimum": 0, "description": "Its share of the requests. Default 1; 0 is tried last."}
            },
            "required": ["model"],
            "additionalProperties": false
        }
    ]}})
}

pub(super) fn limits(_: &mut SchemaGenerator) -> Schema {
    let count = || json_schema!({"type": "integer", "minimum": 1});
    json_schema!({"type": "array", "items": {"anyOf": [
        {"type": "object", "properties": {"requests": count(), "per": period()}, "required": ["requests", "per"], "additionalProperties": false},
        {"type": "object", "properties": {"tokens": count(), "per": period()}, "required": ["tokens", "per"], "additionalProperties": false},
        {"type": "object", "properties": {"concurrent": count()}, "required": ["concurrent"], "additionalProperties": false}
    ]}})
}

pub(super) fn budgets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "usd": decimal("Dollars, exactly: \"50.00\"."),
            "per": period(),
            "align": {"enum": ["calendar", "first_spend"], "description": "When the window begins. Default first_spend; calendar is UTC."}
        },
        "required": ["usd", "per"],
        "additionalProperties": false
    }})
}

fn period() -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *(s|m|h|d|w|mo)$", "examples": ["1m", "1d", "1mo"], "description": "1mo is 30 days."})
}

fn decimal(description: &str) -> Schema {
    json_schema!({"type": ["string", "number"], "pattern": "^[0-9]+(\\.[0-9]{1,9})?$", "description": description})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_and_field_is_described_and_closed() {
        let schema = schema();
        let root = schema["properties"].as_object().unwrap();
        for name in ["listen", "admin", "tls", "providers", "routes", "virtual_keys", "teams", "customers"] {
            assert!(root[name]["description"].is_string(), "{name}: {}", root[name]);
        }
        assert_eq!(root.len(), 8);
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            let Some(properties) = definition["properties"].as_object() else { continue };
            assert_eq!(definition["additionalProperties"], false, "{name}");
            for (field, property) in properties {
                assert!(property["description"].is_string(), "{name}.{field} has no description");
            }
        }
    }

    #[test]
    fn only_what_the_reader_demands_is_required() {
        let schema = schema();
        let required: Vec<(&String, &serde_json::Value)> = schema["$defs"]
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(name, definition)| Some((name, definition.get("required")?)))
            .collect();
        assert_eq!(required, [(&"Tls".to_owned(), &serde_json::json!(["cert", "key"]))]);
        assert!(schema.get("required").is_none());
    }
}
