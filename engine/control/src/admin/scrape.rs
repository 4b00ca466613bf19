//! What a scrape adds to the meter: figures of the shards and of the process, read when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Label;
use ringway_policy::counters::ShardCounters;
use ringway_policy::priority::Class;

use super::{View, targets};
use crate::health::Phase;
use crate::ledger::meter::Meter;
use crate::quotas;

type Read = fn(&ShardCounters) -> &AtomicU64;

/// Helps of everything that a scrape adds.
const HELPS: &[(&str, &str)] = &[
    ("ringway_open_connections", "Open client connections"),
    ("ringway_in_flight_requests", "Exchanges under way"),
    ("ringway_queue_waiting_requests", "Exchanges that wait for room"),
    ("ringway_pool_idle_connections", "Idle provider connections"),
    ("ringway_accepted_connections_total", "Client connections that were accepted"),
    ("ringway_refused_connections_total", "Client connections beyond the shard's bound"),
    ("ringway_upstream_connects_total", "Provider connections that were opened"),
    ("ringway_charges_dropped_total", "Exchanges whose spend the full journal did not take: it ends with the process"),
    ("ringway_records_dropped_total", "Records that a full outbox dropped: missing in the access log and in these figures"),
    ("ringway_downstream_read_bytes_total", "Bytes from clients"),
    ("ringway_downstream_written_bytes_total", "Bytes to clients"),
    ("ringway_upstream_read_bytes_total", "Bytes from providers"),
    ("ringway_upstream_written_bytes_total", "Bytes to providers"),
    ("ringway_log_lines_dropped_total", "Access-log lines that the sink did not take"),
    ("ringway_build_info", "Version and driver"),
    ("ringway_ready_state", "1 while /readyz is true"),
    ("ringway_degraded_parts", "Parts that are out of order while traffic goes on"),
    ("ringway_snapshot_revision", "Counts published configurations and addresses"),
    ("ringway_uptime_seconds", "Since the start"),
];

const SHARD_GAUGES: &[(&str, Read)] = &[
    ("ringway_open_connections", |shard| &shard.connections),
    ("ringway_in_flight_requests", |shard| &shard.in_flight),
    ("ringway_pool_idle_connections", |shard| &shard.pool_idle),
];

const SHARD_COUNTERS: &[(&str, Read)] = &[
    ("ringway_accepted_connections_total", |shard| &shard.accepted),
    ("ringway_refused_connections_total", |shard| &shard.refused_connections),
    ("ringway_upstream_connects_total", |shard| &shard.upstream_connects),
    ("ringway_charges_dropped_total", |shard| &shard.charges_dropped),
    ("ringway_records_dropped_total", |shard| &shard.records_dropped),
    ("ringway_downstream_read_bytes_total", |shard| &shard.downstream_read_bytes),
    ("ringway_downstream_written_bytes_total", |shard| &shard.downstream_written_bytes),
    ("ringway_upstream_read_bytes_total", |shard| &shard.upstream_read_bytes),
    ("ringway_upstream_written_bytes_total", |shard| &shard.upstream_written_bytes),
];

/// Everything in Prometheus' text format.
pub(super) fn render(view: &View) -> String {
    let meter = view.meter.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    meter.describe(HELPS);
    meter.describe(targets::HELPS);
    for (index, shard) in view.shards.iter().enumerate() {
        let labels = || vec![Label::new("shard", index.to_string())];
        for (name, read) in SHARD_GAUGES {
            meter.gauge(name, labels(), read(shard).load(Ordering::Relaxed) as f64);
        }
        for (class, queued) in Class::ALL.into_iter().zip(&shard.queued) {
            let labels = [labels(), vec![Label::from_static_parts("priority", class.name())]].concat();
            meter.gauge("ringway_queue_waiting_requests", labels, queued.load(Ordering::Relaxed) as f64);
        }
        for (name, read) in SHARD_COUNTERS {
            meter.counter(name, labels(), read(shard).load(Ordering::Relaxed));
        }
    }
    targets::scrape(&view.publisher.current(), &meter, (view.clock)().mono_ns);
    meter.describe(quotas::HELPS);
    quotas::scrape(&view.publisher, view.clock, &meter);
    process(view, &meter);
    meter.render()
}

fn process(view: &View, meter: &Meter) {
    let build = vec![Label::from_static_parts("version", view.version), Label::from_static_parts("driver", view.driver)];
    meter.gauge("ringway_build_info", build, 1.0);
    meter.gauge("ringway_ready_state", Vec::new(), f64::from(u8::from(view.health.phase() == Phase::Serving)));
    meter.gauge("ringway_degraded_parts", Vec::new(), view.health.reasons().len() as f64);
    meter.gauge("ringway_snapshot_revision", Vec::new(), view.publisher.current().revision as f64);
    meter.gauge("ringway_uptime_seconds", Vec::new(), view.started.elapsed().as_secs_f64());
    meter.counter("ringway_log_lines_dropped_total", Vec::new(), view.log_dropped.load(Ordering::Relaxed));
}
