//! SQLite: one thread that owns the connection; others send it what is to be done.
//!
//! The thread begins with the first need. A file that is not there is not made by reading.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};
use tokio::sync::{mpsc, oneshot, watch};

use super::migrations::{self, MIGRATIONS};
use super::{Error, LOOK_EVERY, Row, Statement, Value};

/// What waits for the thread, at most; whoever comes then waits, too.
const WAITING_MAX: usize = 64;
/// How long another process may hold the lock.
const BUSY_MAX: Duration = Duration::from_secs(2);
/// Memory for pages of the file.
const CACHE_KIB: i64 = 1024;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

enum Job {
    Query(&'static str, Vec<Value>, Answer<Vec<Row>>),
    Apply(Vec<Statement>, Answer<()>),
    /// Something that counts up whenever another process wrote.
    Version(oneshot::Sender<i64>),
}

pub(super) struct Sqlite {
    path: PathBuf,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
}

impl Sqlite {
    pub fn new(path: PathBuf) -> Sqlite {
        Sqlite { path, jobs: Mutex::new(None) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        if !self.is_there() {
            return Ok(Vec::new());
        }
        self.ask(|answer| Job::Query(sql, values, answer)).await
    }

    pub async fn apply(&self, statements: Vec<Statement>) -> Result<(), Error> {
        self.ask(|answer| Job::Apply(statements, answer)).await
    }

    /// Looks whether another process wrote.
    pub fn watch(&self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        // Without a thread there is nothing to look with; a file that comes later is opened by whoever asks.
        let Ok(jobs) = self.jobs() else { return receiver };
        let path = self.path.clone();
        tokio::spawn(async move {
            let mut seen = None;
            while !sender.is_closed() {
                tokio::time::sleep(LOOK_EVERY).await;
                if !path.exists() {
                    continue;
                }
                let (answer, version) = oneshot::channel();
                if jobs.send(Job::Version(answer)).await.is_err() {
                    return;
                }
                let Ok(version) = version.await else { continue };
                // Also the first time: something may have come since it was read.
                if seen.replace(version) != Some(version) {
                    sender.send_modify(|count| *count += 1);
                }
            }
        });
        receiver
    }

    fn is_there(&self) -> bool {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_some() || self.path.exists()
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = |_| Error::Other("the store's thread has ended".to_owned());
        self.jobs()?.send(job(answer)).await.map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }

    fn jobs(&self) -> Result<mpsc::Sender<Job>, Error> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            return Ok(jobs.clone());
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread.spawn(move || work(&path, receiver)).map_err(|error| Error::Unavailable(format!("no thread: {error}")))?;
        Ok(jobs.insert(sender).clone())
    }
}

/// Does one job after the other until nobody can send more.
fn work(path: &Path, mut jobs: mpsc::Receiver<Job>) {
    let mut connection: Option<Connection> = None;
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Query(sql, values, answer) => {
                let outcome = match path.exists() || connection.is_some() {
                    true => opened(&mut connection, path).and_then(|connection| query(connection, sql, &values, path)),
                    false => Ok(Vec::new()),
                };
                let _ = answer.send(outcome);
            }
            Job::Apply(statements, answer) => {
                let outcome = opened(&mut connection, path).and_then(|connection| apply(connection, &statements, path));
                let _ = answer.send(outcome);
            }
            Job::Version(answer) => {
                let version = match path.exists() {
                    true => opened(&mut connection, path).ok().and_then(|connection| data_version(connection).ok()),
                    false => None,
                };
                // No answer is no change.
                if let Some(version) = version {
                    let _ = answer.send(version);
                }
            }
        }
    }
}

/// <https://sqlite.org/pragma.html#pragma_data_version>, read 2026-11-20: differs once another connection has committed.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

fn opened<'c>(connection: &'c mut Option<Connection>, path: &Path) -> Result<&'c mut Connection, Error> {
    match connection {
        Some(connection) => Ok(connection),
        None => Ok(connection.insert(open(path)?)),
    }
}

