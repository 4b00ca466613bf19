//! The quotas of one snapshot: all by id, and those that are found by a model or a tag of the request.

use std::sync::Arc;

use ahash::AHashMap;

use super::{List, Quota};
use crate::lease::Now;
use crate::pattern::Pattern;
use crate::tags::Tags;

/// Every quota of the file.
#[derive(Debug, Default)]
pub struct Quotas {
    /// In the order of the file.
    list: Vec<Arc<Quota>>,
    by_account: AHashMap<u64, usize>,
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
    pub(crate) fn new(list: Vec<Arc<Quota>>, by_model: ModelQuotas, by_tag: TagQuotas, output_tokens_floor: u64) -> Quotas {
        let by_account = list.iter().enumerate().map(|(index, quota)| (quota.account_id, index)).collect();
        Quotas { list, by_account, by_model, by_tag, output_tokens_floor }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Quota>> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn by_account(&self, account_id: u64) -> Option<&Arc<Quota>> {
        self.by_account.get(&account_id).and_then(|&index| self.list.get(index))
    }

    pub(crate) fn by_id(&self, account_id: u64, id: &str) -> Option<&Arc<Quota>> {
        self.by_account(account_id).filter(|quota| *quota.id == *id)
    }

    /// Gives every account the terms that the file has now; what was spent stays spent. Called once the snapshot is published:
    /// a draft that is thrown away changes nothing.
    pub fn enact(&self, now: Now) {
        for quota in &self.list {
            quota.account.amend(quota.terms, now);
        }
    }

    /// Takes idle leases back. Called by the control plane each reconcile.
    pub fn reconcile(&self, now: Now) {
        for quota in &self.list {
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
