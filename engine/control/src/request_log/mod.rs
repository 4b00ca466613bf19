//! The request log: every exchange's record, kept for days, paged, filtered and added up.
//!
//! The ledger hands batches over and never waits: a bounded queue leads to one writer thread, which starts with the first record.
//! A record costs about a microsecond and a half on the ledger's thread (its line and its columns) and two to three on the
//! writer's. What the queue or the disk does not take is dropped and counted; traffic and spend go on.
//!
//! Day partitions in SQLite hold the records in blocks, column by column, with sums by minute and hour beside them. Old
//! partitions are dropped as files. Without a folder (`--no-store`, `--request-log off`) the same questions are answered from the
//! ledger's ring of the last records.

mod block;
mod columns;
mod filter;
mod folder;
mod packed;
mod partition;
mod query;
mod rollup;
mod series;
mod sources;
mod sum;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringway_policy::record::{self, Record};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, broadcast, oneshot};

pub use self::columns::Dimension;
pub use self::filter::{CONDITIONS_MAX, Condition, Filter};
pub use self::series::{BUCKETS_MAX, Bucket, GroupBy, Groups, Series, SeriesQuery, TOP_DEFAULT};
pub use self::sum::Shown;

use self::columns::Batch;
use self::folder::{Folder, PartitionId};
use self::sources::Sources;
use self::writer::{Message, Writer};
use crate::health::{Health, Part};
use crate::ledger::recent::Recent;

/// The folder's name within the data directory.
pub const FOLDER: &str = "request-log";
/// Lines that wait for the writer; beyond them records are dropped and counted.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
const QUEUE_BATCHES_MAX: usize = 4_096;
/// Lines that a slow reader of the tail may be behind.
const TAIL_LINES_MAX: usize = 1_024;
/// Queries at a time; more wait.
const QUERIES_MAX: usize = 4;
/// How long a page is searched for; what was found is shown, and where to go on.
const PAGE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a series is added up.
const SERIES_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a query waits for the records that are on their way.
const SYNC_WAIT: Duration = Duration::from_millis(300);
/// Most records of a page.
pub const LIMIT_MAX: usize = 1_000;
/// Reasons of broken partitions that are told.
const REASONS_MAX: usize = 3;
const STACK_BYTES: usize = 512 * 1024;

pub const DAYS_DEFAULT: u32 = 30;
pub const BYTES_DEFAULT: u64 = 10 * 1024 * 1024 * 1024;

/// Where the log is, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None`: the last records alone, in memory.
    pub folder: Option<PathBuf>,
    /// Days that are kept, today included.
    pub days: u32,
    /// What all partitions together may take.
    pub bytes_max: u64,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The question is wrong: what to write instead.
    Invalid(String),
    /// The log cannot be read now.
    Unavailable(String),
}

/// Where a page ended; `Display` and `FromStr` are the form for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    partition: PartitionId,
    /// Rows before this place come next.
    place: u64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.partition.day, self.partition.part, self.place)
    }
}

impl std::str::FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Cursor, String> {
        let wrong = || format!("cursor {text:?} is none of ours; take `next` of a page");
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().and_then(|part| part.parse::<u64>().ok()).ok_or_else(wrong);
        let (day, part, place) = (next()?, next()?, next()?);
        let day = u32::try_from(day).map_err(|_| wrong())?;
        Ok(Cursor { partition: PartitionId { day, part: u16::try_from(part).map_err(|_| wrong())? }, place })
    }
}

/// Records, newest first, and where to go on.
#[derive(Debug, Default, Serialize)]
pub struct Page {
    /// Lines as the access log has them.
    pub records: Vec<Box<RawValue>>,
    /// `None`: there are no more.
    #[serde(serialize_with = "as_text")]
    pub next: Option<Cursor>,
}

fn as_text<S: serde::Serializer>(cursor: &Option<Cursor>, serializer: S) -> Result<S::Ok, S::Error> {
    match cursor {
        Some(cursor) => serializer.collect_str(cursor),
        None => serializer.serialize_none(),
    }
}

/// How the log stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// `sqlite` or `memory`.
    pub state: &'static str,
    /// Written since the start.
    pub records: u64,
    /// Not written since the start: the disk or the queue did not take them.
    pub dropped: u64,
}

/// What the writer, the ledger and the queries share.
pub(crate) struct Shared {
    days: u32,
    bytes_max: u64,
    health: Arc<Health>,
    written: AtomicU64,
    dropped: AtomicU64,
    queued_bytes: AtomicUsize,
    is_failing: AtomicBool,
    reasons: Mutex<Reasons>,
}

#[derive(Default)]
struct Reasons {
    failing: Option<String>,
    /// Partitions that were set aside; a person is to look at them.
    aside: Vec<String>,
}

