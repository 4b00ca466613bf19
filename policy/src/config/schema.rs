//! The JSON Schema of the file, for editors. Made from the types, so that it cannot fall behind them.

use std::borrow::Cow;

use ringway_adapters::provider;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{At, Config, Measure, Table};
use crate::catalog::Abilities;
use crate::cost::{FAMILIES, Tariff};
use crate::plan::{Strategy, Trigger};

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

/// Adds the variables that the built-in providers have.
pub(super) fn with_variables(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) else { return };
    for name in super::variables::names(provider::builtins()) {
        let of: Vec<&str> = provider::builtins()
            .iter()
            .filter(|provider| provider.variables.iter().any(|variable| variable.name == name))
            .map(|provider| provider.name.as_str())
            .collect();
        let whose = if of.is_empty() { "the provider".to_owned() } else { of.join(", ") };
        let description = format!("What stands for {{{name}}} in the URL or the paths of {whose}.");
        properties.insert(name.to_owned(), serde_json::json!({"type": "string", "minLength": 1, "description": description}));
    }
}

pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1})
}

pub(super) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string", "minLength": 1}})
}

pub(super) fn named_texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": "string", "minLength": 1}})
}

pub(super) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "examples": ["2027-01-31", "2027-01-31T18:00:00Z", "2027-01-31T18:00:00+02:00"]})
}

pub(super) fn previous(generator: &mut SchemaGenerator) -> Schema {
    let key = described(text(generator), "The former key.");
    let key_sha256 = described(text(generator), "The SHA-256 of the former key, in place of key.");
    let until = described(instant(generator), "When it ends to work.");
    json_schema!({"type": "array", "items": {
        "type": "object",
        "properties": {"key": key, "key_sha256": key_sha256, "until": until},
        "required": ["until"],
        "additionalProperties": false
    }})
}

pub(super) fn one_or_many(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
}

pub(super) fn audit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"enum": ["off", "requests"]})
}

pub(super) fn usage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"enum": ["inject", "tap"]})
}

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *(ms|s|m|h|d)$", "examples": ["500ms", "2s", "10m"]})
}

pub(super) fn above(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "number"], "examples": ["80%", "5s", "3x"]})
}

pub(super) fn least(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["integer", "string", "number"], "examples": [20, "5.00"]})
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

pub(super) fn keys(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"anyOf": [{"type": "string", "minLength": 1}, {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "For records and the admin API. Default key-N."},
            "value": {"type": "string", "minLength": 1, "description": "The secret: \"${NAME}\" or \"${file:/path}\"."},
            "weight": {"type": "integer", "minimum": 0, "description": "Its share of the requests. Default 1."},
            "limits": described(limits(generator), "Rate limits of this key of the provider."),
            "budgets": described(budgets(generator), "Budgets of this key of the provider.")
        },
        "required": ["value"],
        "additionalProperties": false
    }]}})
}

pub(super) fn models(generator: &mut SchemaGenerator) -> Schema {
    let abilities: Vec<&str> = Abilities::WORDS.iter().map(|(word, _)| *word).collect();
    json_schema!({"type": "array", "items": {"anyOf": [{"type": "string", "minLength": 1}, {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "catalog": {"type": "string", "description": "Its name in the catalog, where that is another one: of a deployment or a fine-tune."},
            "context": {"type": "integer", "minimum": 1, "description": "Tokens of prompt and answer together."},
            "output_max": {"type": "integer", "minimum": 1, "description": "Most tokens of an answer."},
            "abilities": {"type": "array", "items": {"enum": abilities}, "description": "All that it can do, in place of the catalog's."},
            "price": price(),
            "limits": described(limits(generator), "Rate limits of this model of the provider."),
            "budgets": described(budgets(generator), "Budgets of this model of the provider.")
        },
        "required": ["name"],
        "additionalProperties": false
    }]}})
}

