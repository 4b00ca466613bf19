//! The quotas of one snapshot: all by id, and those that are found by a model or a tag of the request.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::maker::Maker;
use super::{List, Quota};
use crate::key::Principal;
use crate::lease::Now;
use crate::pattern::Pattern;
use crate::spend::Spent;
use crate::tags::Tags;

/// Virtual keys of the file whose quotas are made at once, so that whoever looks sees them before their first request.
const MADE_AT_ONCE_MAX: usize = 256;

/// Limits and budgets that the file no longer has and whose spend is still known: a reload may bring them back.
const RETIRED_MAX: usize = 4096;

/// Every quota of the file; of those of virtual keys, the ones that were needed so far.
#[derive(Debug, Default)]
pub struct Quotas {
    /// All but those of virtual keys, in the order of the file.
    list: Vec<Arc<Quota>>,
    by_account: AHashMap<u64, usize>,
    pub(super) maker: Arc<Maker>,
    /// Keys that are made at once: the first ones of the file, and those whose accounts live on.
    at_once: Vec<Arc<Principal>>,
    pub(crate) by_model: ModelQuotas,
    pub(crate) by_tag: TagQuotas,
    /// Output tokens that are reserved where nothing better is known.
    pub(crate) output_tokens_floor: u64,
}

/// Quotas of models, by patterns over `provider/model`.
#[derive(Debug, Default)]
pub struct ModelQuotas(pub(crate) Vec<(Pattern, List)>);

/// Quotas of tags, by name and value.
#[derive(Debug, Default)]
pub struct TagQuotas(pub(crate) Vec<(Box<str>, Box<str>, List)>);

impl Quotas {
    pub(super) fn new(list: Vec<Arc<Quota>>, maker: Arc<Maker>, by_model: ModelQuotas, by_tag: TagQuotas, floor: u64) -> Quotas {
        let by_account = list.iter().enumerate().map(|(index, quota)| (quota.account_id, index)).collect();
        Quotas { list, by_account, maker, at_once: Vec::new(), by_model, by_tag, output_tokens_floor: floor }
    }

    /// Chooses the keys whose quotas are made with the snapshot, and keeps those of `previous` that are here no more, budgets
    /// before limits.
    pub(crate) fn with_keys<'k>(mut self, keys: impl Iterator<Item = &'k Arc<Principal>>, previous: Option<&Quotas>) -> Quotas {
        let own = keys.filter_map(|key| Some((key, key.quotas.accounts()?)));
        let mut live: AHashSet<u64> = AHashSet::new();
        for (index, (key, accounts)) in own.enumerate() {
            live.extend(accounts.ids());
            if index < MADE_AT_ONCE_MAX || !accounts.is_empty() {
                self.at_once.push(key.clone());
            }
        }
        if let Some(previous) = previous {
            let all = || previous.all().chain(previous.maker.retired.get().into_iter().flatten());
            let gone = all().filter(|quota| quota.is_budget()).chain(all().filter(|quota| !quota.is_budget()));
            let gone = gone.filter(|quota| self.by_account(quota.account_id).is_none() && !live.contains(&quota.account_id));
            // Only here is it set.
            let _ = self.maker.retired.set(gone.take(RETIRED_MAX).cloned().collect());
        }
        self
    }

    /// Those of virtual keys come last, in the order in which they were first needed.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Quota>> {
        self.all().filter(|quota| !quota.is_retired())
    }

    /// Also those of keys that were changed or went.
    fn all(&self) -> impl Iterator<Item = &Arc<Quota>> {
        self.list.iter().chain(self.maker.made.iter())
    }

    /// The file has neither limits nor budgets.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.at_once.is_empty()
    }

    pub fn by_account(&self, account_id: u64) -> Option<&Arc<Quota>> {
        self.by_account.get(&account_id).and_then(|&index| self.list.get(index))
    }

    /// Those of a model of a provider, also where a pattern names it.
    pub fn of_model(&self, provider: &str, model: &str) -> impl Iterator<Item = &Arc<Quota>> {
        let id = if self.by_model.is_empty() { String::new() } else { format!("{provider}/{model}") };
        self.by_model.0.iter().filter(move |(pattern, _)| pattern.matches(&id)).flat_map(|(_, list)| list.iter())
    }

    pub(crate) fn by_id(&self, account_id: u64, id: &str) -> Option<&Arc<Quota>> {
        let retired = || self.maker.retired.get()?.iter().find(|quota| quota.account_id == account_id);
        self.by_account(account_id).or_else(retired).filter(|quota| *quota.id == *id)
    }

    /// Gives every account the terms that the file has now; what was spent stays spent. Called once the snapshot is published:
    /// a draft that is thrown away changes nothing.
    pub fn enact(&self, now: Now) {
        for key in &self.at_once {
            key.quotas.list(now);
        }
        for quota in self.iter() {
            quota.account.amend(quota.terms, now);
        }
    }

    /// Counts what was spent before the process began: here on those that are not of virtual keys and were not in `before`, on
    /// those of keys when they are made. Before the first request.
    pub fn restore(&self, spent: &Arc<Spent>, before: Option<&Quotas>, now: Now) {
        // A later snapshot finds it set.
        let _ = self.maker.restored.set(spent.clone());
        let is_known = |quota: &Quota| {
            let known = before.and_then(|before| before.by_id(quota.account_id, &quota.id));
            known.is_some_and(|known| Arc::ptr_eq(&known.account, &quota.account))
        };
        for quota in self.list.iter().filter(|quota| quota.is_budget() && !is_known(quota)) {
            if let Some(charge) = spent.find(quota.account_id) {
                quota.account.restore(charge.amount, charge.window_start_ms, now);
            }
        }
    }

    /// Takes idle leases back. Called by the control plane each reconcile.
    pub fn reconcile(&self, now: Now) {
        for quota in self.iter() {
            quota.account.reconcile(now);
        }
    }
}

impl TagQuotas {
    /// Of the tags of a request.
    pub fn of<'s>(&'s self, tags: &Tags<'s>) -> impl Iterator<Item = &'s Arc<Quota>> {
        let tags = *tags;
        let carried = move |name: &str, value: &str| tags.get(name) == Some(value);
        self.0.iter().filter(move |(name, value, _)| carried(name, value)).flat_map(|(_, _, list)| list.iter())
    }
}

impl ModelQuotas {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of `provider/model`.
    pub fn of<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'s Arc<Quota>> {
        self.0.iter().filter(move |(pattern, _)| pattern.matches(id)).flat_map(|(_, list)| list.iter())
    }
}
