//! The one writer of the log: takes what waits, chains it, seals it, and syncs it, in one go.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::key::{self, Key};
use super::segments::{self, SEGMENT_BYTES_MAX, Segment};
use super::syslog::Syslog;
use super::{Done, Settings, row};

/// Most rows of one write.
const BATCH_MAX: usize = 1024;
/// The head follows the rows by no more than this.
const HEAD_EVERY: Duration = Duration::from_secs(1);
/// How often old rows are looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);

/// What the writer is asked for.
pub(super) enum Command {
    Write(Entry),
    /// Could something be written? Where it is not known, a row is.
    Ready(Done),
    Close(Done),
}

pub(super) struct Entry {
    pub kind: &'static str,
    pub fields: Map<String, Value>,
    pub done: Done,
}

impl Command {
    /// Whom to tell, where it is not done at all.
    pub fn done(self) -> Done {
        match self {
            Command::Write(entry) => entry.done,
            Command::Ready(done) | Command::Close(done) => done,
        }
    }
}

/// How the writer stands, for those who do not want to ask it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    good: AtomicBool,
    folder: Mutex<Option<PathBuf>>,
}

impl Standing {
    /// The last write went well.
    pub fn is_good(&self) -> bool {
        self.good.load(Ordering::Acquire)
    }

    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) struct Writer {
    settings: Settings,
    clock: fn() -> u64,
    standing: Arc<Standing>,
    open: Option<Open>,
    syslog: Option<Syslog>,
    head_due: Option<Instant>,
    retention_due: Instant,
}

/// The log as it is open.
struct Open {
    folder: PathBuf,
    _lock: File,
    key: Key,
    file: File,
    file_len: u64,
    /// Of the next row.
    sequence: u64,
    before: String,
}