impl Shared {
    fn wrote(&self, rows: u64) {
        self.written.fetch_add(rows, Ordering::Relaxed);
        if self.is_failing.swap(false, Ordering::AcqRel) {
            tracing::info!(dropped = self.dropped.load(Ordering::Relaxed), "the request log is written again");
            self.reasons().failing = None;
            self.tell();
        }
    }

    fn lost(&self, rows: u64, reason: &str) {
        self.dropped.fetch_add(rows, Ordering::Relaxed);
        if !self.is_failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(reason, "records of the request log are dropped and counted");
            self.reasons().failing = Some(format!("records are dropped: {reason}"));
            self.tell();
        }
    }

    fn set_aside(&self, folder: &Folder, id: PartitionId, why: &str) {
        let path = folder.path(id).display().to_string();
        let told = match folder.set_aside(id) {
            Ok(aside) => format!("{path} was set aside as {}: {why}", aside.display()),
            Err(error) => format!("{path} is damaged ({why}) and cannot be set aside: {error}"),
        };
        tracing::warn!(reason = told, "a partition of the request log is damaged");
        let mut reasons = self.reasons();
        if reasons.aside.len() < REASONS_MAX {
            reasons.aside.push(told);
        }
        drop(reasons);
        self.tell();
    }

    fn tell(&self) {
        let reasons = self.reasons();
        let all: Vec<&str> = reasons.failing.iter().chain(&reasons.aside).map(String::as_str).collect();
        if all.is_empty() {
            self.health.recover(Part::RequestLog);
        } else {
            self.health.degrade(Part::RequestLog, all.join("; "));
        }
    }

    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log. Clones are one.
#[derive(Clone)]
pub struct RequestLog(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    folder: Option<Folder>,
    recent: Recent,
    tail: broadcast::Sender<Arc<str>>,
    queries: Semaphore,
    thread: Mutex<Thread>,
}

enum Thread {
    NotStarted,
    Running(SyncSender<Message>, JoinHandle<()>),
    Ended,
}

impl RequestLog {
    /// Touches nothing yet: the folder is made for the first record. Where it is there already, its old partitions are dropped now.
    pub fn new(settings: Settings, recent: Recent, health: Arc<Health>) -> RequestLog {
        let shared = Shared {
            days: settings.days.max(1),
            bytes_max: settings.bytes_max,
            health,
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            is_failing: AtomicBool::new(false),
            reasons: Mutex::default(),
        };
        let log = RequestLog(Arc::new(Inner {
            shared: Arc::new(shared),
            folder: settings.folder.map(Folder),
            recent,
            tail: broadcast::channel(TAIL_LINES_MAX).0,
            queries: Semaphore::new(QUERIES_MAX),
            thread: Mutex::new(Thread::NotStarted),
        }));
        if log.0.folder.as_ref().is_some_and(|folder| folder.0.is_dir()) {
            drop(log.sender());
        }
        log
    }

    /// A log of nothing, for tests of others.
    pub fn none() -> RequestLog {
        let settings = Settings { folder: None, days: 1, bytes_max: 0 };
        RequestLog::new(settings, Recent::default(), Arc::default())
    }

    /// Takes records. Never waits: what the queue does not take is dropped and counted.
    pub fn push(&self, records: &[Record]) {
        if self.0.tail.receiver_count() > 0 {
            self.tell_tail(records);
        }
        if self.0.folder.is_none() || records.is_empty() {
            return;
        }
        let mut batch = Box::new(Batch::default());
        records.iter().for_each(|record| batch.push(record));
        let (rows, bytes) = (batch.rows() as u64, batch.lines.len());
        let queued = &self.0.shared.queued_bytes;
        if queued.load(Ordering::Acquire) + bytes > QUEUE_BYTES_MAX {
            return self.0.shared.lost(rows, "its queue is full");
        }
        queued.fetch_add(bytes, Ordering::AcqRel);
        let sent = self.sender().is_some_and(|sender| sender.try_send(Message::Batch(batch)).is_ok());
        if !sent {
            queued.fetch_sub(bytes, Ordering::AcqRel);
            self.0.shared.lost(rows, "its queue is full");
        }
    }

    fn tell_tail(&self, records: &[Record]) {
        let mut line = Vec::new();
        for record in records {
            line.clear();
            record::write_json(record, &mut line);
            let text = String::from_utf8_lossy(&line);
            // Nobody listens any more: the next batch will see it.
            let _ = self.0.tail.send(text.trim_end().into());
        }
    }

