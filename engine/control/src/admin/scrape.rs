//! What a scrape adds to the meter: figures of the shards and of the process, read when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};

use ringway_policy::counters::ShardCounters;
use ringway_policy::priority::Class;

use super::{View, targets, threads};
use crate::health::Phase;
use crate::ledger::page::{Head, Kind, Page};
use crate::ledger::share;
use crate::quotas;
use crate::telemetry::Standing;

type Read = fn(&ShardCounters) -> &AtomicU64;

const BUILD: Head = ("ringway_build_info", Kind::Gauge, "Version and driver");
const READY: Head = ("ringway_ready_state", Kind::Gauge, "1 while /readyz is true");
const DEGRADED: Head = ("ringway_degraded_parts", Kind::Gauge, "Parts that are out of order while traffic goes on");
const REVISION: Head = ("ringway_snapshot_revision", Kind::Gauge, "Counts published configurations and addresses");
const UPTIME: Head = ("ringway_uptime_seconds", Kind::Gauge, "Since the start");
const LOG_DROPS: Head = ("ringway_log_lines_dropped_total", Kind::Counter, "Access-log lines that the sink did not take");
const QUEUED: Head = ("ringway_queue_waiting_requests", Kind::Gauge, "Exchanges that wait for room");
const OUTBOX: Head = ("ringway_outbox_records", Kind::Gauge, "Records in a shard's ring that the ledger has not taken yet");
const SHARD_CPU: Head = ("ringway_shard_cpu_seconds_total", Kind::Counter, "Processor time of a shard's thread");
const CONTROL_CPU: Head = ("ringway_control_cpu_seconds_total", Kind::Counter, "Processor time of all other threads");

const TELEMETRY_SENT: Head = ("ringway_telemetry_sent_total", Kind::Counter, "Records that arrived at the collector, by signal");
const TELEMETRY_DROPPED: Head =
    ("ringway_telemetry_dropped_total", Kind::Counter, "Records that the collector did not take, or that found no room, by signal");
const TELEMETRY_WAITING: Head = ("ringway_telemetry_waiting_records", Kind::Gauge, "Records that wait for the collector, by signal");

const ALERTS_FIRING: Head = ("ringway_alerts_firing", Kind::Gauge, "What alerts found and people were told of");
const ALERT_MESSAGES: Head = ("ringway_alert_deliveries_total", Kind::Counter, "Alert messages by how their channel took them");

/// Figures that a shard counts, of all shards.
const SHARD_FIGURES: &[(Head, Read)] = &[
    (("ringway_open_connections", Kind::Gauge, "Open client connections"), |shard| &shard.connections),
    (("ringway_in_flight_requests", Kind::Gauge, "Exchanges under way"), |shard| &shard.in_flight),
    (("ringway_pool_idle_connections", Kind::Gauge, "Idle provider connections"), |shard| &shard.pool_idle),
    (("ringway_accepted_connections_total", Kind::Counter, "Client connections that were accepted"), |shard| &shard.accepted),
    (("ringway_refused_connections_total", Kind::Counter, "Client connections beyond the shard's bound"), |shard| {
        &shard.refused_connections
    }),
    (("ringway_upstream_connects_total", Kind::Counter, "Provider connections that were opened"), |shard| &shard.upstream_connects),
    (
        ("ringway_charges_dropped_total", Kind::Counter, "Exchanges whose spend the full journal did not take: it ends with the process"),
        |shard| &shard.charges_dropped,
    ),
    (
        (
            "ringway_records_dropped_total",
            Kind::Counter,
            "Records that a full outbox dropped: missing in the access log and in these figures",
        ),
        |shard| &shard.records_dropped,
    ),
    (("ringway_downstream_read_bytes_total", Kind::Counter, "Bytes from clients"), |shard| &shard.downstream_read_bytes),
    (("ringway_downstream_written_bytes_total", Kind::Counter, "Bytes to clients"), |shard| &shard.downstream_written_bytes),
    (("ringway_upstream_read_bytes_total", Kind::Counter, "Bytes from providers"), |shard| &shard.upstream_read_bytes),
    (("ringway_upstream_written_bytes_total", Kind::Counter, "Bytes to providers"), |shard| &shard.upstream_written_bytes),
];

