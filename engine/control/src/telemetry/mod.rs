//! OpenTelemetry: spans, metrics and log records of all exchanges, over OTLP/HTTP, as the `OTEL_*` variables say.
//!
//! The ledger's thread copies a record once and leaves it in the queues; tasks of the control plane send. A collector that is
//! slow or gone costs dropped records, which are counted, and nothing else.

pub mod attributes;
pub mod conventions;
pub mod figures;
pub mod log;
pub mod queue;
pub mod sender;
pub mod settings;
pub mod span;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use reqwest::Client;
use ringway_policy::record::Record;
use ringway_policy::trace::Sampler;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::attributes::{Attributes, Providers};
use self::figures::Figures;
use self::queue::{Counts, Queue};
use self::sender::{Patience, Sent, send};
use self::settings::{Settings, Target};
use crate::health::{Health, Part};
use crate::ledger::Sink;
use crate::publish::Publisher;
use crate::tokens::http;

/// Everything that exports; clones share it.
#[derive(Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct Shared {
    settings: Settings,
    client: Client,
    resource: Resource,
    scope: InstrumentationScope,
    publisher: Publisher,
    health: Arc<Health>,
    traces: Option<Queue>,
    logs: Option<Queue>,
    figures: Mutex<Figures>,
    figure_counts: Counts,
    begun_ns: u64,
    ends: AtomicBool,
    end: Notify,
}

/// How one signal fares, for metrics and the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub signal: &'static str,
    pub waiting: usize,
    pub sent: u64,
    pub dropped: u64,
}

impl Telemetry {
    /// Starts one task a signal. Call it inside the control plane's runtime.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn start(settings: Settings, version: &'static str, publisher: Publisher, health: Arc<Health>) -> Result<Telemetry, String> {
        let client = http::client()?.clone();
        let mut resource = Attributes::default();
        settings.resource.iter().for_each(|(name, value)| resource.text(name, value.clone()));
        resource.text("service.version", version);
        let shared = Arc::new(Shared {
            client,
            resource: Resource { attributes: resource.done(), ..Resource::default() },
            scope: InstrumentationScope { name: "ringway".to_owned(), version: version.to_owned(), ..InstrumentationScope::default() },
            publisher,
            health,
            traces: settings.traces.as_ref().map(|_| Queue::new(settings.traces_queue)),
            logs: settings.logs.as_ref().map(|_| Queue::new(settings.logs_queue)),
            figures: Mutex::default(),
            figure_counts: Counts::default(),
            begun_ns: unix_ns(),
            ends: AtomicBool::new(false),
            end: Notify::new(),
            settings,
        });
        let mut tasks = Vec::new();
        if shared.traces.is_some() {
            tasks.push(tokio::spawn(export_traces(shared.clone())));
        }
        if shared.logs.is_some() {
            tasks.push(tokio::spawn(export_logs(shared.clone())));
        }
        if shared.settings.metrics.is_some() {
            tasks.push(tokio::spawn(export_metrics(shared.clone())));
        }
        Ok(Telemetry { shared, tasks: Arc::new(Mutex::new(tasks)) })
    }

    /// The ledger's end of it.
    pub fn sink(&self) -> Sink {
        let shared = self.shared.clone();
        Box::new(move |records| shared.push(records))
    }

    /// Which exchanges are traced; `None`: spans go nowhere.
    pub fn sampler(&self) -> Option<Sampler> {
        self.shared.traces.as_ref().map(|_| self.shared.settings.sampler)
    }

    /// Sends what is left, for no longer than `wait`.
    pub async fn finish(&self, wait: Duration) {
        self.shared.ends.store(true, Ordering::Release);
        self.shared.end.notify_waiters();
        self.shared.end.notify_one();
        [&self.shared.traces, &self.shared.logs].into_iter().flatten().for_each(Queue::wake);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let until = Instant::now() + wait;
        for task in tasks {
            let _ = tokio::time::timeout(until.saturating_duration_since(Instant::now()), task).await;
        }
    }

    /// How the signals that are exported fare.
    pub fn standing(&self) -> Vec<Standing> {
        let of = |signal, waiting, counts: &Counts| Standing {
            signal,
            waiting,
            sent: counts.sent.load(Ordering::Relaxed),
            dropped: counts.dropped.load(Ordering::Relaxed),
        };
        let queues = [("traces", &self.shared.traces), ("logs", &self.shared.logs)];
        let mut all: Vec<Standing> =
            queues.iter().filter_map(|(signal, queue)| queue.as_ref().map(|queue| of(signal, queue.waiting(), &queue.counts))).collect();
        all.extend(self.shared.settings.metrics.as_ref().map(|_| of("metrics", 0, &self.shared.figure_counts)));
        all
    }
}