    /// The queue; starts the writer. `None` where it has ended, or no thread can be had.
    fn sender(&self) -> Option<SyncSender<Message>> {
        let folder = self.0.folder.as_ref()?;
        let mut thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*thread {
            Thread::Running(sender, _) => return Some(sender.clone()),
            Thread::Ended => return None,
            Thread::NotStarted => {}
        }
        let (sender, queue) = sync_channel(QUEUE_BATCHES_MAX);
        let writer = Writer::new(self.0.shared.clone(), folder.clone());
        let builder = std::thread::Builder::new().name("request-log".into()).stack_size(STACK_BYTES);
        match builder.spawn(move || writer.run(&queue)) {
            Ok(handle) => {
                *thread = Thread::Running(sender.clone(), handle);
                Some(sender)
            }
            Err(error) => {
                tracing::warn!(%error, "the request log has no thread");
                None
            }
        }
    }

    /// Each record from now on, one JSON object.
    pub fn tail(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.tail.subscribe()
    }

    pub fn state(&self) -> State {
        State {
            state: if self.0.folder.is_some() { "sqlite" } else { "memory" },
            records: self.0.shared.written.load(Ordering::Relaxed),
            dropped: self.0.shared.dropped.load(Ordering::Relaxed),
        }
    }

    /// Records that are meant, newest first: at most `LIMIT_MAX`, and as many as are found in `PAGE_TIME_MAX`.
    ///
    /// # Errors
    /// Where the log cannot be read at all.
    pub async fn page(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        if let Some(id) = &filter.id {
            let record = self.one(id).await?;
            let raw = record.filter(|_| cursor.is_none()).and_then(|record| serde_json::value::to_raw_value(&record).ok());
            return Ok(Page { records: raw.into_iter().collect(), next: None });
        }
        if cursor.is_none() {
            self.sync().await;
        }
        let limit = limit.clamp(1, LIMIT_MAX);
        self.ask(move |sources| query::page(sources, &filter, cursor, limit, Instant::now() + PAGE_TIME_MAX)).await
    }

    /// The record with this id (32 hex digits).
    ///
    /// # Errors
    /// Where that is no id, or the log cannot be read at all.
    pub async fn one(&self, id: &str) -> Result<Option<serde_json::Value>, Error> {
        let id = parse_id(id).ok_or_else(|| Error::Invalid(format!("{id:?} is no request id; write 32 hex digits")))?;
        self.sync().await;
        self.ask(move |sources| query::one(sources, &id)).await
    }

    /// What records add up to.
    ///
    /// # Errors
    /// Where the question is wrong, takes too long, or the log cannot be read at all.
    pub async fn series(&self, query: SeriesQuery) -> Result<Series, Error> {
        if query.to_ms <= query.from_ms {
            return Err(Error::Invalid("to_ms is not after from_ms; swap them".to_owned()));
        }
        if query.filter.text.is_some() {
            return Err(Error::Invalid("a series is not added up by text; leave text out".to_owned()));
        }
        self.sync().await;
        let answer = self.ask(move |sources| series::series(sources, &query, Instant::now() + SERIES_TIME_MAX)).await?;
        match answer {
            (series, true) => Ok(series),
            (_, false) => Err(Error::Unavailable(format!(
                "the series was not added up in {} s; ask for a shorter time or fewer conditions",
                SERIES_TIME_MAX.as_secs()
            ))),
        }
    }

    /// Waits until what was pushed is written, but not for long.
    async fn sync(&self) {
        let running = match &*self.0.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            Thread::Running(sender, _) => Some(sender.clone()),
            _ => None,
        };
        let (done, wait) = oneshot::channel();
        if running.is_some_and(|sender| sender.try_send(Message::Sync(done)).is_ok()) {
            let _ = tokio::time::timeout(SYNC_WAIT, wait).await;
        }
    }

    /// Asks on a thread that may block.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Sources) -> T + Send + 'static) -> Result<T, Error> {
        let unavailable = |error: &dyn std::fmt::Display| Error::Unavailable(format!("the request log cannot be read: {error}"));
        let _permit = self.0.queries.acquire().await.map_err(|error| unavailable(&error))?;
        let inner = self.0.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let sources = match &inner.folder {
                Some(folder) => Sources::folder(folder.clone(), inner.shared.clone())?,
                None => Sources::memory(&inner.recent)?,
            };
            Ok((question(&sources), sources.failure()))
        });
        match asked.await {
            Ok(Ok((answer, None))) => Ok(answer),
            Ok(Ok((_, Some(reason))) | Err(reason)) => Err(unavailable(&reason)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Writes what is on its way, for at most `wait`. Records that come later are dropped.
    pub fn finish(&self, wait: Duration) {
        let ended = std::mem::replace(&mut *self.0.thread.lock().unwrap_or_else(PoisonError::into_inner), Thread::Ended);
        let Thread::Running(sender, handle) = ended else { return };
        drop(sender);
        let until = Instant::now() + wait;
        while !handle.is_finished() && Instant::now() < until {
            std::thread::sleep(FINISH_LOOK);
        }
        if handle.is_finished() {
            let _ = handle.join();
        }
    }
}

const FINISH_LOOK: Duration = Duration::from_millis(2);

fn parse_id(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}
