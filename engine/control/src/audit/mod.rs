//! The audit log: every administrative act, every denied one, and the exchanges that are asked for, in a chain that shows any change.
//!
//! Rows go through one writer thread, many in one write and one sync; a caller waits for his row to be on the disk. The
//! thread and the folder are there once something is noted. See `row` for the chain and `verify` for what it proves.

mod exchange;
mod key;
mod read;
pub(crate) mod routes;
mod row;
mod segments;
mod syslog;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

pub use self::exchange::Exchanges;
pub use self::read::{Filter, newest};
pub use self::syslog::{Target as SyslogTarget, line as syslog_line};
pub use self::verify::{Proof, verify, verify_part};
use self::writer::{Command, Entry, Writer};

/// The folder of the log in a data directory.
pub const FOLDER: &str = "audit";
/// Most rows that wait for the writer.
const QUEUE_MAX: usize = 4096;
/// How long somebody waits for his row to be written.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// Where and how the log is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder; a second process with the same one takes `FOLDER-1`, and so on.
    pub folder: PathBuf,
    /// The signing key, PKCS#8; `None`: one is made in the folder.
    pub key_file: Option<PathBuf>,
    /// Older rows go, with a signed proof of what went; `None` keeps all.
    pub retention: Option<Duration>,
    /// Where each row goes besides.
    pub syslog: Option<SyslogTarget>,
}

/// An administrative act, or a denied one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Empty where nobody is known.
    pub who: String,
    pub role: &'static str,
    pub team: Option<String>,
    pub how: &'static str,
    pub address: String,
    pub method: String,
    pub path: String,
    pub status: u16,
    pub detail: Option<String>,
}

/// The log. Clones share one.
#[derive(Clone, Debug)]
pub struct Audit(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    clock: fn() -> u64,
    /// The writer, once it runs.
    writer: Mutex<Option<SyncSender<Command>>>,
    standing: Arc<writer::Standing>,
}

/// What becomes of a row: called once, on the writer's thread, with why it is not on the disk.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

impl Audit {
    /// Keeps nothing: `--no-store`.
    pub fn none() -> Audit {
        Audit(None)
    }

    pub fn new(settings: Settings, clock: fn() -> u64) -> Audit {
        Audit(Some(Arc::new(Shared { settings, clock, writer: Mutex::default(), standing: Arc::default() })))
    }

    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// The folder that the log is in; `None` where nothing was written yet, or nothing is kept.
    pub fn folder(&self) -> Option<PathBuf> {
        let shared = self.0.as_ref()?;
        shared.standing.folder().or_else(|| Some(shared.settings.folder.clone()).filter(|folder| folder.exists()))
    }

    /// Can something be noted now? Asks the writer where the last row was not written, or none ever was.
    ///
    /// # Errors
    /// Why not.
    pub async fn ready(&self) -> Result<(), String> {
        match &self.0 {
            Some(shared) if !shared.standing.is_good() => shared.ask(Command::Ready).await,
            _ => Ok(()),
        }
    }

    /// Writes an act, and returns once it is on the disk.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn note(&self, act: Act) -> Result<(), String> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let Act { who, role, team, how, address, method, path, status, detail } = act;
        let fields = json!({"who": who, "role": role, "team": team, "how": how, "address": address, "method": method, "path": path,
            "status": status, "detail": detail});
        let kind = if matches!(status, 401 | 403 | 421 | 429) { "denied" } else { "act" };
        shared.ask(|done| Command::Write(Entry { kind, fields: object(fields), done })).await
    }

    /// As `note`, of any kind, for callers that wait in their own way. Never blocks.
    pub fn write(&self, kind: &'static str, fields: Value, done: Done) {
        let Some(shared) = &self.0 else { return done(Err("the gateway runs with --no-store and keeps no audit log".to_owned())) };
        shared.send(Command::Write(Entry { kind, fields: object(fields), done }));
    }

    /// Signs what is there and ends the writer.
    pub fn close(&self) {
        let Some(shared) = &self.0 else { return };
        let writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        let (sender, receiver) = sync_channel(1);
        let done: Done = Box::new(move |outcome| drop(sender.send(outcome)));
        if writer.send(Command::Close(done)).is_ok() {
            let _ = receiver.recv_timeout(WRITE_WAIT);
        }
    }
}

fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Shared {
    async fn ask(&self, command: impl FnOnce(Done) -> Command) -> Result<(), String> {
        let (sender, receiver) = oneshot::channel();
        self.send(command(Box::new(move |outcome| drop(sender.send(outcome)))));
        match tokio::time::timeout(WRITE_WAIT, receiver).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("its writer ended".to_owned()),
            Err(_) => Err(format!("its disk took more than {} s", WRITE_WAIT.as_secs())),
        }
    }

    fn send(&self, command: Command) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            let (sender, receiver) = sync_channel(QUEUE_MAX);
            match Writer::start(self.settings.clone(), self.clock, self.standing.clone(), receiver) {
                Ok(()) => *writer = Some(sender),
                Err(error) => return command.done()(Err(format!("its thread cannot be started: {error}"))),
            }
        }
        let Some(sender) = &*writer else { return };
        match sender.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Full(command)) => command.done()(Err(format!("{QUEUE_MAX} rows wait for the disk"))),
            Err(TrySendError::Disconnected(command)) => {
                *writer = None;
                command.done()(Err("its writer ended".to_owned()));
            }
        }
    }
}

/// The folders of a data directory that hold a log: that of each process that ever used it.
pub fn folders(data_dir: &Path) -> Vec<PathBuf> {
    segments::candidates(&data_dir.join(FOLDER)).filter(|folder| folder.is_dir()).collect()
}

#[cfg(test)]
mod tests;
