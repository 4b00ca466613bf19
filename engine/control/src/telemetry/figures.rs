//! The GenAI metrics of OTLP: what records add up to since the start, or since the last export that arrived.
//!
//! Filled on the ledger's thread: one lookup a record. At most `ROWS_MAX` combinations of labels; the rest is `other`.

use ahash::AHashMap;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_policy::record::Record;

use super::attributes::{Attributes, Providers};
use super::conventions as names;
use super::settings::Temporality;
use crate::ledger::histogram::Histogram;

/// Combinations of operation, provider, model and error.
const ROWS_MAX: usize = 500;
const OTHER: &str = "other";

/// What is told apart. Models are those of providers, never what a client made up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels {
    operation: &'static str,
    provider: Box<str>,
    model: Box<str>,
    error: Option<&'static str>,
}

#[derive(Clone)]
struct Row {
    duration: Histogram,
    first_chunk: Histogram,
    /// Input and output of single operations.
    tokens: [Histogram; 2],
    usage: [u64; names::INFERENCE_USAGE.len()],
}

impl Row {
    fn new() -> Row {
        Row {
            duration: Histogram::new(names::SECONDS),
            first_chunk: Histogram::new(names::SECONDS),
            tokens: [Histogram::new(names::TOKENS), Histogram::new(names::TOKENS)],
            usage: [0; names::INFERENCE_USAGE.len()],
        }
    }
}

/// Everything that was counted.
#[derive(Default)]
pub struct Figures {
    rows: AHashMap<Labels, Row>,
}

impl Figures {
    /// Adds an exchange that reached a provider.
    pub fn observe(&mut self, record: &Record) {
        let Some(provider) = record.provider.as_deref() else { return };
        if record.mirror_of.is_some() || !is_inference(record.operation) {
            return;
        }
        let labels = Labels {
            operation: names::operation(record.operation),
            provider: provider.into(),
            model: record.model.as_deref().unwrap_or_default().into(),
            error: record.fault.map(|kind| kind.code()),
        };
        let labels = if self.rows.len() < ROWS_MAX || self.rows.contains_key(&labels) {
            labels
        } else {
            Labels { provider: OTHER.into(), model: OTHER.into(), ..labels }
        };
        let row = self.rows.entry(labels).or_insert_with(Row::new);
        row.duration.add_ns(record.total_ns);
        if record.mode == Mode::Stream && record.first_byte_ns > 0 {
            row.first_chunk.add_ns(record.first_byte_ns);
        }
        row.tokens[0].add(record.usage.input as f64);
        row.tokens[1].add(record.usage.output as f64);
        for (sum, (_, read)) in row.usage.iter_mut().zip(names::INFERENCE_USAGE) {
            *sum = sum.saturating_add(read(&record.usage));
        }
    }

    /// What there is now, to be sent.
    pub fn take(&mut self, temporality: Temporality) -> Taken {
        match temporality {
            Temporality::Cumulative => Taken { rows: self.rows.clone() },
            Temporality::Delta => Taken { rows: std::mem::take(&mut self.rows) },
        }
    }

    /// Puts back what did not arrive, where nothing else remembers it.
    pub fn put_back(&mut self, taken: Taken, temporality: Temporality) {
        if temporality == Temporality::Cumulative {
            return;
        }
        for (labels, old) in taken.rows {
            match self.rows.get_mut(&labels) {
                None => drop(self.rows.insert(labels, old)),
                Some(row) => {
                    row.duration.merge(&old.duration);
                    row.first_chunk.merge(&old.first_chunk);
                    row.tokens.iter_mut().zip(&old.tokens).for_each(|(histogram, old)| histogram.merge(old));
                    row.usage.iter_mut().zip(old.usage).for_each(|(sum, old)| *sum = sum.saturating_add(old));
                }
            }
        }
    }
}

/// Figures of one export.
pub struct Taken {
    rows: AHashMap<Labels, Row>,
}

/// The stretch of time that figures are of, in Unix nanoseconds.
#[derive(Clone, Copy)]
pub struct Span {
    pub from_ns: u64,
    pub to_ns: u64,
    pub temporality: Temporality,
}

