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

/// The configured virtual keys by the SHA-256 of each; the keys themselves are not kept.
#[derive(Debug, Default)]
pub struct KeyTable {
    entries: AHashMap<Sha256, Entry>,
}

/// What stands behind one SHA-256.
#[derive(Debug)]
struct Entry {
    principal: Arc<Principal>,
    /// When this way to write the key ends, in Unix milliseconds: a former key works for a while.
    until_ms: u64,
}

impl KeyTable {
    /// Takes each SHA-256 with its principal and the time until which it works; `u64::MAX` = always.
    pub fn new(entries: impl Iterator<Item = ([u8; 32], Arc<Principal>, u64)>) -> KeyTable {
        let entries = entries.map(|(sha256, principal, until_ms)| (Sha256(sha256), Entry { principal, until_ms }));
        KeyTable { entries: entries.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Each principal; one that answers to several keys may come more than once.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        self.entries.values().map(|entry| &entry.principal)
    }

    /// The principal of this name; looks at all of them.
    pub fn named(&self, name: &str) -> Option<&Arc<Principal>> {
        self.principals().find(|principal| *principal.key == *name)
    }

    /// Whose key this is, where it may be used at `unix_ms` by `client`.
    ///
    /// # Errors
    /// `InvalidKey` where it is unknown, has ended or is disabled; `NetworkNotAllowed`.
    pub fn find(&self, key: &str, client: Option<IpAddr>, unix_ms: u64) -> Result<&Arc<Principal>, Fault> {
        let known = if key.len() > KEY_BYTES_MAX { None } else { self.entries.get(&Sha256(digest(key))) };
        let entry = known.ok_or_else(unknown)?;
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
        self.entries.get(&Sha256(*sha256)).map(|entry| &entry.principal)
    }
}

fn unknown() -> Fault {
    Fault::new(Kind::InvalidKey, "the virtual key is not known here; check it, or ask whoever runs this gateway for one")
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
