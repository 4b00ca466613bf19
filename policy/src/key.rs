//! Virtual keys: who may ask for what.
//!
//! A look-up is one SHA-256 of at most `KEY_BYTES_MAX` bytes and one hash probe; it allocates nothing.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ahash::AHashMap;

use crate::config::digest;
use crate::pattern::Pattern;

/// Longer keys are unknown without being hashed.
const KEY_BYTES_MAX: usize = 128;

/// Who an exchange belongs to.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The virtual key's name; `anonymous` where no key is configured.
    pub key: Arc<str>,
    pub team: Option<Arc<str>>,
    pub customer: Option<Arc<str>>,
    /// Patterns of allowed models; `None` = all, empty = none.
    pub models: Option<Vec<Pattern>>,
}

impl Principal {
    /// For requests without a key, where none is configured: all models.
    pub fn anonymous() -> Principal {
        Principal { key: "anonymous".into(), team: None, customer: None, models: None }
    }

    /// Whether a name, as it stands, is among the allowed models.
    pub fn allows(&self, name: &str) -> bool {
        self.models.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }
}

/// The configured virtual keys by the SHA-256 of each; the keys themselves are not kept.
#[derive(Debug, Default)]
pub struct KeyTable {
    principals: AHashMap<Sha256, Arc<Principal>>,
}

impl KeyTable {
    pub fn new(principals: impl Iterator<Item = ([u8; 32], Arc<Principal>)>) -> KeyTable {
        KeyTable { principals: principals.map(|(sha256, principal)| (Sha256(sha256), principal)).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.principals.is_empty()
    }

    pub fn len(&self) -> usize {
        self.principals.len()
    }

    /// Whose key this is.
    pub fn find(&self, key: &str) -> Option<&Arc<Principal>> {
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        self.principals.get(&Sha256(digest(key)))
    }
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

    fn principal(models: Option<&[&str]>) -> Principal {
        let models = models.map(|models| models.iter().map(|model| Pattern::new(model)).collect());
        Principal { models, ..Principal::anonymous() }
    }

    #[test]
    fn a_key_is_found_by_itself_alone() {
        let table = KeyTable::new([(digest("rw-aaaaaaaaaaaaaaaa"), Arc::new(principal(None)))].into_iter());
        assert!(table.find("rw-aaaaaaaaaaaaaaaa").is_some());
        assert!(table.find("rw-aaaaaaaaaaaaaaab").is_none());
        assert!(table.find("").is_none());
        assert!(table.find(&"a".repeat(100_000)).is_none());
        assert!(!format!("{table:?}").contains("rw-aaaa"));
    }

    #[test]
    fn absent_models_allow_all_and_empty_ones_none() {
        assert!(principal(None).allows("x"));
        assert!(!principal(Some(&[])).allows("x"));
        let some = principal(Some(&["openai/*", "chat-large"]));
        assert!(some.allows("openai/gpt-4.1") && some.allows("chat-large") && !some.allows("chat-large-2") && !some.allows("anthropic/x"));
    }
}
