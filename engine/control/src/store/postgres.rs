//! Postgres: one connection for statements, one that listens for what others change.
//!
//! The connection is made by the first need and again after it broke. While the server is down every call says so at once or
//! after `PATIENCE`; nothing is queued.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket};

use super::migrations::{self, MIGRATIONS};
use super::postgres_tls::{self, Tls};
use super::{Error, Row, Statement, Value};

/// Connecting, and each transaction; a server that takes longer counts as down.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure to connect nobody tries again for so long: callers are told at once.
const REST: Duration = Duration::from_millis(250);
/// Between two looks where no notice came: one that got lost costs this long.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two tries of the listening connection.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);
/// The name that notices of changes go by.
const LISTEN: &str = "LISTEN ringway_store";
const NOTIFY: &str = "NOTIFY ringway_store";
/// Held while a gateway migrates: any number that nobody else uses.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7816392056071)";

pub(super) struct Postgres(Arc<Server>);

struct Server {
    config: Config,
    tls: Tls,
    /// Host and database, for messages.
    place: String,
    client: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    client: Option<Client>,
    failed: Option<(Instant, Error)>,
}

impl Postgres {
    /// Connects to nothing yet.
    pub fn new(url: &str) -> Result<Postgres, String> {
        let (config, tls) = postgres_tls::parse(url)?;
        let place = place(&config);
        Ok(Postgres(Arc::new(Server { config, tls, place, client: Mutex::default() })))
    }

    pub async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        self.0.query(sql, &values).await
    }

    pub async fn apply(&self, statements: Vec<Statement>) -> Result<(), Error> {
        self.0.with_client(async |client| apply(client, &statements).await).await
    }

    /// Listens, and looks now and then besides.
    pub fn watch(&self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let server = self.0.clone();
        tokio::spawn(async move {
            while !sender.is_closed() {
                // Its end is a change, too: whoever looks then finds out how things stand.
                let _ = server.listen(&sender).await;
                sender.send_modify(|count| *count += 1);
                tokio::time::sleep(LISTEN_AGAIN).await;
            }
        });
        receiver
    }
}

impl Server {
    async fn query(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, Error> {
        self.with_client(async |client| {
            let rows = client.query(&dollars(sql), &parameters(values)).await?;
            rows.iter().map(row).collect::<Result<Vec<Row>, tokio_postgres::Error>>().map(Ok)
        })
        .await
    }

    /// Runs something on the connection, and lets go of one that broke.
    async fn with_client<T>(
        &self,
        run: impl AsyncFnOnce(&mut Client) -> Result<Result<T, Error>, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        let mut link = self.client.lock().await;
        if link.client.as_ref().is_none_or(Client::is_closed) {
            link.client = None;
            if let Some((_, error)) = link.failed.as_ref().filter(|(at, _)| at.elapsed() < REST) {
                return Err(error.clone());
            }
            match self.connect().await {
                Ok(client) => (link.client, link.failed) = (Some(client), None),
                Err(error) => {
                    link.failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            }
        }
        let Some(client) = link.client.as_mut() else { return Err(self.unavailable("no connection")) };
        match timeout(PATIENCE, run(client)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => {
                // Its answer may still come: nobody else must get it.
                link.client = None;
                Err(self.unavailable("no answer in time"))
            }
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let made = timeout(PATIENCE, async {
            let mut client = match self.tls.clone() {
                Tls::Off => run(self.config.connect(NoTls).await?),
                Tls::On(tls) => run(self.config.connect(tls).await?),
            };
            migrate(&mut client, &self.place).await.map(|outcome| outcome.map(|()| client))
        });
        match made.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(self.unavailable("no answer in time")),
        }
    }

    /// Ends when the connection does, or when nobody wants to know any more.
    async fn listen(&self, sender: &watch::Sender<u64>) -> Result<(), tokio_postgres::Error> {
        match self.tls.clone() {
            Tls::Off => heed(self.config.connect(NoTls).await?, sender).await,
            Tls::On(tls) => heed(self.config.connect(tls).await?, sender).await,
        }
    }

    fn unavailable(&self, reason: &str) -> Error {
        Error::Unavailable(format!("{}: {reason}", self.place))
    }

    fn failure(&self, error: &tokio_postgres::Error) -> Error {
        let Some(told) = error.as_db_error() else {
            let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            return self.unavailable(&format!("{error}{cause}"));
        };
        let (code, message) = (told.code(), told.message());
        // Classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>, read 2026-11-20: connection, resources,
        // shutdown, and a server that only reads after a switch-over.
        let passes = ["08", "53", "57", "28", "3D"].iter().any(|class| code.code().starts_with(class));
        match () {
            () if [SqlState::UNIQUE_VIOLATION, SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) => {
                Error::Conflict
            }
            () if passes || *code == SqlState::READ_ONLY_SQL_TRANSACTION => self.unavailable(message),
            () => Error::Other(format!("{}: {message} ({})", self.place, code.code())),
        }
    }
}

/// Drives the connection for as long as its client is there.
fn run<T>((client, connection): (Client, Connection<Socket, T>)) -> Client
where
    Connection<Socket, T>: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    T: 'static,
{
    tokio::spawn(async move {
        // Whoever uses the client next finds it closed.
        let _ = connection.await;
    });
    client
}

async fn heed<T>(
    (client, mut connection): (Client, Connection<Socket, T>),
    sender: &watch::Sender<u64>,
) -> Result<(), tokio_postgres::Error>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let mut listening = Box::pin(client.batch_execute(LISTEN));
    let mut is_listening = false;
    loop {
        let message = std::future::poll_fn(|context| connection.poll_message(context));
        tokio::select! {
            outcome = &mut listening, if !is_listening => {
                outcome?;
                is_listening = true;
                // What came before the ear was open.
                sender.send_modify(|count| *count += 1);
            }
            message = message => match message.transpose()? {
                Some(AsyncMessage::Notification(_)) => sender.send_modify(|count| *count += 1),
                Some(_) => {}
                None => return Ok(()),
            },
            () = tokio::time::sleep(LOOK_EVERY) => sender.send_modify(|count| *count += 1),
            () = sender.closed() => return Ok(()),
        }
    }
}

async fn migrate(client: &mut Client, place: &str) -> Result<Result<(), Error>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS ringway_schema (version BIGINT NOT NULL)").await?;
    let found: i64 = transaction.query_one("SELECT COALESCE(MAX(version), 0) FROM ringway_schema", &[]).await?.try_get(0)?;
    let known = migrations::newest();
    if found > known {
        return Ok(Err(Error::NewerSchema { place: place.to_owned(), found, known }));
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.number > found) {
        transaction.batch_execute(&migrations::statements(migration, "BYTEA")).await?;
        transaction.execute("INSERT INTO ringway_schema (version) VALUES ($1)", &[&migration.number]).await?;
        tracing::info!(number = migration.number, name = migration.name, "store migrated");
    }
    transaction.commit().await.map(Ok)
}

