//! The writer: one thread that takes batches off a queue and puts them into partitions.
//!
//! A batch is a transaction. Small blocks are put together into one of `BLOCK_ROWS` when there are enough rows; sums are
//! written each `ROLL_EVERY`. Whatever goes wrong with a partition, its records are dropped and counted, the partition is
//! opened anew for the next batch, and traffic never notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use super::Shared;
use super::block;
use super::columns::{Batch, Figure};
use super::folder::{Folder, PartitionId};
use super::partition::{self, Broken, Partition};
use super::rollup::{DAY_MS, Deltas, MINUTE_MS};

/// What a batch waits for, unless it is full before.
const BATCH_WAIT: Duration = Duration::from_millis(250);
const BATCH_ROWS: usize = 2_000;
/// Rows from which a block is not put together with others.
const BLOCK_ROWS: usize = 2_048;
/// How often sums are written, and how many there may be before.
const ROLL_EVERY: Duration = Duration::from_secs(60);
const SUMS_MAX: usize = 20_000;
/// How often old partitions are looked for.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
/// Days that are open at once: a request may end after midnight.
const OPEN_MAX: usize = 2;
/// Minutes after an hour's end before its sums are added up; later records still count.
const HOUR_GRACE_MINUTES: u16 = 5;
/// A partition that would not open is left alone for so long.
const REOPEN_AFTER: Duration = Duration::from_millis(500);
/// A day's file is ended at this share of all that may be kept, so that retention has something to drop.
const PART_SHARE: u64 = 8;
/// Below data threads and all else that serves requests.
const NICE: i32 = 5;

pub(super) enum Message {
    Batch(Box<Batch>),
    /// Answered when everything that was sent before is written.
    Sync(oneshot::Sender<()>),
}

/// What the thread owns.
pub(super) struct Writer {
    shared: Arc<Shared>,
    folder: Folder,
    open: BTreeMap<u32, Open>,
    retry_at: Option<Instant>,
    retained: Option<Instant>,
}