/// Rates in dollars: those of tokens and characters for a million, others for one.
fn price() -> Schema {
    let mut rates: Vec<(&str, Schema)> = FAMILIES.iter().map(|row| (row.1, decimal(row.4))).collect();
    let of = |rates: &[(&str, Schema)]| -> serde_json::Map<String, serde_json::Value> {
        rates.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone().to_value())).collect()
    };
    let plain = of(&rates);
    let tier = {
        let mut tier = plain.clone();
        tier.insert("above".to_owned(), serde_json::json!({"type": "integer", "minimum": 1, "description": "Tokens of the prompt."}));
        json_schema!({"type": "array", "description": "Rates of requests with a longer prompt.", "items": {
            "type": "object", "properties": tier, "required": ["above"], "additionalProperties": false
        }})
    };
    rates.push(("tiers", tier));
    let standard = of(&rates);
    for (name, _) in Tariff::WORDS.iter().skip(1) {
        let description = format!("Rates of requests that are processed as {name}.");
        rates.push((
            name,
            json_schema!({"type": "object", "description": description, "properties": standard, "additionalProperties": false}),
        ));
    }
    json_schema!({
        "type": "object",
        "description": "Dollars for a million tokens or characters, or for one of anything else. What is here takes the place of the catalog's.",
        "properties": of(&rates),
        "additionalProperties": false
    })
}

pub(super) fn margin(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "number"], "pattern": "^[+-]?[0-9]+(\\.[0-9]{1,6})? *%?$", "examples": ["10%", "-12.5%"]})
}

pub(super) fn targets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "maxItems": crate::plan::TARGETS_MAX, "items": {"anyOf": [
        {"type": "string", "minLength": 3},
        {
            "type": "object",
            "properties": {
                "model": {"type": "string", "minLength": 3, "description": "provider/model"},
                "weight": {"type": "integer", "minimum": 0, "description": "Its share of the requests. Default 1; 0 is tried last."},
                "when": condition()
            },
            "required": ["model"],
            "additionalProperties": false
        }
    ]}})
}

pub(super) fn strategy(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = Strategy::WORDS.iter().map(|(word, _)| *word).collect();
    let pattern = "^(user|session|key|header:[A-Za-z0-9._-]+|tag:[A-Za-z0-9._-]+)$";
    let hash = json_schema!({"type": "string", "pattern": pattern, "examples": ["user", "header:x-tenant", "tag:project"]});
    json_schema!({"anyOf": [
        {"enum": words},
        {"type": "object", "properties": {"hash": hash}, "required": ["hash"], "additionalProperties": false}
    ]})
}

pub(super) fn fallbacks(generator: &mut SchemaGenerator) -> Schema {
    let on = triggers(generator);
    json_schema!({"type": "array", "maxItems": crate::plan::TARGETS_MAX, "items": {"anyOf": [
        {"type": "string", "minLength": 3},
        {
            "type": "object",
            "properties": {"model": {"type": "string", "minLength": 3, "description": "provider/model"}, "on": on, "when": condition()},
            "required": ["model"],
            "additionalProperties": false
        }
    ]}})
}

fn share() -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,4})? *%$", "examples": ["1%", "0.5%"]})
}

pub(super) fn hedge(generator: &mut SchemaGenerator) -> Schema {
    let after = duration(generator);
    json_schema!({
        "type": "object",
        "properties": {"after": {"anyOf": [{"const": "p95"}, after]}, "cost_share": share()},
        "required": ["cost_share"],
        "additionalProperties": false
    })
}

pub(super) fn mirror(_: &mut SchemaGenerator) -> Schema {
    let share = share();
    json_schema!({
        "type": "object",
        "properties": {"model": {"type": "string", "minLength": 3, "description": "provider/model"}, "share": share},
        "required": ["model", "share"],
        "additionalProperties": false
    })
}

pub(super) fn aliases(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": "string", "minLength": 3, "description": "provider/model"}})
}