/// Everything in Prometheus' text format.
pub(super) fn render(view: &View) -> String {
    let mut page = Page::default();
    let meter = view.meter.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    meter.write(&mut page);
    let series_max = meter.series_max();
    drop(meter);
    shards(view, &mut page, share::SHARDS.rows(series_max));
    targets::scrape(&view.publisher.current(), &mut page, (view.clock)().mono_ns, series_max);
    quotas::scrape(&view.publisher, view.clock, &mut page, series_max);
    telemetry(view, &mut page);
    alerts(view, &mut page);
    process(view, &mut page);
    page.into_text()
}

fn shards(view: &View, page: &mut Page, rows_max: usize) {
    for (head, read) in SHARD_FIGURES {
        page.family(*head);
        let figures = view.shards.iter().map(|shard| read(shard).load(Ordering::Relaxed) as f64);
        by_shard(page, head.0, &[], figures, rows_max);
    }
    page.family(QUEUED);
    for (index, class) in Class::ALL.into_iter().enumerate() {
        let figures = view.shards.iter().filter_map(|shard| Some(shard.queued.get(index)?.load(Ordering::Relaxed) as f64));
        by_shard(page, QUEUED.0, &[("priority", class.name())], figures, rows_max);
    }
    page.family(OUTBOX);
    by_shard(page, OUTBOX.0, &[], view.outboxes.iter().map(|outbox| outbox.len() as f64), rows_max);
    let Some(threads) = threads::cpu_seconds(view.shards.len()) else { return };
    page.family(SHARD_CPU);
    by_shard(page, SHARD_CPU.0, &[], threads.shards.into_iter(), rows_max);
    page.single(CONTROL_CPU, threads.control);
}

/// One sample a shard; what is beyond `rows_max` is one sum.
fn by_shard(page: &mut Page, name: &str, more: &[(&str, &str)], figures: impl Iterator<Item = f64>, rows_max: usize) {
    let mut rest = None;
    for (index, figure) in figures.enumerate() {
        if index + 1 < rows_max {
            page.sample(name, &[&[("shard", index.to_string().as_str())], more].concat(), figure);
        } else {
            rest = Some(rest.unwrap_or(0.0) + figure);
        }
    }
    if let Some(rest) = rest {
        page.sample(name, &[&[("shard", "other")], more].concat(), rest);
    }
}

fn telemetry(view: &View, page: &mut Page) {
    let Some(telemetry) = &view.telemetry else { return };
    let all = telemetry.standing();
    let figures: [(Head, fn(&Standing) -> u64); 3] = [
        (TELEMETRY_SENT, |standing| standing.sent),
        (TELEMETRY_DROPPED, |standing| standing.dropped),
        (TELEMETRY_WAITING, |standing| standing.waiting as u64),
    ];
    for (head, read) in figures {
        page.family(head);
        all.iter().for_each(|standing| page.sample(head.0, &[("signal", standing.signal)], read(standing)));
    }
}

fn alerts(view: &View, page: &mut Page) {
    let Some(alerts) = &view.alerts else { return };
    let standing = alerts.standing();
    page.single(ALERTS_FIRING, standing.firing);
    page.family(ALERT_MESSAGES);
    page.sample(ALERT_MESSAGES.0, &[("outcome", "delivered")], standing.delivered);
    page.sample(ALERT_MESSAGES.0, &[("outcome", "failed")], standing.failed);
}

fn process(view: &View, page: &mut Page) {
    page.family(BUILD);
    page.sample(BUILD.0, &[("version", view.version), ("driver", view.driver)], 1);
    page.single(READY, u8::from(view.health.phase() == Phase::Serving));
    page.single(DEGRADED, view.health.reasons().len());
    page.single(REVISION, view.publisher.current().revision);
    page.single(UPTIME, view.started.elapsed().as_secs_f64());
    page.single(LOG_DROPS, view.log_dropped.load(Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_beyond_the_bound_are_one_sum() {
        let mut page = Page::default();
        by_shard(&mut page, "x", &[("p", "q")], (0..100).map(f64::from), 4);
        let text = page.into_text();
        assert_eq!(text, "x{shard=\"0\",p=\"q\"} 0\nx{shard=\"1\",p=\"q\"} 1\nx{shard=\"2\",p=\"q\"} 2\nx{shard=\"other\",p=\"q\"} 4947\n");
    }
}
