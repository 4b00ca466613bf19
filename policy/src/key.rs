//! Virtual keys: who may ask, from where, and for what.
//!
//! A look-up is one SHA-256 of at most `KEY_BYTES_MAX` bytes and one hash probe; it allocates nothing. Keys that say the same
//! share one `Access`, so that a hundred thousand of them cost their names, their digests and little more.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use ahash::AHashMap;
use ringway_adapters::fault::{Fault, Kind};

use crate::config::digest;
use crate::networks::Networks;
use crate::pattern::Pattern;
use crate::priority::Class;
use crate::quota;
use crate::record::write_time;
use crate::snapshot::Credential;
use crate::tags::Tag;

/// Longer keys are unknown without being hashed.
const KEY_BYTES_MAX: usize = 128;

/// Who an exchange belongs to.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The virtual key's name; `anonymous` where no key is configured.
    pub key: Arc<str>,
    pub team: Option<Arc<str>>,
    pub customer: Option<Arc<str>>,
    /// When the key ends, in Unix milliseconds; `u64::MAX` = never.
    pub expires_ms: u64,
    /// Shared by all keys that say the same.
    pub access: Arc<Access>,
    /// Limits and budgets of the key, its profile, its team, its customer and of everyone, in this order.
    pub quotas: quota::Held,
}

/// What a key may do.
#[derive(Clone, Debug)]
pub struct Access {
    pub enabled: bool,
    pub models: Permits,
    /// Over the providers' names.
    pub providers: Permits,
    /// `None` = from everywhere.
    pub networks: Option<Networks>,
    /// Of all its requests; a request cannot override them.
    pub tags: Box<[Tag]>,
    /// Keys of its own at providers, by the provider's index in the snapshot.
    pub credentials: Box<[(usize, Credential)]>,
    /// `None` = the route's.
    pub priority: Option<Class>,
    /// Its requests may ask how their targets were chosen.
    pub explain: bool,
    /// The audit log holds its exchanges.
    pub audited: bool,
}

impl Default for Access {
    /// All is allowed.
    fn default() -> Access {
        let (models, providers) = (Permits::default(), Permits::default());
        Access {
            enabled: true,
            models,
            providers,
            networks: None,
            tags: Box::default(),
            credentials: Box::default(),
            priority: None,
            explain: true,
            audited: false,
        }
    }
}

/// Names that are allowed: those of `allow` without those of `deny`.
#[derive(Clone, Debug, Default)]
pub struct Permits {
    /// `None` = all, empty = none.
    pub allow: Option<Box<[Pattern]>>,
    pub deny: Box<[Pattern]>,
}

impl Permits {
    /// Whether nothing is refused.
    pub fn all(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// Whether a name, as it stands, is allowed.
    pub fn contains(&self, name: &str) -> bool {
        !self.denies(name) && self.allow.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }

    /// Whether a name, as it stands, is denied whatever is allowed.
    pub fn denies(&self, name: &str) -> bool {
        self.deny.iter().any(|pattern| pattern.matches(name))
    }
}

impl Principal {
    /// For requests without a key, where none is configured: all models.
    pub fn anonymous() -> Principal {
        let quotas = quota::Held::default();
        Principal { key: "anonymous".into(), team: None, customer: None, expires_ms: u64::MAX, access: Arc::default(), quotas }
    }

    /// Its own credential at a provider, by the provider's index in the snapshot that it came from.
    pub fn credential(&self, provider: usize) -> Option<&Credential> {
        self.access.credentials.iter().find(|(index, _)| *index == provider).map(|(_, credential)| credential)
    }

