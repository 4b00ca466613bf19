//! Where a query looks: the partitions of the folder, or one in memory made of the last records.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::block;
use super::columns::Batch;
use super::filter::Filter;
use super::folder::{Folder, PartitionId};
use super::partition::{self, Broken, Partition};
use crate::ledger::recent::{RECENT_MAX, Recent};

/// The one partition of a log in memory.
const MEMORY: PartitionId = PartitionId { day: 0, part: 0 };

pub(super) struct Sources {
    kind: Kind,
    /// Why a partition could not be read that should be.
    failure: Mutex<Option<String>>,
}

enum Kind {
    Folder { folder: Folder, ids: Vec<PartitionId>, shared: Arc<Shared> },
    Memory(Box<Mutex<Partition>>),
}

impl Sources {
    pub fn folder(folder: Folder, shared: Arc<Shared>) -> Result<Sources, String> {
        let ids = folder.list().map_err(|error| format!("{}: {error}", folder.0.display()))?;
        Ok(Sources { kind: Kind::Folder { folder, ids, shared }, failure: Mutex::default() })
    }

    /// The last records, as a partition.
    pub fn memory(recent: &Recent) -> Result<Sources, String> {
        let made = || -> Result<Partition, Broken> {
            let mut batch = Batch::default();
            let mut records = Vec::new();
            let total = recent.newest(RECENT_MAX, |record| records.push(record.clone()));
            records.iter().rev().for_each(|record| batch.push(record));
            let mut partition = Partition::memory()?;
            if batch.rows() > 0 {
                let rows = batch.rows();
                let first = total.saturating_sub(rows as u64);
                let encoded = block::encode(&batch).map_err(|error| Broken::Unavailable(error.to_string()))?;
                let tx = partition.begin()?;
                partition::insert(&tx, first, &encoded)?;
                partition::note_unrolled(&tx, first, rows)?;
                tx.commit()?;
            }
            Ok(partition)
        };
        let partition = made().map_err(|broken| broken.to_string())?;
        Ok(Sources { kind: Kind::Memory(Box::new(Mutex::new(partition))), failure: Mutex::default() })
    }

    /// The partitions that may hold what is meant, oldest first.
    pub fn days(&self, filter: &Filter) -> Vec<PartitionId> {
        let Kind::Folder { ids, .. } = &self.kind else { return vec![MEMORY] };
        let first = filter.from_ms.map_or(0, PartitionId::day_of);
        let last = filter.to_ms.map_or(u32::MAX, |to| PartitionId::day_of(to.saturating_sub(1)));
        ids.iter().copied().filter(|id| (first..=last).contains(&id.day)).collect()
    }

    /// Looks into a partition. One that is damaged is set aside, one that is gone or newer is passed over.
    pub fn look(&self, id: PartitionId, look: impl FnOnce(&mut Partition) -> Result<(), Broken>) {
        let looked = match &self.kind {
            Kind::Memory(partition) => look(&mut lock(partition)),
            Kind::Folder { folder, .. } => look_into(&folder.path(id), look),
        };
        match (looked, &self.kind) {
            (Ok(()), _) => {}
            (Err(Broken::Damaged(why)), Kind::Folder { folder, shared, .. }) => shared.set_aside(folder, id, &why),
            // Retention took it meanwhile.
            (Err(_), Kind::Folder { folder, .. }) if !folder.path(id).exists() => {}
            (Err(Broken::Newer(_)), _) => {}
            (Err(broken), _) => *lock(&self.failure) = Some(broken.to_string()),
        }
    }

    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

fn look_into(path: &Path, look: impl FnOnce(&mut Partition) -> Result<(), Broken>) -> Result<(), Broken> {
    match Partition::read(path)? {
        Some(mut partition) => look(&mut partition),
        None => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
