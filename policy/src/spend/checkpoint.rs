//! The checkpoint: what all frames up to a sequence of each shard add up to.

use super::crc::crc32c;
use super::frame::u64_at;
use super::{Charge, Spent};

const HEADER: &[u8; 16] = b"ringway-spent-1\n";
const SUM_BYTES: usize = 4;

/// Added-up spend, and which frames are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// By shard, the last sequence.
    pub applied: Vec<u64>,
    pub spent: Spent,
}

impl Checkpoint {
    pub fn applied(&self, shard: usize) -> u64 {
        self.applied.get(shard).copied().unwrap_or(0)
    }

    pub fn set_applied(&mut self, shard: usize, sequence: u64) {
        if self.applied.len() <= shard {
            self.applied.resize(shard + 1, 0);
        }
        self.applied[shard] = self.applied[shard].max(sequence);
    }

    pub fn write(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        let mut put = |word: u64| bytes.extend_from_slice(&word.to_le_bytes());
        put(self.applied.len() as u64);
        self.applied.iter().for_each(|sequence| put(*sequence));
        put(self.spent.len() as u64);
        for charge in self.spent.iter() {
            [charge.account_id, charge.window_start_ms, charge.amount].into_iter().for_each(&mut put);
        }
        let sum = crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` for what is no whole checkpoint.
    pub fn read(bytes: &[u8]) -> Option<Checkpoint> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
        if crc32c(body) != u32::from_le_bytes(sum.try_into().ok()?) {
            return None;
        }
        let words = body.strip_prefix(HEADER.as_slice())?;
        let mut words = words.chunks_exact(8).map(|word| u64_at(word, 0));
        let count = words.next()?;
        let mut applied = Vec::new();
        for _ in 0..count {
            applied.push(words.next()?);
        }
        let mut spent = Spent::default();
        for _ in 0..words.next()? {
            spent.add(Charge { account_id: words.next()?, window_start_ms: words.next()?, amount: words.next()? });
        }
        Some(Checkpoint { applied, spent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.set_applied(2, 77);
        for account_id in [9, 1, u64::MAX] {
            checkpoint.spent.add(Charge { account_id, window_start_ms: 5, amount: account_id / 2 });
        }
        checkpoint
    }

    #[test]
    fn a_checkpoint_comes_back_whole_or_not_at_all() {
        let bytes = checkpoint().write();
        assert_eq!(Checkpoint::read(&bytes), Some(checkpoint()));
        assert_eq!((checkpoint().applied(2), checkpoint().applied(0), checkpoint().applied(9)), (77, 0, 0));
        for cut in 0..bytes.len() {
            assert_eq!(Checkpoint::read(&bytes[..cut]), None, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Checkpoint::read(&changed), None, "byte {at}");
        }
    }
}