impl Shared {
    fn push(&self, records: &[Record]) {
        if self.settings.metrics.is_some() {
            let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
            records.iter().for_each(|record| figures.observe(record));
        }
        for record in records {
            let traced = self.traces.as_ref().filter(|_| record.trace.as_ref().is_some_and(|trace| trace.sampled));
            if traced.is_none() && self.logs.is_none() {
                continue;
            }
            let record = Arc::new(record.clone());
            [traced, self.logs.as_ref()].into_iter().flatten().for_each(|queue| queue.push(&record));
        }
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    fn providers(&self) -> Providers {
        Providers::of(&self.publisher.current())
    }

    /// Sends one message of `count` items, and tells how that went.
    async fn deliver<M: Message + serde::Serialize>(
        &self,
        (signal, target): (&'static str, &Target),
        counts: &Counts,
        message: &M,
        count: u64,
        rejected: fn(&[u8]) -> Option<u64>,
    ) -> bool {
        let patience = || if self.ends() { Patience::Once } else { Patience::Repeats };
        match send(&self.client, target, message, patience, rejected).await {
            Sent::Arrived { rejected } => {
                let rejected = rejected.min(count);
                counts.sent.fetch_add(count - rejected, Ordering::Relaxed);
                counts.dropped.fetch_add(rejected, Ordering::Relaxed);
                self.health.recover(Part::Telemetry);
                true
            }
            Sent::Failed(reason) => {
                counts.dropped.fetch_add(count, Ordering::Relaxed);
                tracing::warn!(signal, reason, "telemetry did not arrive; it is dropped and counted");
                self.health.degrade(Part::Telemetry, format!("{signal}: {reason}"));
                false
            }
        }
    }
}

async fn export_traces(shared: Arc<Shared>) {
    let (Some(queue), Some(target)) = (&shared.traces, &shared.settings.traces) else { return };
    while let Some(records) = next(&shared, queue).await {
        let providers = shared.providers();
        let mut spans = Vec::with_capacity(records.len() * 2);
        records.iter().for_each(|record| span::append(record, &providers, &mut spans));
        let count = records.len() as u64;
        let scope_spans = vec![ScopeSpans { scope: Some(shared.scope.clone()), spans, schema_url: String::new() }];
        let resource_spans = vec![ResourceSpans { resource: Some(shared.resource.clone()), scope_spans, schema_url: String::new() }];
        let rejected = |body: &[u8]| {
            let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
            u64::try_from(partial.rejected_spans).ok()
        };
        shared.deliver(("traces", target), &queue.counts, &ExportTraceServiceRequest { resource_spans }, count, rejected).await;
    }
}

async fn export_logs(shared: Arc<Shared>) {
    let (Some(queue), Some(target)) = (&shared.logs, &shared.settings.logs) else { return };
    while let Some(records) = next(&shared, queue).await {
        let (providers, now_ns) = (shared.providers(), unix_ns());
        let log_records: Vec<_> = records.iter().map(|record| log::record_of(record, &providers, now_ns)).collect();
        let count = records.len() as u64;
        let scope_logs = vec![ScopeLogs { scope: Some(shared.scope.clone()), log_records, schema_url: String::new() }];
        let resource_logs = vec![ResourceLogs { resource: Some(shared.resource.clone()), scope_logs, schema_url: String::new() }];
        let rejected = |body: &[u8]| {
            let partial = ExportLogsServiceResponse::decode(body).ok()?.partial_success?;
            u64::try_from(partial.rejected_log_records).ok()
        };
        shared.deliver(("logs", target), &queue.counts, &ExportLogsServiceRequest { resource_logs }, count, rejected).await;
    }
}

/// The next batch that is not empty; `None` once the end has come and nothing is left.
async fn next(shared: &Shared, queue: &Queue) -> Option<Vec<Arc<Record>>> {
    loop {
        let ends = shared.ends();
        let batch = if ends { queue.take() } else { queue.batch().await };
        match batch.is_empty() {
            false => return Some(batch),
            true if ends => return None,
            true => {}
        }
    }
}

async fn export_metrics(shared: Arc<Shared>) {
    let Some(target) = &shared.settings.metrics else { return };
    let temporality = shared.settings.temporality;
    let mut from_ns = shared.begun_ns;
    loop {
        let ends = shared.ends();
        if !ends {
            let _ = tokio::time::timeout(shared.settings.metrics_every, shared.end.notified()).await;
        }
        let taken = shared.figures.lock().unwrap_or_else(PoisonError::into_inner).take(temporality);
        if !taken.is_empty() {
            let to_ns = unix_ns();
            let metrics = taken.metrics(&shared.providers(), figures::Span { from_ns, to_ns, temporality });
            let count = metrics.len() as u64;
            let scope_metrics = vec![ScopeMetrics { scope: Some(shared.scope.clone()), metrics, schema_url: String::new() }];
            let resource = Some(shared.resource.clone());
            let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
            let rejected = |body: &[u8]| {
                let partial = ExportMetricsServiceResponse::decode(body).ok()?.partial_success?;
                u64::try_from(partial.rejected_data_points).ok()
            };
            let message = ExportMetricsServiceRequest { resource_metrics };
            if !shared.deliver(("metrics", target), &shared.figure_counts, &message, count, rejected).await {
                shared.figures.lock().unwrap_or_else(PoisonError::into_inner).put_back(taken, temporality);
            } else if temporality == settings::Temporality::Delta {
                from_ns = to_ns;
            }
        }
        if ends {
            return;
        }
    }
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
