//! Names to addresses: looked up here, published in the snapshot, last good answer kept.
//!
//! The system's resolver tells no TTL, so each name is asked again every `REFRESH`, as resolvers cache for it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_policy::snapshot::{Proxy, Snapshot};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::health::{Health, Part};
use crate::publish::Publisher;

/// Between two looks at the same name.
pub const REFRESH: Duration = Duration::from_secs(30);
/// Between two looks where a name was not found.
const REFRESH_FAILED: Duration = Duration::from_secs(5);
/// How long a start or a reload waits for names; it goes on without the rest.
pub const FIRST_WAIT: Duration = Duration::from_secs(2);
/// How long a lookup counts as under way.
const LOOKUP_MAX: Duration = Duration::from_secs(5);
/// Lookups at a time: each holds a thread.
const LOOKUPS_MAX: usize = 4;
/// Names that are remembered beside those that are in use.
const NAMES_MAX: usize = 1024;
/// Addresses that are kept of one name.
const ADDRESSES_MAX: usize = 16;

/// A host and the port to reach it at.
pub type Name = (Arc<str>, u16);

#[derive(Default)]
struct Known {
    addresses: HashMap<Name, Arc<[SocketAddr]>>,
    /// Being looked up. A name is asked once at a time, so that a dead name server gathers no queue.
    pending: HashSet<Name>,
}

/// Everything that has been looked up. Clones share one.
#[derive(Clone)]
pub struct Names {
    known: Arc<Mutex<Known>>,
    permits: Arc<Semaphore>,
    /// Rung after a reload, whose new names should not wait for the next round.
    pub wake: Arc<Notify>,
}

impl Default for Names {
    fn default() -> Names {
        Names { known: Arc::default(), permits: Arc::new(Semaphore::new(LOOKUPS_MAX)), wake: Arc::default() }
    }
}

impl Names {
    /// Looks all of `names` up, for at most `wait`; what comes later is kept for the next round.
    /// Returns the names without any address, old or new.
    pub async fn learn(&self, names: BTreeSet<Name>, wait: Duration) -> Vec<Name> {
        let until = Instant::now() + wait;
        let mut lookups = JoinSet::new();
        for name in &names {
            if self.known().pending.insert(name.clone()) {
                lookups.spawn(lookup(name.clone(), self.permits.clone(), self.known.clone()));
            }
        }
        while let Ok(Some(_)) = timeout_at(until, lookups.join_next()).await {}
        lookups.detach_all();
        let known = self.known();
        names.into_iter().filter(|name| !known.addresses.contains_key(name)).collect()
    }

    /// `snapshot` with the addresses that are known, as `revision`; `None` where it has them all already.
    pub fn apply(&self, snapshot: &Snapshot, revision: u64) -> Option<Snapshot> {
        let known = self.known();
        let next = snapshot.with_addresses(revision, &|host, port| known.addresses.get(&(host.into(), port)).cloned());
        addresses(&next).ne(addresses(snapshot)).then_some(next)
    }

    /// Forgets names that the snapshot does not ask for, once there are many; before, a reload may be about to ask for them.
    fn forget_all_but(&self, names: &BTreeSet<Name>) {
        let mut known = self.known();
        if known.addresses.len() > NAMES_MAX {
            known.addresses.retain(|name, _| names.contains(name));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the published snapshot's addresses fresh, for ever. Also frees old snapshots.
pub async fn run(names: Names, publisher: Publisher, health: Arc<Health>) {
    loop {
        let wanted = names_of(&publisher.current());
        names.forget_all_but(&wanted);
        let missing = names.learn(wanted, LOOKUP_MAX).await;
        let _ = publisher.change(|current| Ok::<_, std::convert::Infallible>(names.apply(current, current.revision + 1)));
        tell(&health, &missing);
        let pause = if missing.is_empty() { REFRESH } else { REFRESH_FAILED };
        let _ = timeout(pause, names.wake.notified()).await;
        publisher.sweep();
    }
}

/// Says which names have no address; the same words as long as it is so.
pub fn tell(health: &Health, missing: &[Name]) {
    if missing.is_empty() {
        return health.recover(Part::Names);
    }
    let list: Vec<&str> = missing.iter().map(|(host, _)| &**host).collect();
    health.degrade(Part::Names, format!("no address for {}", list.join(", ")));
}

/// The names that `snapshot` needs addresses for.
pub fn names_of(snapshot: &Snapshot) -> BTreeSet<Name> {
    snapshot.names_to_resolve().into_iter().collect()
}

/// Every address list of a snapshot, its proxies' included.
fn addresses(snapshot: &Snapshot) -> impl Iterator<Item = &[SocketAddr]> {
    snapshot.providers.iter().flat_map(|upstream| {
        let proxy = if let Proxy::Via(endpoint) = &upstream.proxy { Some(endpoint) } else { None };
        std::iter::once(&upstream.endpoint).chain(proxy).map(|endpoint| &*endpoint.addresses)
    })
}

/// One lookup on a thread of its own, which may outlive its caller but not its permit.
async fn lookup(name: Name, permits: Arc<Semaphore>, known: Arc<Mutex<Known>>) {
    let Ok(permit) = permits.acquire_owned().await else { return };
    let _ = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let found = (&*name.0, name.1).to_socket_addrs();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.pending.remove(&name);
        if let Ok(found) = found {
            known.learn(name, found);
        }
    })
    .await;
}

impl Known {
    /// An empty answer leaves the last good one, and so do the same addresses in another order.
    fn learn(&mut self, name: Name, found: impl Iterator<Item = SocketAddr>) {
        let mut fresh: Vec<SocketAddr> = Vec::new();
        for address in found {
            if fresh.len() < ADDRESSES_MAX && !fresh.contains(&address) {
                fresh.push(address);
            }
        }
        let is_same =
            self.addresses.get(&name).is_some_and(|old| old.len() == fresh.len() && old.iter().all(|address| fresh.contains(address)));
        if !fresh.is_empty() && !is_same {
            self.addresses.insert(name, fresh.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(names: &Names, host: &str) -> Vec<Name> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(names.learn(BTreeSet::from([(host.into(), 9)]), Duration::from_secs(10)))
    }

    #[test]
    fn localhost_has_a_loopback_address() {
        let names = Names::default();
        assert!(learn(&names, "localhost").is_empty());
        let known = names.known();
        let addresses = known.addresses.get(&("localhost".into(), 9)).unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 9), "{addresses:?}");
    }

    #[test]
    fn a_name_that_is_gone_keeps_its_last_good_answer() {
        let names = Names::default();
        let host = "ringway-test.invalid";
        assert_eq!(learn(&names, host).len(), 1);
        names.known().addresses.insert((host.into(), 9), ["192.0.2.1:9".parse().unwrap()].into());
        assert!(learn(&names, host).is_empty());
        assert_eq!(names.known().addresses.len(), 1);
        assert!(names.known().pending.is_empty());
    }

    #[test]
    fn another_order_is_no_change() {
        let mut known = Known::default();
        let name: Name = ("acme.test".into(), 1);
        let [one, two] = ["192.0.2.1:1", "192.0.2.2:1"].map(|text| text.parse::<SocketAddr>().unwrap());
        known.learn(name.clone(), [one, two].into_iter());
        known.learn(name.clone(), [two, one, two].into_iter());
        assert_eq!(*known.addresses[&name], [one, two]);
        known.learn(name.clone(), std::iter::empty());
        assert_eq!(*known.addresses[&name], [one, two]);
        known.learn(name.clone(), [two].into_iter());
        assert_eq!(*known.addresses[&name], [two]);
    }
}