async fn apply(client: &mut Client, statements: &[Statement]) -> Result<Result<(), Error>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    for Statement { sql, values, expect_rows } in statements {
        let rows = transaction.execute(&dollars(sql), &parameters(values)).await?;
        if expect_rows.is_some_and(|expected| expected != rows) {
            return transaction.rollback().await.map(|()| Err(Error::Conflict));
        }
    }
    transaction.batch_execute(NOTIFY).await?;
    transaction.commit().await.map(Ok)
}

/// `?1` of SQLite is `$1` here. No text of ours has a question mark before a digit.
fn dollars(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut letters = sql.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_parameter = letter == '?' && letters.peek().is_some_and(char::is_ascii_digit);
        out.push(if is_parameter { '$' } else { letter });
    }
    out
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let column = |index: usize| {
        Ok(match *row.columns()[index].type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index)?.map_or(Value::Null, Value::Integer),
            Type::INT4 => row.try_get::<_, Option<i32>>(index)?.map_or(Value::Null, |value| Value::Integer(value.into())),
            Type::BOOL => row.try_get::<_, Option<bool>>(index)?.into(),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index)?.into(),
            _ => row.try_get::<_, Option<String>>(index)?.into(),
        })
    };
    (0..row.len()).map(column).collect::<Result<_, _>>().map(Row)
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Value::Integer(value) => value.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::VARCHAR, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}

fn place(config: &Config) -> String {
    let host = |host: &tokio_postgres::config::Host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
    format!("postgres {}/{}", hosts.join(","), config.get_dbname().or(config.get_user()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_the_way_of_postgres() {
        assert_eq!(dollars("SELECT a FROM b WHERE c = ?1 AND d = ?12 LIMIT ?2"), "SELECT a FROM b WHERE c = $1 AND d = $12 LIMIT $2");
        assert_eq!(dollars("a ? b"), "a ? b");
    }

    #[test]
    fn messages_name_the_place_and_no_password() {
        let postgres = Postgres::new("postgres://ringway:hunter2@db.example:5433/gate").unwrap();
        assert_eq!(postgres.0.place, "postgres db.example/gate");
        for bad in ["http://x", "postgres://a:hunter2@b/c?sslmode=perhaps", "postgres://a:hunter2@b:port/c"] {
            let error = Postgres::new(bad).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_at_once() {
        let postgres = Postgres::new("postgres://a:hunter2@127.0.0.1:1/c").unwrap();
        let error = postgres.query("SELECT 1", vec![]).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(reason) if reason.contains("127.0.0.1") && !reason.contains("hunter2")), "{error}");
    }
}