impl Taken {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn metrics(&self, providers: &Providers, span: Span) -> Vec<otlp::Metric> {
        let point = |row: &Histogram, attributes: Vec<KeyValue>| histogram_point(row, attributes, span);
        let all = || self.rows.iter().map(|(labels, row)| (labels, row, attributes(labels, providers)));
        let histograms = |name: &str, unit: &str, help: &str, points: Vec<otlp::HistogramDataPoint>| {
            metric(name, unit, help, {
                Data::Histogram(otlp::Histogram { data_points: points, aggregation_temporality: temporality(span) })
            })
        };
        let of_tokens = |index: usize, kind: &'static str| {
            all().filter_map(move |(_, row, mut attributes)| {
                let histogram = row.tokens.get(index)?;
                attributes.text(names::TOKEN_TYPE, kind);
                Some(point(histogram, attributes.done()))
            })
        };
        let mut metrics = vec![
            histograms(
                names::TOKEN_USAGE,
                "{token}",
                "Number of input and output tokens used.",
                of_tokens(0, "input").chain(of_tokens(1, "output")).collect(),
            ),
            histograms(names::DURATION, "s", "GenAI operation duration.", {
                all().map(|(_, row, attributes)| point(&row.duration, attributes.done())).collect()
            }),
        ];
        let streamed = all().filter(|(labels, row, _)| labels.error.is_none() && row.first_chunk.count() > 0);
        let streamed: Vec<_> = streamed.map(|(_, row, attributes)| point(&row.first_chunk, attributes.done())).collect();
        if !streamed.is_empty() {
            metrics.push(histograms(names::FIRST_CHUNK, "s", "Time to receive the first chunk.", streamed));
        }
        for (index, name) in names::OPERATION_TOKENS.into_iter().enumerate() {
            let points = all().filter_map(|(_, row, attributes)| Some(point(row.tokens.get(index)?, attributes.done())));
            metrics.push(histograms(name, "{token}", "Tokens used per inference operation.", points.collect()));
        }
        for (index, (name, _)) in names::INFERENCE_USAGE.iter().enumerate() {
            let points = all().filter_map(|(_, row, mut attributes)| {
                attributes.text(names::TOKEN_MODALITY, names::MODALITY_UNKNOWN);
                Some(number_point(*row.usage.get(index)?, attributes.done(), span))
            });
            let data = otlp::Sum { data_points: points.collect(), aggregation_temporality: temporality(span), is_monotonic: true };
            metrics.push(metric(name, "{token}", "Tokens used.", Data::Sum(data)));
        }
        metrics
    }
}

fn is_inference(operation: Operation) -> bool {
    !matches!(operation, Operation::Models | Operation::Key | Operation::Files | Operation::Batch | Operation::CountTokens)
}

fn attributes(labels: &Labels, providers: &Providers) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.text(names::OPERATION, labels.operation);
    attributes.text(names::PROVIDER, providers.name(&labels.provider));
    attributes.text(names::REQUEST_MODEL, &*labels.model);
    attributes.text(names::RESPONSE_MODEL, &*labels.model);
    attributes.optional(names::ERROR_TYPE, labels.error);
    attributes
}

fn metric(name: &str, unit: &str, help: &str, data: Data) -> otlp::Metric {
    otlp::Metric { name: name.to_owned(), unit: unit.to_owned(), description: help.to_owned(), data: Some(data), ..otlp::Metric::default() }
}

fn temporality(span: Span) -> i32 {
    match span.temporality {
        Temporality::Cumulative => otlp::AggregationTemporality::Cumulative as i32,
        Temporality::Delta => otlp::AggregationTemporality::Delta as i32,
    }
}

fn histogram_point(histogram: &Histogram, attributes: Vec<KeyValue>, span: Span) -> otlp::HistogramDataPoint {
    otlp::HistogramDataPoint {
        attributes,
        start_time_unix_nano: span.from_ns,
        time_unix_nano: span.to_ns,
        count: histogram.count(),
        sum: Some(histogram.sum()),
        bucket_counts: histogram.counts().to_vec(),
        explicit_bounds: histogram.bounds().to_vec(),
        ..otlp::HistogramDataPoint::default()
    }
}

fn number_point(value: u64, attributes: Vec<KeyValue>, span: Span) -> otlp::NumberDataPoint {
    otlp::NumberDataPoint {
        attributes,
        start_time_unix_nano: span.from_ns,
        time_unix_nano: span.to_ns,
        value: Some(Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))),
        ..otlp::NumberDataPoint::default()
    }
}