/// A partition that is written.
struct Open {
    id: PartitionId,
    partition: Partition,
    /// The rows of the last blocks, while they are few.
    pending: Batch,
    pending_first: u64,
    deltas: Deltas,
    unrolled: Vec<u64>,
    /// When the first of them came.
    since: Option<Instant>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, folder: Folder) -> Writer {
        Writer { shared, folder, open: BTreeMap::new(), retry_at: None, retained: None }
    }

    /// Runs until the queue ends.
    pub fn run(mut self, queue: &Receiver<Message>) {
        be_nice();
        let mut batch = Batch::default();
        let mut due: Option<Instant> = None;
        loop {
            self.tend();
            let wait = due.map_or(ROLL_EVERY.min(RETAIN_EVERY), |due| due.saturating_duration_since(Instant::now()));
            let message = queue.recv_timeout(wait);
            if let Ok(Message::Batch(more)) = message {
                self.shared.queued_bytes.fetch_sub(more.lines.len(), Ordering::AcqRel);
                batch.take_in(*more);
                due.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
                if batch.rows() < BATCH_ROWS && due.is_some_and(|due| Instant::now() < due) {
                    continue;
                }
                self.store(std::mem::take(&mut batch));
                due = None;
                continue;
            }
            self.store(std::mem::take(&mut batch));
            due = None;
            match message {
                Ok(Message::Sync(done)) => drop(done.send(())),
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
                _ => {}
            }
        }
    }

    /// Writes a batch, or counts it as lost.
    fn store(&mut self, batch: Batch) {
        for (day, batch) in by_day(batch) {
            let rows = batch.rows() as u64;
            match self.append(day, &batch) {
                Ok(()) => self.shared.wrote(rows),
                Err(broken) => {
                    self.open.remove(&day);
                    self.shared.lost(rows, &broken.to_string());
                }
            }
        }
    }

    fn append(&mut self, day: u32, batch: &Batch) -> Result<(), Broken> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(Broken::Unavailable("it did not open a moment ago".to_owned()));
        }
        self.retry_at = None;
        let is_gone = self.open.get(&day).is_some_and(|open| !self.folder.path(open.id).exists());
        if is_gone {
            self.open.remove(&day);
        }
        if !self.open.contains_key(&day) {
            let opened = self.open_day(day);
            self.retry_at = opened.is_err().then(|| Instant::now() + REOPEN_AFTER);
            self.open.insert(day, opened?);
            self.close_older();
        }
        let Some(open) = self.open.get_mut(&day) else { return Ok(()) };
        match open.append(batch) {
            Err(Broken::Damaged(why)) => {
                let id = open.id;
                self.open.remove(&day);
                self.shared.set_aside(&self.folder, id, &why);
                let mut open = self.open_day(day)?;
                open.append(batch)?;
                self.open.insert(day, open);
                Ok(())
            }
            done => done,
        }
    }

    /// Opens the newest part of a day; one that is damaged is set aside.
    fn open_day(&self, day: u32) -> Result<Open, Broken> {
        let unavailable = |error: std::io::Error| Broken::Unavailable(format!("{}: {error}", self.folder.0.display()));
        std::fs::create_dir_all(&self.folder.0).map_err(unavailable)?;
        let ids = self.folder.list().map_err(unavailable)?;
        let newest = ids.into_iter().rev().find(|id| id.day == day).unwrap_or(PartitionId { day, part: 0 });
        let open = |id: PartitionId| Partition::write(&self.folder.path(id)).map(|partition| Open::new(id, partition));
        match open(newest) {
            Err(Broken::Damaged(why)) => {
                self.shared.set_aside(&self.folder, newest, &why);
                open(newest)
            }
            Err(Broken::Newer(_)) => open(PartitionId { part: newest.part.saturating_add(1), ..newest }),
            opened => opened,
        }
    }

    /// Ends the oldest days beyond `OPEN_MAX`.
    fn close_older(&mut self) {
        while self.open.len() > OPEN_MAX {
            let Some((_, oldest)) = self.open.pop_first() else { return };
            self.close(oldest);
        }
    }

    fn close(&self, mut open: Open) {
        if let Err(broken) = open.end() {
            tracing::warn!(partition = %self.folder.path(open.id).display(), reason = %broken, "a partition of the request log did not end well");
        }
    }

    /// What is to be done now and then: sums, full parts, old partitions.
    fn tend(&mut self) {
        let now = Instant::now();
        let part_bytes_max = self.shared.bytes_max / PART_SHARE;
        let due: Vec<u32> = self.open.iter().filter(|(_, open)| open.is_due(now)).map(|(day, _)| *day).collect();
        for day in due {
            let Some(open) = self.open.get_mut(&day) else { continue };
            let rolled = open.roll().and_then(|()| open.partition.bytes());
            match rolled {
                Ok(bytes) if bytes > part_bytes_max => self.next_part(day),
                Ok(_) => {}
                Err(broken) => {
                    // The rows are in the log; queries add them up one by one.
                    tracing::warn!(reason = %broken, "sums of the request log are not written");
                    self.open.remove(&day);
                }
            }
        }
        if self.retained.is_none_or(|at| now.duration_since(at) >= RETAIN_EVERY) {
            self.retained = Some(now);
            self.retain();
        }
    }

    /// Ends a day's file and goes on with a further one.
    fn next_part(&mut self, day: u32) {
        let Some(open) = self.open.remove(&day) else { return };
        let next = PartitionId { part: open.id.part.saturating_add(1), ..open.id };
        self.close(open);
        match Partition::write(&self.folder.path(next)) {
            Ok(partition) => drop(self.open.insert(day, Open::new(next, partition))),
            Err(broken) => tracing::warn!(reason = %broken, "the next part of the request log cannot be made"),
        }
        self.retain();
    }

    fn retain(&self) {
        let today = PartitionId::day_of(now_ms());
        match self.folder.retain(today, self.shared.days, self.shared.bytes_max) {
            Ok(removed) => {
                for id in removed {
                    tracing::info!(partition = %self.folder.path(id).display(), "an old partition of the request log is dropped");
                }
            }
            Err(error) => tracing::warn!(%error, "old partitions of the request log stay"),
        }
    }

    fn finish(mut self) {
        while let Some((_, open)) = self.open.pop_last() {
            self.close(open);
        }
    }
}