impl Writer {
    pub fn start(settings: Settings, clock: fn() -> u64, standing: Arc<Standing>, commands: Receiver<Command>) -> io::Result<()> {
        let syslog = settings.syslog.clone().map(Syslog::start).transpose()?;
        let writer = Writer { settings, clock, standing, open: None, syslog, head_due: None, retention_due: Instant::now() };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&commands)).map(drop)
    }

    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let first = match self.head_due {
                Some(due) => commands.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut batch = Vec::new();
            let mut waiting: Vec<Done> = Vec::new();
            let mut closing: Option<Done> = None;
            let is_over = matches!(first, Err(RecvTimeoutError::Disconnected));
            for command in first.into_iter().chain(std::iter::from_fn(|| commands.try_recv().ok())) {
                match command {
                    Command::Write(entry) => batch.push(entry),
                    Command::Ready(done) => waiting.push(done),
                    Command::Close(done) => closing = Some(done),
                }
                if batch.len() >= BATCH_MAX || closing.is_some() {
                    break;
                }
            }
            self.serve(batch, waiting);
            let is_due = self.head_due.is_some_and(|due| due <= Instant::now());
            if is_due || closing.is_some() || is_over {
                self.write_head();
            }
            if let Some(done) = closing {
                return done(Ok(()));
            }
            if is_over {
                return;
            }
        }
    }

    fn serve(&mut self, batch: Vec<Entry>, waiting: Vec<Done>) {
        if batch.is_empty() && waiting.is_empty() {
            return;
        }
        let mut rows: Vec<(&'static str, Map<String, Value>)> = Vec::with_capacity(batch.len());
        let mut dones = waiting;
        if batch.is_empty() && !self.standing.is_good() && self.open.is_some() {
            rows.push(("resumed", Map::new()));
        }
        for entry in batch {
            rows.push((entry.kind, entry.fields));
            dones.push(entry.done);
        }
        let outcome = self.write(rows);
        self.standing.good.store(outcome.is_ok(), Ordering::Release);
        if let Err(error) = &outcome {
            tracing::error!(error, "the audit log cannot be written; what must be in it is refused");
        }
        for done in dones {
            done(outcome.clone());
        }
        if self.retention_due <= Instant::now() {
            self.retention_due = Instant::now() + RETENTION_EVERY;
            self.cut_old();
        }
    }

    /// All of it, sealed and synced, or nothing.
    fn write(&mut self, rows: Vec<(&'static str, Map<String, Value>)>) -> Result<(), String> {
        let now_ms = (self.clock)();
        let mut rows = rows;
        if self.open.is_none() {
            let (open, found) = Open::resume(&self.settings)?;
            *self.standing.folder.lock().unwrap_or_else(PoisonError::into_inner) = Some(open.folder.clone());
            self.open = Some(open);
            rows.insert(0, ("opened", found));
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if rows.is_empty() {
            return Ok(());
        }
        let lines = open.append(now_ms, rows).map_err(|error| format!("{}: {error}", open.folder.display()))?;
        self.head_due.get_or_insert_with(|| Instant::now() + HEAD_EVERY);
        if let Some(syslog) = &self.syslog {
            lines.lines().for_each(|line| syslog.push(line));
        }
        Ok(())
    }

    fn write_head(&mut self) {
        let Some(open) = &self.open else { return };
        self.head_due = None;
        let last = open.sequence - 1;
        let signature = open.key.sign(&key::head_message(last, &open.before));
        let head = json!({"seq": last, "hash": open.before, "public_key": open.key.public(), "signature": signature});
        if let Err(error) = segments::write_head(&open.folder, &format!("{head}\n")) {
            tracing::warn!(%error, "the head of the audit log cannot be written; a cut of the last rows would not be seen");
            self.head_due = Some(Instant::now() + HEAD_EVERY);
        }
    }

    /// Removes segments that are older than the retention, each behind a sealed row that says what it held.
    fn cut_old(&mut self) {
        let Some(retention) = self.settings.retention else { return };
        let Some(folder) = self.open.as_ref().map(|open| open.folder.clone()) else { return };
        let before_ms = (self.clock)().saturating_sub(retention.as_millis() as u64);
        let segments = segments::list(&folder).unwrap_or_default();
        // The last one is written to.
        for segment in segments.iter().take(segments.len().saturating_sub(1)) {
            let Some(cut) = cut_row(segment, before_ms) else { return };
            if let Err(error) = self.write(vec![("cut", cut)]) {
                tracing::warn!(error, "old rows of the audit log stay: their cut cannot be noted");
                return;
            }
            self.write_head();
            if let Err(error) = std::fs::remove_file(&segment.path) {
                tracing::warn!(%error, "an old file of the audit log stays");
            }
        }
    }
}

/// What a cut says of the segment that goes; `None` where it is not all old.
fn cut_row(segment: &Segment, before_ms: u64) -> Option<Map<String, Value>> {
    use sha2::{Digest, Sha256};
    let text = segments::read(segment).ok()?;
    let first = text.lines().find_map(row::Row::read)?;
    let last = segments::last_row(&text)?;
    if last.at_ms >= before_ms {
        return None;
    }
    let sha256 = crate::access::secret::hex(&Sha256::digest(&text));
    let fields = json!({"first_seq": first.sequence, "last_seq": last.sequence, "from_ms": first.at_ms, "to_ms": last.at_ms,
        "first_prev": first.before, "last_hash": last.hash, "sha256": sha256});
    Some(super::object(fields))
}

impl Open {
    /// Opens the log where it ended, and tells what was found there.
    fn resume(settings: &Settings) -> Result<(Open, Map<String, Value>), String> {
        let told = |error: io::Error| format!("{}: {error}", settings.folder.display());
        let (folder, lock) = segments::claim(&settings.folder).map_err(told)?;
        let key = Key::open(&folder, settings.key_file.as_deref())?;
        let segments = segments::list(&folder).map_err(told)?;
        let mut found = Map::new();
        found.insert("public_key".into(), key.public().into());
        let Some(last) = segments.last() else {
            let file = segments::create(&folder, 1).map_err(told)?;
            return Ok((Open { folder, _lock: lock, key, file, file_len: 0, sequence: 1, before: row::NOTHING.to_owned() }, found));
        };
        let text = segments::read(last).map_err(told)?;
        let file = segments::create(&folder, last.first).map_err(told)?;
        let whole_len = text.rfind('\n').map_or(0, |at| at + 1) as u64;
        let file_len = file.metadata().map_err(told)?.len();
        if whole_len < file_len {
            file.set_len(whole_len).map_err(told)?;
            found.insert("torn_bytes".into(), (file_len - whole_len).into());
        }
        let unsealed = text.lines().rev().filter_map(row::Row::read).take_while(|row| row.kind != "seal").count();
        if unsealed > 0 {
            found.insert("unsealed_rows".into(), unsealed.into());
        }
        let (sequence, before) = match segments::last_row(&text) {
            Some(row) => (row.sequence + 1, row.hash),
            // A segment that was made and not written to: the one before it says where the chain is.
            None => match segments.iter().rev().nth(1).and_then(|segment| segments::last_row(&segments::read(segment).ok()?)) {
                Some(row) => (row.sequence + 1, row.hash),
                None => (last.first, row::NOTHING.to_owned()),
            },
        };
        Ok((Open { folder, _lock: lock, key, file, file_len: whole_len, sequence, before }, found))
    }

    /// Writes rows and their seal; where that fails, the file is as it was.
    fn append(&mut self, now_ms: u64, rows: Vec<(&'static str, Map<String, Value>)>) -> io::Result<String> {
        if self.file_len >= SEGMENT_BYTES_MAX {
            self.file = segments::create(&self.folder, self.sequence)?;
            self.file_len = 0;
        }
        let (mut sequence, mut before, mut text) = (self.sequence, self.before.clone(), String::new());
        for (kind, fields) in rows {
            before = row::write(sequence, now_ms, kind, &before, fields, &mut text);
            sequence += 1;
        }
        let signature = self.key.sign(&key::seal_message(sequence, &before));
        let seal = super::object(json!({"public_key": self.key.public(), "signature": signature}));
        before = row::write(sequence, now_ms, "seal", &before, seal, &mut text);
        if let Err(error) = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()) {
            // Rows that nobody was told of do not stay; half a line would break the chain for good.
            let _ = self.file.set_len(self.file_len);
            return Err(error);
        }
        (self.sequence, self.before) = (sequence + 1, before);
        self.file_len += text.len() as u64;
        Ok(text)
    }
}
