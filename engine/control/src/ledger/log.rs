//! The access log: one line per exchange, written by a thread of its own, so that a stalled sink stalls nothing else.
//!
//! The ledger fills a buffer and hands it over; at most `BATCHES_MAX` wait for the sink. Beyond that lines are dropped
//! and counted. Buffers come back, so that a warm log allocates nothing; one `write` per batch.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringway_policy::record::{self, Record};

use crate::health::{Health, Part};

/// Batches that wait for the sink: with `BATCH_BYTES` at most 4 MiB of lines.
const BATCHES_MAX: usize = 64;
/// A batch is handed over when it has grown past this, or when the ledger has no more records.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a sink that takes nothing is left alone before the next try.
const SINK_PAUSE: Duration = Duration::from_millis(10);
/// How long a non-blocking sink may take nothing before its batch is dropped.
const SINK_STALL_MAX: Duration = Duration::from_secs(1);

const STACK_BYTES: usize = 128 * 1024;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

/// The ledger's end of the log.
pub struct Log {
    format: Format,
    batch: Batch,
    full: Option<SyncSender<Batch>>,
    empty: Receiver<Vec<u8>>,
    sink: Arc<Sink>,
    writer: Option<JoinHandle<()>>,
    done: Receiver<()>,
}

impl Log {
    /// Starts the writing thread. `sink` may block for as long as it likes.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn start(format: Format, sink: impl Write + Send + 'static, health: Arc<Health>) -> io::Result<Log> {
        let (full, full_out) = sync_channel::<Batch>(BATCHES_MAX);
        let (empty_in, empty) = sync_channel::<Vec<u8>>(BATCHES_MAX);
        let (done_in, done) = sync_channel::<()>(1);
        let shared = Arc::new(Sink { health, ..Sink::default() });
        let writer = std::thread::Builder::new().name("access-log".into()).stack_size(STACK_BYTES).spawn({
            let shared = shared.clone();
            move || {
                write_batches(sink, &full_out, &empty_in, &shared);
                let _ = done_in.try_send(());
            }
        })?;
        let batch = Batch { bytes: Vec::new(), lines: 0 };
        Ok(Log { format, batch, full: Some(full), empty, sink: shared, writer: Some(writer), done })
    }

    /// Lines that the sink did not take.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.sink.dropped.clone()
    }

    /// Writes one line into the batch.
    pub fn line(&mut self, record: &Record) {
        match self.format {
            Format::Json => record::write_json(record, &mut self.batch.bytes),
            Format::Text => record::write_text(record, &mut self.batch.bytes),
        }
        if self.batch.bytes.last() != Some(&b'\n') {
            self.batch.bytes.push(b'\n');
        }
        self.batch.lines += 1;
        if self.batch.bytes.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Hands the batch to the writer; never waits.
    pub fn flush(&mut self) {
        if self.batch.lines == 0 {
            return;
        }
        let next = self.empty.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, Batch { bytes: next, lines: 0 });
        let refused = match self.full.as_ref().map(|full| full.try_send(batch)) {
            Some(Ok(())) => return,
            Some(Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch))) => batch,
            None => return,
        };
        self.sink.lost(refused.lines, "the sink takes no lines");
        self.batch.bytes = refused.bytes;
        self.batch.bytes.clear();
    }

    /// Flushes and waits for the sink, but no longer than `wait`.
    pub fn finish(mut self, wait: Duration) {
        self.flush();
        self.full = None;
        let in_time = !matches!(self.done.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
        if let Some(writer) = self.writer.take().filter(|_| in_time) {
            let _ = writer.join();
        }
    }
}

/// What the writing thread and the ledger both know.
#[derive(Default)]
struct Sink {
    dropped: Arc<AtomicU64>,
    /// Lines were dropped since the last batch that was written.
    is_failing: AtomicBool,
    health: Arc<Health>,
}

impl Sink {
    fn lost(&self, lines: u64, reason: &str) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        if !self.is_failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(reason, "access-log lines are dropped and counted");
            self.health.degrade(Part::AccessLog, reason);
        }
    }

    fn took(&self) {
        if self.is_failing.load(Ordering::Relaxed) {
            self.is_failing.store(false, Ordering::Release);
            self.health.recover(Part::AccessLog);
        }
    }
}

fn write_batches(mut out: impl Write, full: &Receiver<Batch>, empty: &SyncSender<Vec<u8>>, sink: &Sink) {
    while let Ok(mut batch) = full.recv() {
        match write_whole(&mut out, &batch.bytes) {
            Ok(()) => sink.took(),
            Err(error) => sink.lost(batch.lines, &error.to_string()),
        }
        batch.bytes.clear();
        let _ = empty.try_send(batch.bytes);
    }
}

/// `write_all`, but it outwaits a sink that was left non-blocking by whoever shares it.
fn write_whole(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    let mut stalled_since = None;
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                stalled_since = None;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *stalled_since.get_or_insert_with(Instant::now);
                if since.elapsed() > SINK_STALL_MAX {
                    return Err(error);
                }
                std::thread::sleep(SINK_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::ledger::sample;

    /// Takes a batch when it is allowed to.
    struct Gate {
        written: Written,
        open: Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.open.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Written = Arc<Mutex<Vec<u8>>>;

    fn gated() -> (Log, Sender<()>, Written, Arc<Health>) {
        let (open, gate) = channel();
        let (written, health) = (Written::default(), Arc::new(Health::default()));
        let log = Log::start(Format::Json, Gate { written: written.clone(), open: gate }, health.clone()).unwrap();
        (log, open, written, health)
    }

    #[test]
    fn each_record_is_one_line() {
        let (mut log, open, written, _) = gated();
        drop(open);
        log.line(&sample());
        log.line(&sample());
        log.finish(Duration::from_secs(10));
        assert_eq!(written.lock().unwrap().iter().filter(|byte| **byte == b'\n').count(), 2);
    }

    #[test]
    fn a_stalled_sink_drops_and_counts_and_recovers() {
        let (mut log, open, written, health) = gated();
        let dropped = log.dropped();
        let batches = BATCHES_MAX as u64 + 10;
        for _ in 0..batches {
            log.line(&sample());
            log.flush();
        }
        let lost = dropped.load(Ordering::Relaxed);
        assert!((9..=10).contains(&lost), "one batch may be at the writer: {lost}");
        assert_eq!(health.reasons().len(), 1);
        drop(open);
        log.finish(Duration::from_secs(10));
        assert!(health.reasons().is_empty());
        assert_eq!(written.lock().unwrap().iter().filter(|byte| **byte == b'\n').count() as u64, batches - lost);
    }

    #[test]
    fn finishing_waits_no_longer_than_it_may() {
        let (mut log, _open, _, _) = gated();
        log.line(&sample());
        let start = Instant::now();
        log.finish(Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
