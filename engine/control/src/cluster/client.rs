//! The wire to Redis or Valkey: a batch of turns, one round trip.
//!
//! Numbers travel as decimal text and are reckoned there in doubles, so an amount stays below 2⁵³.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline};

/// Connecting and each round trip; a store that takes longer counts as down.
const PATIENCE: Duration = Duration::from_millis(500);
/// Amounts are exact below this: nano-dollars up to nine million dollars.
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;

const SCRIPT: &str = include_str!("lease.lua");

/// How an account refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rate {
        per_ms: u64,
    },
    /// `calendar_start_ms` is 0 where the window begins with its first spend.
    Window {
        per_ms: u64,
        calendar_start_ms: u64,
    },
    Concurrent,
}

/// What one node says of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub account: String,
    pub kind: Kind,
    pub limit: u64,
    /// Ever, and how much of it the store has heard of.
    pub spent: u64,
    pub heard: u64,
    /// Of what was granted, not spent and not given back.
    pub held: u64,
    /// The least and all of what somebody waits for.
    pub need: u64,
    pub want: u64,
    /// Welcome beside it.
    pub spare: u64,
}

/// What the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub granted: u64,
    /// By all nodes.
    pub settled: u64,
    pub leased: u64,
    pub window_start_ms: u64,
    /// When the need could be met; `None` where that depends on others.
    pub wait: Option<Duration>,
}

/// A connection with the script loaded.
pub struct Store {
    connection: MultiplexedConnection,
    script_sha: String,
    prefix: String,
    node: String,
    lease_ttl: Duration,
}

impl Store {
    /// Connects.
    ///
    /// # Errors
    /// What is in the way; the text holds no password.
    pub async fn connect(url: &str, prefix: &str, node: &str, lease_ttl: Duration) -> Result<Store, String> {
        let client = Client::open(url).map_err(|error| error.to_string())?;
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| error.to_string())?;
        let script_sha = load(&mut connection).await?;
        Ok(Store { connection, script_sha, prefix: prefix.to_owned(), node: node.to_owned(), lease_ttl })
    }

    /// Takes all turns in one round trip; the answers are in their order. After an error nobody knows which were taken; the
    /// next ones put it right.
    ///
    /// # Errors
    /// The store is not there, or not itself.
    pub async fn take(&mut self, turns: &[Turn]) -> Result<Vec<Answer>, String> {
        match self.call(turns).await {
            // A store that was restarted has forgotten the script.
            Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
                self.script_sha = load(&mut self.connection).await?;
                self.call(turns).await.map_err(|error| error.to_string())
            }
            other => other.map_err(|error| error.to_string()),
        }
    }

    async fn call(&mut self, turns: &[Turn]) -> redis::RedisResult<Vec<Answer>> {
        let mut pipeline = Pipeline::with_capacity(turns.len());
        for turn in turns {
            pipeline.add_command(self.command(turn));
        }
        let rows: Vec<[i64; 5]> = pipeline.query_async(&mut self.connection).await?;
        Ok(rows.into_iter().map(answer).collect())
    }

    fn command(&self, turn: &Turn) -> Cmd {
        let (kind, per_ms, calendar_start_ms) = match turn.kind {
            Kind::Rate { per_ms } => ("rate", per_ms, 0),
            Kind::Window { per_ms, calendar_start_ms } => ("window", per_ms, calendar_start_ms),
            Kind::Concurrent => ("concurrent", 0, 0),
        };
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.script_sha).arg(1).arg(format!("{}{}", self.prefix, turn.account)).arg(kind);
        for amount in [turn.limit, per_ms, calendar_start_ms] {
            command.arg(amount);
        }
        command.arg(&self.node).arg(self.lease_ttl.as_millis() as u64);
        for amount in [turn.spent, turn.heard, turn.held, turn.need, turn.want, turn.spare] {
            command.arg(amount);
        }
        command
    }
}

async fn load(connection: &mut MultiplexedConnection) -> Result<String, String> {
    redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(connection).await.map_err(|error| error.to_string())
}

fn answer([granted, settled, leased, window_start_ms, wait_ms]: [i64; 5]) -> Answer {
    let amount = |value: i64| u64::try_from(value).unwrap_or(0);
    Answer {
        granted: amount(granted),
        settled: amount(settled),
        leased: amount(leased),
        window_start_ms: amount(window_start_ms),
        wait: u64::try_from(wait_ms).ok().map(Duration::from_millis),
    }
}
