//! Short-lived credentials of providers: fetched ahead of their end, published in the snapshot.
//!
//! A fetch that fails keeps the old token until it ends, is tried again with growing pauses, and is said in `/readyz`.

mod aws;
mod entra;
mod google;
pub(crate) mod http;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ringway_adapters::provider::Chain;
use ringway_policy::snapshot::Snapshot;
use ringway_policy::snapshot::fetch::{Fetch, Fetched};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::health::{Health, Part};
use crate::publish::Publisher;

/// How long a start or a reload waits for tokens; it goes on without the rest.
pub const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Longest fetch.
const FETCH_MAX: Duration = Duration::from_secs(20);
/// A token is fetched anew so long before its end, or when a fifth of its life is left, whichever is shorter.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// Life of a token whose giver does not say how long it lives.
const LIFE_UNKNOWN: Duration = Duration::from_secs(15 * 60);
/// Pauses after a failed fetch: from the first to the last, doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);
/// Between two looks at what is due; a change of the configuration rings.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// A token and how long it lives.
pub(crate) struct Fresh {
    pub fetched: Fetched,
    /// `None` where nobody says.
    pub life: Option<Duration>,
}

struct Token {
    /// The last one that came, and its end.
    good: Option<(Fetched, SystemTime)>,
    /// When it is to be fetched.
    due: SystemTime,
    /// Failures since the last good one, and why.
    failed: u32,
    reason: Option<String>,
}

/// All tokens. Clones share them.
#[derive(Clone, Default)]
pub struct Tokens {
    known: Arc<Mutex<HashMap<Arc<Fetch>, Token>>>,
    /// Rung after a reload, whose new providers should not wait for the next round.
    pub wake: Arc<Notify>,
}

impl Tokens {
    /// Fetches what `snapshot` needs and what is due, for at most `wait`.
    pub async fn learn(&self, snapshot: &Snapshot, wait: Duration) {
        let until = tokio::time::Instant::now() + wait;
        let mut fetches = JoinSet::new();
        for fetch in snapshot.fetches().into_iter().filter(|fetch| self.take_due(fetch)) {
            let tokens = self.clone();
            fetches.spawn(async move {
                let outcome = timeout(FETCH_MAX, get(&fetch)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
                tokens.put(fetch, outcome);
            });
        }
        while let Ok(Some(_)) = timeout_at(until, fetches.join_next()).await {}
        fetches.detach_all();
    }

    /// `snapshot` with the tokens that are known, as `revision`; `None` where it has them all already.
    pub fn apply(&self, snapshot: &Snapshot, revision: u64) -> Option<Snapshot> {
        let (known, now) = (self.known(), SystemTime::now());
        snapshot.with_fetched(revision, &|fetch| {
            let (fetched, end) = known.get(fetch)?.good.as_ref()?;
            (*end > now).then(|| fetched.clone())
        })
    }

    /// Says which providers have trouble with their tokens.
    pub fn tell(&self, health: &Health, snapshot: &Snapshot) {
        let known = self.known();
        let troubles: Vec<String> = snapshot
            .providers
            .iter()
            .filter_map(|upstream| {
                let reason = known.get(upstream.fetch.as_ref()?)?.reason.as_ref()?;
                Some(format!("{}: {reason}", upstream.name))
            })
            .collect();
        match troubles.is_empty() {
            true => health.recover(Part::Tokens),
            false => health.degrade(Part::Tokens, troubles.join("; ")),
        }
    }

    /// Whether it is to be fetched now; until it has come, nobody else fetches it.
    fn take_due(&self, fetch: &Arc<Fetch>) -> bool {
        let now = SystemTime::now();
        let mut known = self.known();
        let token = known.entry(fetch.clone()).or_insert(Token { good: None, due: now, failed: 0, reason: None });
        let is_due = token.due <= now;
        if is_due {
            token.due = now + FETCH_MAX;
        }
        is_due
    }

    fn put(&self, fetch: Arc<Fetch>, outcome: Result<Fresh, String>) {
        let now = SystemTime::now();
        let mut known = self.known();
        let Some(token) = known.get_mut(&fetch) else { return };
        match outcome {
            Ok(Fresh { fetched, life }) => {
                let life = life.unwrap_or(LIFE_UNKNOWN);
                let ahead = AHEAD.min(life / 5);
                *token = Token { good: Some((fetched, now + life)), due: now + (life - ahead), failed: 0, reason: None };
            }
            Err(reason) => {
                if token.reason.as_ref() != Some(&reason) {
                    tracing::warn!(reason, "no new token for a provider; the old one is used until it ends");
                }
                token.due = now + RETRY_LAST.min(RETRY_FIRST * 2u32.saturating_pow(token.failed.min(8)));
                (token.failed, token.reason) = (token.failed + 1, Some(reason));
            }
        }
        drop(known);
        self.wake.notify_one();
    }

    /// How long until something is due or ends; also forgets what `snapshot` does not need.
    fn pause(&self, snapshot: &Snapshot) -> Duration {
        let needed = snapshot.fetches();
        let mut known = self.known();
        known.retain(|fetch, _| needed.contains(fetch));
        let now = SystemTime::now();
        let ends = known.values().filter_map(|token| token.good.as_ref().map(|(_, end)| *end)).filter(|end| *end > now);
        let next = known.values().map(|token| token.due).chain(ends).min();
        let pause = next.map_or(ROUND_MAX, |next| next.duration_since(now).unwrap_or_default());
        pause.clamp(Duration::from_millis(50), ROUND_MAX)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<Fetch>, Token>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the published snapshot's tokens fresh, for ever.
pub async fn run(tokens: Tokens, publisher: Publisher, health: Arc<Health>) {
    loop {
        let current = publisher.current();
        tokens.learn(&current, FETCH_MAX).await;
        drop(current);
        let _ = publisher.change(|current| Ok::<_, std::convert::Infallible>(tokens.apply(current, current.revision + 1)));
        let current = publisher.current();
        tokens.tell(&health, &current);
        let pause = tokens.pause(&current);
        drop(current);
        let _ = timeout(pause, tokens.wake.notified()).await;
    }
}

async fn get(fetch: &Fetch) -> Result<Fresh, String> {
    match fetch.tokens.chain {
        Chain::Google => google::get(fetch).await,
        Chain::Entra => entra::get(fetch).await,
        Chain::Aws => aws::get(fetch).await,
    }
}