impl Open {
    fn new(id: PartitionId, partition: Partition) -> Open {
        let (pending, deltas) = (Batch::default(), Deltas::default());
        Open { id, partition, pending, pending_first: 0, deltas, unrolled: Vec::new(), since: None }
    }

    /// Writes one batch. After an error this is dropped: what is on the disk stands for itself.
    fn append(&mut self, batch: &Batch) -> Result<(), Broken> {
        let tx = self.partition.begin()?;
        let first = partition::next_place(&tx)?;
        // Another process may have written between.
        if self.pending_first + self.pending.rows() as u64 != first || self.pending.rows() == 0 {
            (self.pending, self.pending_first) = (Batch::default(), first);
        }
        if self.pending.rows() > 0 && self.pending.rows() + batch.rows() >= BLOCK_ROWS {
            self.pending.append(batch);
            partition::take_out(&tx, self.pending_first)?;
            partition::insert(&tx, self.pending_first, &encode(&self.pending)?)?;
        } else {
            partition::insert(&tx, first, &encode(batch)?)?;
            self.pending.append(batch);
        }
        partition::note_unrolled(&tx, first, batch.rows())?;
        tx.commit()?;
        self.deltas.add(batch);
        self.unrolled.push(first);
        self.since.get_or_insert_with(Instant::now);
        if self.pending.rows() >= BLOCK_ROWS {
            self.pending = Batch::default();
        }
        Ok(())
    }

    fn is_due(&self, now: Instant) -> bool {
        self.deltas.count > SUMS_MAX || self.since.is_some_and(|since| now.duration_since(since) >= ROLL_EVERY)
    }

    fn roll(&mut self) -> Result<(), Broken> {
        let newest = self.deltas.sums.keys().map(|(minute, _)| *minute).max().unwrap_or(0);
        let tx = self.partition.begin()?;
        partition::roll(&tx, &self.deltas, &self.unrolled)?;
        partition::close_hours(&tx, newest.saturating_sub(HOUR_GRACE_MINUTES) / 60)?;
        tx.commit()?;
        (self.deltas, self.since) = (Deltas::default(), None);
        self.unrolled.clear();
        Ok(())
    }

    /// Writes what is in memory alone.
    fn end(&mut self) -> Result<(), Broken> {
        self.roll()?;
        let is_over = self.id.day < PartitionId::day_of(now_ms());
        let tx = self.partition.begin()?;
        if is_over {
            partition::close_hours(&tx, 24)?;
        }
        let ours = self.pending_first + self.pending.rows() as u64;
        if self.pending.rows() > 0 && partition::next_place(&tx)? == ours {
            partition::take_out(&tx, self.pending_first)?;
            partition::insert(&tx, self.pending_first, &encode(&self.pending)?)?;
        }
        Ok(tx.commit()?)
    }
}

fn encode(batch: &Batch) -> Result<block::Encoded, Broken> {
    block::encode(batch).map_err(|error| Broken::Unavailable(error.to_string()))
}

/// A batch by the days of its rows; nearly always one.
fn by_day(batch: Batch) -> Vec<(u32, Batch)> {
    let days = batch.figure(Figure::AtMs).iter().map(|at_ms| PartitionId::day_of(*at_ms));
    match (days.clone().min(), days.clone().max()) {
        (Some(first), Some(last)) if first == last => vec![(first, batch)],
        (Some(_), Some(_)) => {
            let mut split: BTreeMap<u32, Batch> = BTreeMap::new();
            for (row, day) in days.enumerate() {
                split.entry(day).or_default().push_row(&batch, row);
            }
            split.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The log may wait where a request may not.
fn be_nice() {
    // SAFETY: a plain call without pointers; 0 means the calling thread on Linux. Failure is of no consequence.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

const _: () = assert!(DAY_MS / MINUTE_MS == 1_440);
