//! States of targets: those that the file names, and a bounded number of those that clients name.

use std::sync::{Arc, OnceLock};

use ahash::AHashMap;

use crate::breaker::Breaker;
use crate::health::Health;
use crate::quota::Learned;
use crate::retry::RetryBudget;

/// Models of one provider that have a state of their own although the file does not name them. Their names come from a
/// network, so there must be an end to them; what comes later shares one state.
const STRANGERS_MAX: usize = 256;
/// Slots that one name may stand in.
const PROBES_MAX: usize = 8;
/// Longer names share the one state.
const NAME_BYTES_MAX: usize = 128;

/// Process-wide state of one target, carried from snapshot to snapshot under its id `provider/model`.
#[derive(Debug)]
pub struct TargetId {
    /// `provider/model`; `provider/*` for the models that share one state.
    pub id: Box<str>,
    pub breaker: Breaker,
    pub retry_budget: RetryBudget,
    pub health: Health,
    /// How long its answers are.
    pub learned: Learned,
}

impl TargetId {
    fn new(provider: &str, model: &str) -> Arc<TargetId> {
        Arc::new(TargetId {
            id: format!("{provider}/{model}").into(),
            breaker: Breaker::default(),
            retry_budget: RetryBudget::default(),
            health: Health::default(),
            learned: Learned::default(),
        })
    }
}

/// The states of one provider's targets.
#[derive(Debug)]
pub(crate) struct Targets {
    named: AHashMap<Arc<str>, Arc<TargetId>>,
    strangers: Arc<Strangers>,
}

impl Targets {
    /// States for `models`; those of `previous` live on.
    pub fn new(provider: &str, models: &[&str], previous: Option<&Targets>) -> Targets {
        let mut named: AHashMap<Arc<str>, Arc<TargetId>> = AHashMap::new();
        for &model in models {
            if !named.contains_key(model) {
                let state = previous.and_then(|previous| previous.known(model)).unwrap_or_else(|| TargetId::new(provider, model));
                named.insert(model.into(), state);
            }
        }
        let strangers = previous.map(|previous| previous.strangers.clone());
        Targets { named, strangers: strangers.unwrap_or_else(|| Arc::new(Strangers::new(provider))) }
    }

    /// The state of a model. Allocates for a model that is asked for the first time and that the file does not name.
    pub fn find(&self, model: &str) -> Arc<TargetId> {
        match self.named.get(model) {
            Some(target) => target.clone(),
            None => self.strangers.find(model).clone(),
        }
    }

    /// Those that the file names.
    pub fn named(&self) -> impl Iterator<Item = &Arc<TargetId>> {
        self.named.values()
    }

    fn known(&self, model: &str) -> Option<Arc<TargetId>> {
        self.named.get(model).or_else(|| self.strangers.known(model)).cloned()
    }
}

/// A hash table that only grows, and only up to its size: a slot is set once and read without waiting.
#[derive(Debug)]
struct Strangers {
    provider: Box<str>,
    slots: Box<[OnceLock<Arc<TargetId>>]>,
    others: Arc<TargetId>,
}

impl Strangers {
    fn new(provider: &str) -> Strangers {
        Strangers {
            provider: provider.into(),
            slots: (0..STRANGERS_MAX).map(|_| OnceLock::new()).collect(),
            others: TargetId::new(provider, "*"),
        }
    }

    fn find(&self, model: &str) -> &Arc<TargetId> {
        if model.len() > NAME_BYTES_MAX {
            return &self.others;
        }
        let own = self.places(model).find_map(|slot| {
            let target = slot.get_or_init(|| TargetId::new(&self.provider, model));
            self.is_of(target, model).then_some(target)
        });
        own.unwrap_or(&self.others)
    }

    fn known(&self, model: &str) -> Option<&Arc<TargetId>> {
        self.places(model).map_while(OnceLock::get).find(|target| self.is_of(target, model))
    }

    fn places(&self, model: &str) -> impl Iterator<Item = &OnceLock<Arc<TargetId>>> {
        // FNV-1a. Whoever makes names collide makes their own share a state.
        let hash = model.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // Murmur3's finish: FNV alone leaves names that differ in their last letter side by side.
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let first = (hash >> 33) as usize;
        (0..PROBES_MAX).map(move |probe| &self.slots[(first + probe) % STRANGERS_MAX])
    }

    fn is_of(&self, target: &TargetId, model: &str) -> bool {
        target.id.get(self.provider.len() + 1..) == Some(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_a_state_of_its_own_as_long_as_there_is_room() {
        let targets = Targets::new("p", &["a", "b", "a"], None);
        assert_eq!(&*targets.find("a").id, "p/a");
        assert!(Arc::ptr_eq(&targets.find("stranger"), &targets.find("stranger")));
        assert_eq!(&*targets.find("stranger").id, "p/stranger");
        assert_eq!(targets.named().count(), 2);
        let own = (0..100).filter(|n| *targets.find(&format!("m{n}")).id == format!("p/m{n}")).count();
        assert_eq!(own, 100);
    }

    #[test]
    fn names_from_a_network_fill_a_bounded_table() {
        let targets = Targets::new("p", &[], None);
        let ids: std::collections::HashSet<String> = (0..100_000).map(|n| targets.find(&format!("m{n}")).id.to_string()).collect();
        assert!(ids.len() <= STRANGERS_MAX + 1, "{}", ids.len());
        assert_eq!(&*targets.find("one more").id, "p/*");
        assert_eq!(&*targets.find(&"x".repeat(1_000)).id, "p/*");
        assert_eq!(&*targets.find("m0").id, "p/m0", "who came first keeps its state");
    }

    #[test]
    fn a_stranger_that_the_file_names_keeps_its_state() {
        let first = Targets::new("p", &["a"], None);
        let stranger = first.find("s");
        let second = Targets::new("p", &["s"], Some(&first));
        assert!(Arc::ptr_eq(&second.find("s"), &stranger));
        assert_eq!(second.named().count(), 1);
    }
}
