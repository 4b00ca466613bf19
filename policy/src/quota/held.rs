//! What a virtual key is held to: its own limits and budgets, made when they are first needed, and those that it shares.
//!
//! A hundred thousand keys with three rules each cost their rules, not three hundred thousand accounts: most of them never ask.
//! The first request of a key in a snapshot makes its list (some microseconds, a few allocations); all others read it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::maker::Maker;
use super::{List, Quota, Rule, make};
use crate::lease::{Account, Now, Terms};

/// The quotas of one virtual key.
#[derive(Clone, Debug)]
pub enum Held {
    /// Those of its team, its customer and of everyone.
    Shared(List),
    Own(Arc<Own>),
}

impl Default for Held {
    fn default() -> Held {
        Held::Shared(Arc::from([]))
    }
}

/// A key's own rules in one snapshot.
#[derive(Debug)]
pub struct Own {
    key: Arc<str>,
    rules: Arc<[Rule]>,
    /// Those that it shares, behind its own.
    shared: List,
    accounts: Arc<Accounts>,
    maker: Arc<Maker>,
    /// Of the snapshot that it was made for.
    revision: u64,
    list: OnceLock<List>,
}

impl Held {
    /// In the order in which they are reserved.
    #[inline]
    pub fn list(&self, now: Now) -> &List {
        match self {
            Held::Shared(list) => list,
            Held::Own(own) => own.list.get_or_init(|| own.make(now)),
        }
    }

    /// For whoever only looks: those of a key that never asked are not kept.
    pub fn look(&self, now: Now) -> List {
        match self {
            Held::Shared(list) => list.clone(),
            Held::Own(own) => own.list.get().cloned().unwrap_or_else(|| own.draft(now)),
        }
    }

    /// Nothing bounds it, whoever asks.
    pub fn is_empty(&self) -> bool {
        matches!(self, Held::Shared(list) if list.is_empty())
    }

    /// Another one stands in its place: those of the key itself are shown no more.
    pub(crate) fn retire(&self) {
        if let Held::Own(own) = self {
            let made = own.list.get().into_iter().flat_map(|list| list.iter().take(own.rules.len()));
            made.for_each(|quota| quota.retire());
        }
    }

    pub(crate) fn accounts(&self) -> Option<&Arc<Accounts>> {
        match self {
            Held::Shared(_) => None,
            Held::Own(own) => Some(&own.accounts),
        }
    }
}

impl Own {
    pub(super) fn new(key: Arc<str>, rules: Arc<[Rule]>, shared: List, accounts: Arc<Accounts>, maker: Arc<Maker>, revision: u64) -> Own {
        Own { key, rules, shared, accounts, maker, revision, list: OnceLock::new() }
    }

    fn make(&self, now: Now) -> List {
        let own: Vec<Arc<Quota>> = self.each(|draft| {
            let account = self.accounts.find_or_add(draft.account_id, self.revision, draft.terms, &self.maker, now);
            draft.on(account)
        });
        own.iter().for_each(|quota| self.maker.made.push(quota.clone()));
        own.into_iter().chain(self.shared.iter().cloned()).collect()
    }

    fn draft(&self, now: Now) -> List {
        let own: Vec<Arc<Quota>> = self.each(|draft| {
            let account = self.accounts.find(draft.account_id);
            let account = account.unwrap_or_else(|| Arc::new(self.maker.restored_account(draft.account_id, draft.terms, now)));
            draft.on(account)
        });
        own.into_iter().chain(self.shared.iter().cloned()).collect()
    }

    fn each(&self, quota: impl Fn(make::Draft) -> Arc<Quota>) -> Vec<Arc<Quota>> {
        let mut taken: Vec<u64> = Vec::with_capacity(self.rules.len());
        let rules = self.rules.iter().map(|rule| {
            let draft = make::draft("key", &[&self.key], rule, |id| !taken.contains(&id));
            taken.push(draft.account_id);
            quota(draft)
        });
        rules.collect()
    }
}

/// The accounts of one key by their ids: only ever added to, and the same ones in every snapshot that knows the key.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    first: OnceLock<Box<Node>>,
}

#[derive(Debug)]
struct Node {
    id: u64,
    account: Arc<Account>,
    /// The newest snapshot whose terms it has.
    revision: AtomicU64,
    next: OnceLock<Box<Node>>,
}

impl Accounts {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    fn find(&self, id: u64) -> Option<Arc<Account>> {
        self.nodes().find(|node| node.id == id).map(|node| node.account.clone())
    }

    /// The ids of its accounts.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.nodes().map(|node| node.id)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.first.get(), |node| node.next.get()).map(|node| &**node)
    }

    /// One that is there takes the terms of a newer snapshot than it was made by.
    fn find_or_add(&self, id: u64, revision: u64, terms: Terms, maker: &Maker, now: Now) -> Arc<Account> {
        let mut at = &self.first;
        loop {
            let node = at.get_or_init(|| {
                let (account, revision) = match maker.retired_account(id) {
                    // It has the terms that it had.
                    Some(account) => (account, 0),
                    None => (Arc::new(maker.restored_account(id, terms, now)), revision),
                };
                Box::new(Node { id, account, revision: AtomicU64::new(revision), next: OnceLock::new() })
            });
            if node.id != id {
                at = &node.next;
                continue;
            }
            if node.revision.fetch_max(revision, Ordering::AcqRel) < revision {
                node.account.amend(terms, now);
            }
            return node.account.clone();
        }
    }
}
