//! The database of everything small that is not in the file: objects and their revisions, users, tokens, alerts.
//!
//! SQLite in the data directory (made by the first change; none with `--no-store`), or Postgres where several gateways share it.
//! Nothing of the data plane waits for it. Its statements are few and short; the request log has files of its own.

mod migrations;
mod postgres;
mod postgres_tls;
mod sqlite;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use migrations::newest;
pub use value::{Row, Statement, Value};

/// The database's file in the data directory.
pub const FILE: &str = "ringway.db";
/// Between two looks whether somebody else changed something.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One try to connect to Postgres.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Why something was not read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Somebody else was faster; nothing was written. Read again and try again.
    Conflict,
    /// It cannot be reached or written now: down, locked, full. Says why.
    Unavailable(String),
    /// There is nothing to write to. Says what to do.
    ReadOnly(String),
    /// A newer binary wrote it.
    NewerSchema { place: String, found: i64, known: i64 },
    /// It is damaged, or a statement is wrong.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Conflict => f.write_str("somebody else changed it at the same time; read it again and try again"),
            Error::Unavailable(reason) => write!(f, "the store cannot be used now: {reason}"),
            Error::ReadOnly(reason) | Error::Other(reason) => f.write_str(reason),
            Error::NewerSchema { place, found, known } => write!(
                f,
                "{place} has schema {found}, and this binary knows {known}: a newer ringway wrote it; start that one, or restore the \
                 backup that it made beside it"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// The database. Clones share it.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

enum Inner {
    None,
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Database {
    /// SQLite. The file is made by the first `apply`, and opened by the first thing that is asked of it.
    pub fn lazy_sqlite(path: PathBuf) -> Database {
        Database(Arc::new(Inner::Sqlite(sqlite::Sqlite::new(path))))
    }

    /// Postgres: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with `?sslmode=verify-full` over TLS. Connects when first asked.
    ///
    /// # Errors
    /// What to write instead, without what was written.
    pub fn postgres(url: &str) -> Result<Database, String> {
        postgres::Postgres::new(url).map(|postgres| Database(Arc::new(Inner::Postgres(postgres))))
    }

    /// No database: nothing is in it, and nothing can be written.
    pub fn none() -> Database {
        Database(Arc::new(Inner::None))
    }

    /// `none`, `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match &*self.0 {
            Inner::None => "none",
            Inner::Sqlite(_) => "sqlite",
            Inner::Postgres(_) => "postgres",
        }
    }

    /// Its file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Inner::None | Inner::Postgres(_) => None,
            Inner::Sqlite(sqlite) => Some(sqlite.path()),
        }
    }

    /// Reads. The SQL is of the kind that SQLite and Postgres share, with parameters `?1`, `?2`.
    ///
    /// # Errors
    /// `Unavailable`, `NewerSchema`, `Other`.
    pub async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        match &*self.0 {
            Inner::None => Ok(Vec::new()),
            Inner::Sqlite(sqlite) => sqlite.query(sql, values).await,
            Inner::Postgres(postgres) => postgres.query(sql, values).await,
        }
    }

    /// Writes all of it or nothing: one transaction, on the disk when this returns.
    ///
    /// # Errors
    /// All kinds; nothing was written.
    pub async fn apply(&self, statements: Vec<Statement>) -> Result<(), Error> {
        match &*self.0 {
            Inner::None => Err(Error::ReadOnly("nothing can be changed here: the gateway runs with --no-store".to_owned())),
            Inner::Sqlite(sqlite) => sqlite.apply(statements).await,
            Inner::Postgres(postgres) => postgres.apply(statements).await,
        }
    }

    /// Counts up when something may have been changed by somebody else: another gateway, or another process on the same file.
    /// Keeps looking as long as somebody holds what it returns.
    pub fn watch(&self) -> watch::Receiver<u64> {
        match &*self.0 {
            Inner::None => watch::channel(0).1,
            Inner::Sqlite(sqlite) => sqlite.watch(),
            Inner::Postgres(postgres) => postgres.watch(),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