    /// Whether it may ask at all: now, and from there.
    ///
    /// # Errors
    /// `InvalidKey` where it has expired or is disabled, `NetworkNotAllowed` where the client is elsewhere or nobody knows where.
    fn check(&self, client: Option<IpAddr>, unix_ms: u64) -> Result<(), Fault> {
        let key = &self.key;
        if unix_ms >= self.expires_ms {
            let message =
                format!("the virtual key {key:?} expired at {}; ask whoever runs this gateway for another", time(self.expires_ms));
            return Err(Fault::new(Kind::InvalidKey, message));
        }
        if !self.access.enabled {
            return Err(Fault::new(Kind::InvalidKey, format!("the virtual key {key:?} is disabled; ask whoever runs this gateway")));
        }
        let Some(networks) = &self.access.networks else { return Ok(()) };
        match client {
            Some(client) if networks.contains(client) => Ok(()),
            Some(client) => {
                let message =
                    format!("the virtual key {key:?} may not be used from {client}; use it from its networks, or let them be changed");
                Err(Fault::new(Kind::NetworkNotAllowed, message))
            }
            None => {
                let message = format!("the virtual key {key:?} is bound to networks, and the client's address is not known here");
                Err(Fault::new(Kind::NetworkNotAllowed, message))
            }
        }
    }
}

/// Keys that may be changed one by one before the table is made anew.
const CHANGED_MAX: usize = 4096;

/// The configured virtual keys by the SHA-256 of each; the keys themselves are not kept.
#[derive(Debug, Default)]
pub struct KeyTable {
    base: Arc<AHashMap<Sha256, Entry>>,
    /// What became of some since the base was made; `None` = gone. Looked at first.
    changed: AHashMap<Sha256, Option<Entry>>,
    /// Keys that went since then: one that comes back finds what it spent.
    gone: Vec<Arc<Principal>>,
    len: usize,
    /// Others may have made keys that are not known here: the store that gateways share cannot be reached.
    is_partial: bool,
}

/// Whether every key that there is stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    Whole,
    /// A key that is not in it may be one all the same.
    Partial,
}

/// What stands behind one SHA-256.
#[derive(Clone, Debug)]
struct Entry {
    principal: Arc<Principal>,
    /// When this way to write the key ends, in Unix milliseconds: a former key works for a while.
    until_ms: u64,
}

/// What becomes of one virtual key.
pub(crate) struct KeyChange {
    /// The SHA-256s that it answered to.
    pub before: Vec<[u8; 32]>,
    /// Those that it answers to from now on, each with its end.
    pub after: Vec<([u8; 32], u64)>,
    /// `None` = it goes.
    pub principal: Option<Arc<Principal>>,
}

impl KeyTable {
    /// Takes each SHA-256 with its principal and the time until which it works; `u64::MAX` = always.
    pub fn new(entries: impl Iterator<Item = ([u8; 32], Arc<Principal>, u64)>) -> KeyTable {
        let entries = entries.map(|(sha256, principal, until_ms)| (Sha256(sha256), Entry { principal, until_ms }));
        let base: AHashMap<Sha256, Entry> = entries.collect();
        KeyTable { len: base.len(), base: Arc::new(base), ..KeyTable::default() }
    }

    /// The table with one key changed: all others are shared with this one. `None` once so many were changed that it is to be made
    /// anew.
    pub(crate) fn with(&self, change: KeyChange) -> Option<KeyTable> {
        if self.changed.len() + change.before.len() + change.after.len() > CHANGED_MAX || self.gone.len() >= CHANGED_MAX {
            return None;
        }
        let (mut changed, mut gone, mut len) = (self.changed.clone(), self.gone.clone(), self.len);
        if change.principal.is_none() {
            gone.extend(change.before.first().and_then(|sha256| self.by_sha256(sha256)).cloned());
        }
        for sha256 in change.before.into_iter().map(Sha256) {
            len -= usize::from(self.entry(&sha256).is_some());
            changed.insert(sha256, None);
        }
        for (sha256, until_ms) in change.after {
            let entry = change.principal.clone().map(|principal| Entry { principal, until_ms });
            len += usize::from(entry.is_some());
            changed.insert(Sha256(sha256), entry);
        }
        Some(KeyTable { base: self.base.clone(), changed, gone, len, is_partial: self.is_partial })
    }

    /// The same keys; says of those that are not among them that they are unknown, or that nobody can tell.
    pub(crate) fn covering(&self, coverage: Coverage) -> KeyTable {
        let (changed, gone) = (self.changed.clone(), self.gone.clone());
        KeyTable { base: self.base.clone(), changed, gone, len: self.len, is_partial: coverage == Coverage::Partial }
    }

    pub fn coverage(&self) -> Coverage {
        if self.is_partial { Coverage::Partial } else { Coverage::Whole }
    }