fn open(path: &Path) -> Result<Connection, Error> {
    let told = |error: std::io::Error| Error::Unavailable(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    // SQLite gives its other files the same mode. It holds sealed secrets, and whom they belong to.
    File::options().create(true).append(true).mode(0o600).open(path).map_err(told)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| failure(&error, path))?;
    prepare(&mut connection, path).map_err(|error| match error {
        Failure::Sqlite(error) => failure(&error, path),
        Failure::Ours(error) => error,
    })?;
    Ok(connection)
}

enum Failure {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Sqlite(error)
    }
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Failure> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let found = version(connection)?;
    let newer = |found| Failure::Ours(Error::NewerSchema { place: path.display().to_string(), found, known: migrations::newest() });
    if found > migrations::newest() {
        return Err(newer(found));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A change is on the disk when it is answered.
    connection.pragma_update(None, "synchronous", "FULL")?;
    if found < migrations::newest() {
        let _lock = migration_lock(path).map_err(Failure::Ours)?;
        // Another process may have done it while this one waited.
        let found = version(connection)?;
        if found > migrations::newest() {
            return Err(newer(found));
        }
        if found > 0 && found < migrations::newest() {
            back_up(connection, path, found)?;
        }
        migrate(connection, found)?;
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Held by one process until it has ended its migrations.
fn migration_lock(path: &Path) -> Result<File, Error> {
    let lock = path.with_extension("lock");
    let told = |error: std::io::Error| Error::Unavailable(format!("{}: {error}", lock.display()));
    let file = File::options().create(true).append(true).mode(0o600).open(&lock).map_err(told)?;
    file.lock().map_err(told)?;
    Ok(file)
}

/// The whole database as it was, beside it.
fn back_up(connection: &Connection, path: &Path, version: i64) -> Result<(), Failure> {
    let backup = path.with_extension(format!("db.schema-{version}"));
    let told =
        |error: std::io::Error| Failure::Ours(Error::Unavailable(format!("no backup before a migration: {}: {error}", backup.display())));
    // One that was broken off is made anew; one that is whole has the same content.
    match std::fs::remove_file(&backup) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    connection.execute("VACUUM INTO ?1", [backup.to_string_lossy().into_owned()])?;
    std::fs::set_permissions(&backup, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(told)?;
    tracing::info!(backup = %backup.display(), "store backed up before its migration");
    Ok(())
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.number > found) {
        transaction.execute_batch(&migrations::statements(migration, "BLOB"))?;
        tracing::debug!(number = migration.number, name = migration.name, "store migrated");
    }
    transaction.pragma_update(None, "user_version", migrations::newest())?;
    transaction.commit()
}

fn query(connection: &mut Connection, sql: &'static str, values: &[Value], path: &Path) -> Result<Vec<Row>, Error> {
    let read = || -> rusqlite::Result<Vec<Row>> {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map(params_from_iter(values), |row| {
            (0..columns).map(|index| row.get_ref(index).map(value)).collect::<rusqlite::Result<_>>().map(Row)
        })?;
        rows.collect()
    };
    read().map_err(|error| failure(&error, path))
}

fn apply(connection: &mut Connection, statements: &[Statement], path: &Path) -> Result<(), Error> {
    let mut write = || -> rusqlite::Result<bool> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for Statement { sql, values, expect_rows } in statements {
            let rows = transaction.prepare(sql)?.execute(params_from_iter(values))? as u64;
            if expect_rows.is_some_and(|expected| expected != rows) {
                return Ok(false);
            }
        }
        transaction.commit().map(|()| true)
    };
    match write() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Conflict),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Err(Error::Conflict),
        Err(error) => Err(failure(&error, path)),
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        // No column of ours is one.
        ValueRef::Real(value) => Value::Integer(value as i64),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn failure(error: &rusqlite::Error, path: &Path) -> Error {
    let place = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::Other(format!("{place} is damaged ({error}); put a backup in its place, or move it away: then the store begins empty"))
        }
        Some(ErrorCode::DiskFull) => Error::Unavailable(format!("{place}: the disk is full")),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
        ) => Error::Unavailable(format!("{place}: {error}")),
        _ => Error::Other(format!("{place}: {error}")),
    }
}
