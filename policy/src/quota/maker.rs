//! What quotas are made with after their snapshot was compiled, and those that were.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::Quota;
use crate::lease::{Account, Now, Terms};
use crate::spend::Spent;

/// Who spends from the accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sharing {
    #[default]
    Alone,
    Cluster,
}

/// Makes the accounts of one snapshot.
#[derive(Debug, Default)]
pub struct Maker {
    pub(super) shard_count: usize,
    pub(super) sharing: Sharing,
    /// What was spent before the process began; the same for every snapshot.
    pub(super) restored: Arc<OnceLock<Arc<Spent>>>,
    pub(super) made: Made,
    /// Limits and budgets that the file no longer has and whose spend is still known. Set before the first
    /// request.
    pub(super) retired: OnceLock<Vec<Arc<Quota>>>,
}

impl Maker {
    pub(super) fn account(&self, terms: Terms) -> Account {
        match self.sharing {
            Sharing::Alone => Account::new(self.shard_count, terms),
            Sharing::Cluster => Account::shared(self.shard_count, terms),
        }
    }

    /// The account of a budget that a file before had.
    pub(super) fn retired_account(&self, id: u64) -> Option<Arc<Account>> {
        let quota = self.retired.get()?.iter().find(|quota| quota.account_id == id)?;
        Some(quota.account.clone())
    }

    /// A new account, with what was spent on it before.
    pub(super) fn restored_account(&self, id: u64, terms: Terms, now: Now) -> Account {
        let account = self.account(terms);
        if let Some(charge) = self.restored.get().and_then(|spent| spent.find(id)) {
            account.restore(charge.amount, charge.window_start_ms, now);
        }
        account
    }
}

/// Quotas of one piece.
const PIECE: usize = 64;

/// A list that grows while others read it.
#[derive(Debug, Default)]
pub(super) struct Made {
    piece: Piece,
}

#[derive(Debug)]
struct Piece {
    quotas: [OnceLock<Arc<Quota>>; PIECE],
    /// Places that were given out; may be more than there are.
    taken: AtomicUsize,
    next: OnceLock<Box<Piece>>,
}

impl Default for Piece {
    fn default() -> Piece {
        Piece { quotas: [const { OnceLock::new() }; PIECE], taken: AtomicUsize::new(0), next: OnceLock::new() }
    }
}

impl Made {
    pub fn push(&self, quota: Arc<Quota>) {
        let mut piece = &self.piece;
        loop {
            // Full ones are passed without a write.
            if piece.next.get().is_none() {
                let index = piece.taken.fetch_add(1, Ordering::Relaxed);
                if let Some(place) = piece.quotas.get(index) {
                    // The place is given to nobody else.
                    let _ = place.set(quota);
                    return;
                }
            }
            piece = piece.next.get_or_init(Box::default);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Quota>> {
        let pieces = std::iter::successors(Some(&self.piece), |piece| piece.next.get().map(|next| &**next));
        pieces.flat_map(|piece| piece.quotas.iter().filter_map(OnceLock::get))
    }
}

impl Drop for Piece {
    /// One after the other: a long chain would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut piece) = next {
            next = piece.next.take();
        }
    }
}