    /// Lets the operator's key in beside the others; where there are none, nobody is asked for one.
    pub fn admit_operator(&mut self, sha256: [u8; 32], principal: Arc<Principal>) {
        if !self.is_empty() {
            // It is no virtual key: it counts as none.
            self.changed.insert(Sha256(sha256), Some(Entry { principal, until_ms: u64::MAX }));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Each principal; one that answers to several keys may come more than once.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        let base = self.base.iter().filter(|(sha256, _)| self.changed.is_empty() || !self.changed.contains_key(sha256));
        let changed = self.changed.values().filter_map(Option::as_ref);
        base.map(|(_, entry)| entry).chain(changed).map(|entry| &entry.principal)
    }

    /// A key that went since the table was made.
    pub(crate) fn gone(&self, name: &str) -> Option<&Arc<Principal>> {
        self.gone.iter().rev().find(|principal| *principal.key == *name)
    }

    /// The principal of this name; looks at all of them.
    pub fn named(&self, name: &str) -> Option<&Arc<Principal>> {
        self.principals().find(|principal| *principal.key == *name)
    }

    /// Whose key this is, where it may be used at `unix_ms` by `client`.
    ///
    /// # Errors
    /// `InvalidKey` where it is unknown, has ended or is disabled; `Overloaded` where it is unknown and the table is partial;
    /// `NetworkNotAllowed`.
    pub fn find(&self, key: &str, client: Option<IpAddr>, unix_ms: u64) -> Result<&Arc<Principal>, Fault> {
        let known = if key.len() > KEY_BYTES_MAX { None } else { self.entry(&Sha256(digest(key))) };
        let entry = known.ok_or_else(|| if self.is_partial { untold() } else { unknown() })?;
        if unix_ms >= entry.until_ms {
            let (name, ended) = (&entry.principal.key, time(entry.until_ms));
            let message = format!("this former key of {name:?} ended at {ended}; use the one that replaced it");
            return Err(Fault::new(Kind::InvalidKey, message));
        }
        entry.principal.check(client, unix_ms)?;
        Ok(&entry.principal)
    }

    /// The principal of a SHA-256, whatever became of its key.
    pub fn by_sha256(&self, sha256: &[u8; 32]) -> Option<&Arc<Principal>> {
        self.entry(&Sha256(*sha256)).map(|entry| &entry.principal)
    }

    fn entry(&self, sha256: &Sha256) -> Option<&Entry> {
        match self.changed.is_empty() {
            true => self.base.get(sha256),
            false => self.changed.get(sha256).map_or_else(|| self.base.get(sha256), Option::as_ref),
        }
    }
}

fn unknown() -> Fault {
    Fault::new(Kind::InvalidKey, "the virtual key is not known here; check it, or ask whoever runs this gateway for one")
}

fn untold() -> Fault {
    Fault::new(Kind::Overloaded, "the virtual key is not known here, and the store that knows all keys cannot be reached; try again")
}

fn time(unix_ms: u64) -> String {
    let mut text = Vec::new();
    write_time(unix_ms, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// A digest, compared in constant time: how far two agree must not show in how long the answer takes.
#[derive(Clone, Copy, Debug, Eq)]
struct Sha256([u8; 32]);

impl PartialEq for Sha256 {
    fn eq(&self, other: &Sha256) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0u8, |difference, (a, b)| difference | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl Hash for Sha256 {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "rw-aaaaaaaaaaaaaaaa";

    fn permits(allow: Option<&[&str]>, deny: &[&str]) -> Permits {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text)).collect();
        Permits { allow: allow.map(patterns), deny: patterns(deny) }
    }

    fn table(principal: Principal, until_ms: u64) -> KeyTable {
        KeyTable::new([(digest(KEY), Arc::new(principal), until_ms)].into_iter())
    }

    #[test]
    fn a_key_is_found_by_itself_alone() {
        let table = table(Principal::anonymous(), u64::MAX);
        assert!(table.find(KEY, None, 0).is_ok());
        for other in ["rw-aaaaaaaaaaaaaaab", "", &"a".repeat(100_000)] {
            assert_eq!(table.find(other, None, 0).unwrap_err().kind, Kind::InvalidKey);
        }
        assert!(!format!("{table:?}").contains("rw-aaaa"));
    }

    #[test]
    fn one_key_changes_and_the_others_are_shared() {
        let (old, new) = (table(Principal::anonymous(), u64::MAX), "rw-bbbbbbbbbbbbbbbb");
        let put = |key: &str, before: Vec<[u8; 32]>| KeyChange {
            before,
            after: vec![(digest(key), u64::MAX)],
            principal: Some(Arc::new(Principal::anonymous())),
        };
        let two = old.with(put(new, vec![])).unwrap();
        assert_eq!((old.len(), two.len(), two.principals().count()), (1, 2, 2));
        assert!(old.find(new, None, 0).is_err() && two.find(new, None, 0).is_ok() && two.find(KEY, None, 0).is_ok());
        assert!(Arc::ptr_eq(&old.base, &two.base));
        let rotated = two.with(put("rw-cccccccccccccccc", vec![digest(KEY)])).unwrap();
        assert!(rotated.find(KEY, None, 0).is_err() && rotated.find("rw-cccccccccccccccc", None, 0).is_ok() && rotated.len() == 2);
        let gone = rotated.with(KeyChange { before: vec![digest(new)], after: vec![], principal: None }).unwrap();
        assert!(gone.find(new, None, 0).is_err() && gone.gone("anonymous").is_some());
        assert_eq!((gone.len(), gone.principals().count()), (1, 1));
        let partial = gone.covering(Coverage::Partial);
        assert_eq!(partial.find(new, None, 0).unwrap_err().status(), 503);
        assert!(partial.find("rw-cccccccccccccccc", None, 0).is_ok());
        assert_eq!(partial.covering(Coverage::Whole).find(new, None, 0).unwrap_err().status(), 401);
    }

    #[test]
    fn absent_names_allow_all_empty_ones_none_and_deny_wins() {
        assert!(permits(None, &[]).contains("x") && permits(None, &[]).all());
        assert!(!permits(Some(&[]), &[]).contains("x"));
        let some = permits(Some(&["openai/*", "chat-large"]), &["openai/gpt-5*"]);
        assert!(some.contains("openai/gpt-4.1") && some.contains("chat-large"));
        assert!(!some.contains("chat-large-2") && !some.contains("anthropic/x") && !some.contains("openai/gpt-5-pro"));
        assert!(!permits(None, &["a*"]).contains("ab") && permits(None, &["a*"]).contains("b"));
    }

    #[test]
    fn a_key_ends_when_it_expires() {
        let table = table(Principal { expires_ms: 1_000, ..Principal::anonymous() }, u64::MAX);
        assert!(table.find(KEY, None, 999).is_ok());
        let fault = table.find(KEY, None, 1_000).unwrap_err();
        assert_eq!(fault.kind, Kind::InvalidKey);
        assert!(fault.message.contains("expired at 1970-01-01T00:00:01.000Z"), "{}", fault.message);
    }

    #[test]
    fn a_former_key_works_until_its_end() {
        let table = table(Principal::anonymous(), 500);
        assert!(table.find(KEY, None, 499).is_ok());
        assert!(table.find(KEY, None, 500).unwrap_err().message.contains("use the one that replaced it"));
    }

    #[test]
    fn a_disabled_key_is_refused() {
        let access = Arc::new(Access { enabled: false, ..Access::default() });
        let fault = table(Principal { access, ..Principal::anonymous() }, u64::MAX).find(KEY, None, 0).unwrap_err();
        assert_eq!(fault.kind, Kind::InvalidKey);
        assert!(fault.message.contains("is disabled"), "{}", fault.message);
    }

    #[test]
    fn a_bound_key_works_from_its_networks_alone() {
        let networks = Some(Networks::parse(["10.0.0.0/8"]).unwrap());
        let access = Arc::new(Access { networks, ..Access::default() });
        let table = table(Principal { access, ..Principal::anonymous() }, u64::MAX);
        assert!(table.find(KEY, "10.1.2.3".parse().ok(), 0).is_ok());
        for client in ["192.0.2.1".parse().ok(), None] {
            let fault = table.find(KEY, client, 0).unwrap_err();
            assert_eq!((fault.kind, fault.status()), (Kind::NetworkNotAllowed, 403), "{client:?}");
        }
    }
}
