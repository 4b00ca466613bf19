//! Several gateways that share their limits and budgets through Redis or Valkey.
//!
//! Each node leases from the store what it is about to spend and tells what it has spent: one round trip each reconcile for
//! all accounts together, one more where a request waits for units that are not here, none for a request as such. Without the
//! store a node goes on within its leases, and then as `on_partition` says; what it spends meanwhile is told when the store
//! is back.

pub mod client;
mod member;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_policy::config::{OnPartition, PREFIX_DEFAULT, StateConfig};
use ringway_policy::lease::{Account, Now};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use client::Store;
use member::Member;

/// How long a lease lives that its node does not renew.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
/// A node counts its leases as gone this much before the store does.
const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// Between two tries to reach a store that is down.
const RETRY: Duration = Duration::from_millis(500);
/// Accounts told in one round trip.
const TURNS_MAX: usize = 512;

/// Somebody waits for units of a shared account.
static ASKED: Notify = Notify::const_new();

/// Has the store asked at once; called by a shard.
pub fn ask() {
    ASKED.notify_one();
}

/// Where the shared state is.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: String,
    /// Before the name of every key.
    pub prefix: String,
    /// Unique among the nodes; a node that comes back under its name settles what it left.
    pub node: String,
    pub reconcile: Duration,
    pub on_partition: OnPartition,
}

impl Settings {
    /// Of a configuration. `None` where it names no store.
    pub fn of(config: &StateConfig, node: String, reconcile: Duration) -> Option<Settings> {
        let url = config.redis.as_ref()?.value.clone();
        let prefix = config.prefix.as_ref().map_or(PREFIX_DEFAULT, |prefix| &prefix.value).to_owned();
        Some(Settings { url, prefix, node, reconcile, on_partition: config.on_partition.unwrap_or_default() })
    }
}

/// An account by its stable id.
pub type Named = (Arc<str>, Arc<Account>);

/// What the cluster's task is driven by.
pub struct Setup {
    pub settings: Settings,
    /// The shared accounts of now; asked each reconcile.
    pub accounts: Box<dyn Fn() -> Vec<Named> + Send>,
    pub now: fn() -> Now,
    /// The store is there, or why not; called when that changes.
    pub tell: Box<dyn Fn(Result<(), String>) + Send>,
}

/// Shares the accounts until the process ends.
pub async fn run(setup: Setup) {
    let mut node = Node { members: Vec::new(), store: None, heard: Instant::now(), tried: None, is_well: None, setup };
    let mut ticks = interval(node.setup.settings.reconcile);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                node.refresh();
                node.round(Reason::Tick).await;
            }
            () = ASKED.notified() => node.round(Reason::Asked).await,
        }
    }
}

/// Why a round is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Tick,
    Asked,
}

struct Node {
    setup: Setup,
    members: Vec<Member>,
    store: Option<Store>,
    /// When the store last answered.
    heard: Instant,
    tried: Option<Instant>,
    is_well: Option<bool>,
}

impl Node {
    /// Takes accounts up that are new, and lets go of those that are no longer configured once they hold nothing.
    fn refresh(&mut self) {
        let accounts = (self.setup.accounts)();
        for (id, account) in &accounts {
            if !self.members.iter().any(|member| Arc::ptr_eq(&member.account, account)) {
                self.members.push(Member::new(id.clone(), account.clone()));
            }
        }
        self.members.retain(|member| !member.is_done() || accounts.iter().any(|(_, account)| Arc::ptr_eq(&member.account, account)));
    }

    async fn round(&mut self, reason: Reason) {
        let chosen = |member: &Member| reason == Reason::Tick || member.account.is_wanted();
        let mut indices: Vec<usize> = (0..self.members.len()).filter(|&index| chosen(&self.members[index])).collect();
        for &index in &indices {
            self.members[index].collect();
        }
        indices.retain(|&index| self.members[index].has_news());
        if indices.is_empty() && self.is_well == Some(true) {
            return;
        }
        if self.store.is_none() {
            self.connect().await;
        }
        let mut failed = None;
        for batch in indices.chunks(TURNS_MAX) {
            let Some(store) = &mut self.store else { break };
            let turns: Vec<client::Turn> = batch.iter().map(|&index| self.members[index].turn((self.setup.now)())).collect();
            match store.take(&turns).await {
                Ok(answers) => {
                    self.heard = Instant::now();
                    for (&index, answer) in batch.iter().zip(answers) {
                        self.members[index].told(answer, (self.setup.now)());
                    }
                }
                Err(error) => {
                    self.store = None;
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed {
            self.notice(Err(error));
        }
        if self.store.is_none() {
            self.go_on_alone();
        }
    }

    async fn connect(&mut self) {
        if self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return;
        }
        let settings = &self.setup.settings;
        let connected = Store::connect(&settings.url, &settings.prefix, &settings.node, LEASE_TTL).await;
        self.tried = Some(Instant::now());
        match connected {
            Ok(store) => {
                self.store = Some(store);
                self.heard = Instant::now();
                self.members.iter_mut().for_each(Member::rejoin);
                self.notice(Ok(()));
            }
            Err(error) => self.notice(Err(error)),
        }
    }

    /// Without the store: leases that ran out are not spent, and what is waited for is decided here.
    fn go_on_alone(&mut self) {
        let has_expired = self.heard.elapsed() > LEASE_TTL.saturating_sub(LEASE_MARGIN);
        for member in &mut self.members {
            if has_expired {
                member.expire();
            }
            member.go_on_alone(self.setup.settings.on_partition, (self.setup.now)());
        }
    }

    fn notice(&mut self, state: Result<(), String>) {
        if self.is_well != Some(state.is_ok()) {
            self.is_well = Some(state.is_ok());
            (self.setup.tell)(state);
        }
    }
}
