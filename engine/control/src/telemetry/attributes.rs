//! Attributes: names with values, as OTLP wants them, and what the snapshot knows of the providers that they name.

use std::sync::Arc;

use ahash::AHashMap;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use ringway_policy::snapshot::Snapshot;

/// Attributes that are being gathered.
#[derive(Default)]
pub struct Attributes(Vec<KeyValue>);

impl Attributes {
    pub fn text(&mut self, key: &str, value: impl Into<String>) {
        self.push(key, Value::StringValue(value.into()));
    }

    pub fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    pub fn number(&mut self, key: &str, value: u64) {
        self.push(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    pub fn real(&mut self, key: &str, value: f64) {
        self.push(key, Value::DoubleValue(value));
    }

    pub fn flag(&mut self, key: &str, value: bool) {
        self.push(key, Value::BoolValue(value));
    }

    pub fn done(self) -> Vec<KeyValue> {
        self.0
    }

    fn push(&mut self, key: &str, value: Value) {
        self.0.push(KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 });
    }
}

/// A text as a value.
pub fn text_value(text: String) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text)) }
}

/// What the conventions want to know of a provider.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its well-known name, or the one in the file.
    pub name: String,
    pub host: Arc<str>,
    pub port: u16,
}

/// The providers of one snapshot, by their names in the file.
#[derive(Debug, Default)]
pub struct Providers(AHashMap<Arc<str>, Known>);

impl Providers {
    pub fn of(snapshot: &Snapshot) -> Providers {
        let known = snapshot.providers.iter().map(|upstream| {
            let name = upstream.provider.telemetry.clone().unwrap_or_else(|| upstream.name.to_string());
            (upstream.name.clone(), Known { name, host: upstream.endpoint.host.clone(), port: upstream.endpoint.port })
        });
        Providers(known.collect())
    }

    /// A provider's name for telemetry; one that is configured no more keeps its own.
    pub fn name<'a>(&'a self, provider: &'a str) -> &'a str {
        self.0.get(provider).map_or(provider, |known| &known.name)
    }

    /// Says where a provider is.
    pub fn place(&self, provider: &str, attributes: &mut Attributes) {
        use super::conventions::{SERVER_ADDRESS, SERVER_PORT};
        if let Some(known) = self.0.get(provider).filter(|known| !known.host.is_empty()) {
            attributes.text(SERVER_ADDRESS, &*known.host);
            attributes.number(SERVER_PORT, u64::from(known.port));
        }
    }
}