fn condition() -> Schema {
    let examples = [r#"request.tags.env == "eu" && request.tokens < 8000"#];
    json_schema!({"type": "string", "minLength": 1, "examples": examples, "description": "A condition in CEL: it takes part where this is true."})
}

pub(super) fn limits(_: &mut SchemaGenerator) -> Schema {
    limits_with(&json_schema!({}))
}

pub(super) fn selected_limits(_: &mut SchemaGenerator) -> Schema {
    limits_with(&selector())
}

pub(super) fn budgets(_: &mut SchemaGenerator) -> Schema {
    budgets_with(&json_schema!({}))
}

pub(super) fn selected_budgets(_: &mut SchemaGenerator) -> Schema {
    budgets_with(&selector())
}

/// The fields that say whom a limit or budget of the whole file is for.
fn selector() -> Schema {
    json_schema!({
        "model": {"type": "string", "minLength": 1, "description": "What goes to this provider/model, or to those that match: PROVIDER/MODEL*."},
        "provider": {"type": "string", "minLength": 1, "description": "What goes to this provider."},
        "tag": {"type": "string", "pattern": "^[^=]+=.+$", "description": "What carries this tag: env=dev."}
    })
}

/// An object with `own` fields and `more` of them.
fn closed(own: Schema, more: &Schema, required: &[&str]) -> Schema {
    let mut properties = own.to_value();
    if let (Some(properties), Some(more)) = (properties.as_object_mut(), more.as_object()) {
        properties.extend(more.clone());
    }
    json_schema!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn limits_with(more: &Schema) -> Schema {
    let one = |&(word, measure): &(&str, Measure)| {
        let count = json_schema!({"type": "integer", "minimum": 1});
        match measure {
            Measure::Concurrent => closed(json_schema!({word: count, "shadow": shadow()}), more, &[word]),
            _ => closed(json_schema!({word: count, "per": period(), "shadow": shadow()}), more, &[word, "per"]),
        }
    };
    let kinds: Vec<Schema> = Measure::WORDS.iter().map(one).collect();
    json_schema!({"type": "array", "items": {"anyOf": kinds}})
}

fn budgets_with(more: &Schema) -> Schema {
    let on_exhaust = json_schema!({
        "anyOf": [
            {"enum": ["refuse", "cut"]},
            {"type": "string", "pattern": "^downgrade: *[^ ].*$"},
            {"type": "object", "properties": {"downgrade": {"type": "string", "minLength": 1}}, "required": ["downgrade"], "additionalProperties": false}
        ],
        "description": "When it is used up: refuse new requests (default), cut running streams too, or send new ones to another route."
    });
    let one = |name: &str, amount: Schema| {
        let own = json_schema!({
            name: amount,
            "per": period(),
            "align": {"enum": ["calendar", "first_spend", "rolling"], "description": "When the window begins. Default first_spend, which rolling is too; calendar is UTC."},
            "utc_offset": {"type": "string", "pattern": "^[+-][0-9]{2}:[0-9]{2}$", "description": "East of UTC, for align: calendar: \"+02:00\"."},
            "month_start": {"type": "integer", "minimum": 1, "maximum": 28, "description": "The first day of a month, for align: calendar and per: 1mo."},
            "on_exhaust": on_exhaust.clone(),
            "shadow": shadow()
        });
        closed(own, more, &[name, "per"])
    };
    let kinds = [one("usd", decimal("Dollars, exactly: \"50.00\".")), one("tokens", json_schema!({"type": "integer", "minimum": 1}))];
    json_schema!({"type": "array", "items": {"anyOf": kinds}})
}

fn described(mut schema: Schema, description: &str) -> Schema {
    schema.insert("description".to_owned(), description.into());
    schema
}

fn shadow() -> Schema {
    json_schema!({"type": "boolean", "description": "Only reports, refuses nothing. Default false."})
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
        for name in [
            "listen",
            "admin",
            "tls",
            "providers",
            "routes",
            "aliases",
            "virtual_keys",
            "profiles",
            "teams",
            "customers",
            "limits",
            "budgets",
            "reserve",
            "state",
            "store",
            "queue",
            "channels",
            "alerts",
            "explain",
            "admin_tls",
            "admin_hosts",
            "admin_cors",
            "cors",
            "audit",
        ] {
            assert!(root[name]["description"].is_string(), "{name}: {}", root[name]);
        }
        assert_eq!(root.len(), 24);
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
        let demanded =
            [(&"Tls".to_owned(), &serde_json::json!(["cert", "key"])), (&"AlertConfig".to_owned(), &serde_json::json!(["watch"]))];
        assert_eq!(required, demanded);
        assert!(schema.get("required").is_none());
    }
}
