//! The ledger: takes the records of all shards, writes the access log, feeds the meter.
//!
//! A thread of its own polls the outboxes: no shard ever makes a system call to wake it. It naps as long as the fullest
//! outbox allows, 40 wake-ups a second when there is little or nothing to do, 100 when there is much.

pub mod histogram;
pub mod log;
pub mod meter;
pub mod page;
pub mod recent;
mod rows;
pub mod share;
mod waits;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ringway_policy::record::{self, Record};

use self::log::Log;
use self::recent::Recent;

/// Records that one shard's outbox holds: `NAP_MAX` at 40,000 exchanges a second and shard. It is allocated whole, 0.8 MiB.
pub const OUTBOX_RECORDS: usize = 1024;
/// Between looks where an outbox was an eighth full.
const NAP_MIN: Duration = Duration::from_millis(10);
/// Between looks else, approached by doubling so that a short lull is not taken for quiet: what a person waits for a log line.
const NAP_MAX: Duration = Duration::from_millis(25);
/// Records taken from one outbox at a time, so that one busy shard does not keep the others waiting.
const BATCH_RECORDS_MAX: usize = 512;
const STACK_BYTES: usize = 256 * 1024;

/// Takes a batch of records, oldest first; never empty.
pub type Sink = Box<dyn FnMut(&[Record]) + Send>;

/// Where the shards leave their records.
pub type Outbox = Arc<record::Outbox>;

/// One outbox per shard.
pub fn outboxes(shards: usize) -> Vec<Outbox> {
    (0..shards).map(|_| Arc::new(record::Outbox::new(OUTBOX_RECORDS))).collect()
}

/// What the ledger works with.
pub struct Setup {
    pub outboxes: Vec<Outbox>,
    /// `None`: no access log.
    pub log: Option<Log>,
    pub meter: meter::Shared,
    pub recent: Recent,
    /// Whoever else takes every record, a batch at a time, on the ledger's thread: they copy, queue or count, and never wait.
    pub sinks: Vec<Sink>,
}

/// The running ledger.
pub struct Ledger {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<Log>>,
}

/// Starts the ledger's thread.
///
/// # Errors
/// Where no thread can be had.
pub fn start(setup: Setup) -> io::Result<Ledger> {
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::Builder::new().name("ledger".into()).stack_size(STACK_BYTES).spawn({
        let stop = stop.clone();
        move || run(setup, &stop)
    })?;
    Ok(Ledger { stop, thread })
}

impl Ledger {
    /// Takes what is left in the outboxes, then gives the log's sink up to `wait`. Call it once the shards have ended.
    pub fn finish(self, wait: Duration) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if let Ok(Some(log)) = self.thread.join() {
            log.finish(wait);
        }
    }
}

fn run(mut setup: Setup, stop: &AtomicBool) -> Option<Log> {
    let mut batch = Vec::with_capacity(BATCH_RECORDS_MAX);
    let mut nap = NAP_MAX;
    loop {
        // Read before the drain: what a shard left before the stop is still taken.
        let is_last = stop.load(Ordering::Acquire);
        let fullest = setup.outboxes.iter().map(|outbox| outbox.len()).max().unwrap_or(0);
        drain(&mut setup, &mut batch);
        if is_last {
            return setup.log;
        }
        nap = if fullest >= OUTBOX_RECORDS / 8 { NAP_MIN } else { (nap * 2).min(NAP_MAX) };
        std::thread::park_timeout(nap);
    }
}

/// Takes everything that lay in the outboxes when it was called, in batches, the shards by turns.
fn drain(setup: &mut Setup, batch: &mut Vec<Record>) {
    let mut left: Vec<(Outbox, usize)> = setup.outboxes.iter().map(|outbox| (outbox.clone(), outbox.len())).collect();
    while left.iter().any(|(_, count)| *count > 0) {
        for (outbox, left) in &mut left {
            let wanted = (*left).min(BATCH_RECORDS_MAX);
            batch.extend(std::iter::from_fn(|| outbox.pop()).take(wanted));
            *left -= wanted;
            settle(batch, setup);
        }
    }
    if let Some(log) = setup.log.as_mut() {
        log.flush();
    }
}

fn settle(batch: &mut Vec<Record>, setup: &mut Setup) {
    if batch.is_empty() {
        return;
    }
    if let Some(log) = setup.log.as_mut() {
        batch.iter().for_each(|record| log.line(record));
    }
    let mut meter = setup.meter.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    batch.iter().for_each(|record| meter.observe(record));
    drop(meter);
    let records: &[Record] = batch;
    setup.sinks.iter_mut().for_each(|sink| sink(records));
    setup.recent.push(batch);
}

/// A record for tests.
#[cfg(test)]
pub(crate) fn sample() -> Record {
    use ringway_adapters::dialect::DialectId;
    use ringway_adapters::ir::Mode;
    use ringway_adapters::operation::Operation;
    use ringway_adapters::usage::{Provenance, Usage};
    use ringway_policy::record::Attempt;

    Record {
        id: *b"0123456789abcdef",
        at_ms: 1_700_000_000_000,
        shard: 0,
        operation: Operation::Chat,
        dialect: Some(DialectId::OpenaiChat),
        mode: Mode::Whole,
        key: None,
        team: None,
        customer: None,
        route: None,
        asked: "acme/m-1".into(),
        provider: Some("acme".into()),
        model: Some("m-1".into()),
        attempts: vec![Attempt {
            provider: "acme".into(),
            model: "m-1".into(),
            status: 200,
            fault: None,
            total_ns: 1_000_000,
            usage: Usage::default(),
            delivered: None,
            cost: None,
            times: Default::default(),
            tier: None,
            overtaken: false,
            span: 0,
        }],
        status: 200,
        fault: None,
        usage: Usage { input: 10, output: 5, ..Usage::default() },
        provenance: Provenance::Provider,
        delivered: None,
        tier: None,
        losses: 0,
        rescued: false,
        request_bytes: 750,
        answer_bytes: 830,
        overhead_ns: 3_500,
        first_byte_ns: 900_000,
        total_ns: 1_000_000,
        client_request_id: None,
        client: None,
        tags: None,
        end_user: None,
        cost: None,
        charges: Default::default(),
        downgraded: None,
        cut: false,
        trail: Default::default(),
        mirror_of: None,
        trace: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn what_lies_in_the_outboxes_is_taken_before_the_end() {
        let outboxes = outboxes(2);
        let recent = Recent::default();
        let meter = meter::Shared::default();
        let seen = Arc::new(AtomicUsize::new(0));
        let sink: Sink = Box::new({
            let seen = seen.clone();
            move |batch: &[Record]| {
                seen.fetch_add(batch.len(), Ordering::Relaxed);
            }
        });
        let sinks = vec![sink];
        let setup = Setup { outboxes: outboxes.clone(), log: None, meter: meter.clone(), recent: recent.clone(), sinks };
        let ledger = start(setup).unwrap();
        for outbox in &outboxes {
            for _ in 0..BATCH_RECORDS_MAX + 3 {
                outbox.push(sample()).unwrap();
            }
        }
        ledger.finish(Duration::from_secs(1));
        let mut count = 0;
        recent.newest(usize::MAX, |_| count += 1);
        assert_eq!(count, recent::RECENT_MAX);
        assert_eq!(seen.load(Ordering::Relaxed), 2 * (BATCH_RECORDS_MAX + 3));
        let text = meter.lock().unwrap().render();
        assert!(text.contains(&format!("fault=\"none\"}} {}", 2 * (BATCH_RECORDS_MAX + 3))), "{text}");
    }
}
