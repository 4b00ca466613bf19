//! The journal: a header, then one frame per exchange, little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32C of all that follows |
//! | 4 | count of charges, at least 1 |
//! | 8 | sequence: one more than the frame's before |
//! | 24 each | account, window's start, amount |
//!
//! A file is used again and again. Reading ends at the first frame that is no whole one or does not follow in sequence: so
//! it ends where the last use ended, or was killed.

use super::{Charge, crc::crc32c};

/// Begins a journal; the figure is the format's version.
pub const HEADER: &[u8; 16] = b"ringway-spend-1\n";
/// Charges in one frame.
pub const CHARGES_MAX: usize = 256;
/// After a restart sequences go on so much further: more than one file holds, so that an old frame never follows a new one.
pub const SEQUENCE_STEP: u64 = 1 << 24;
const HEAD_BYTES: usize = 16;
const CHARGE_BYTES: usize = 24;

/// Bytes of a frame.
pub fn size(charges: usize) -> usize {
    HEAD_BYTES + charges * CHARGE_BYTES
}

/// Writes a frame into `space`, which has `size` bytes.
pub fn write(space: &mut [u8], sequence: u64, charges: &[Charge]) {
    let count = charges.len().min(CHARGES_MAX) as u32;
    space[4..8].copy_from_slice(&count.to_le_bytes());
    space[8..16].copy_from_slice(&sequence.to_le_bytes());
    for (space, charge) in space[HEAD_BYTES..].chunks_exact_mut(CHARGE_BYTES).zip(charges) {
        space[..8].copy_from_slice(&charge.account_id.to_le_bytes());
        space[8..16].copy_from_slice(&charge.window_start_ms.to_le_bytes());
        space[16..].copy_from_slice(&charge.amount.to_le_bytes());
    }
    let sum = crc32c(&space[4..]);
    space[..4].copy_from_slice(&sum.to_le_bytes());
}

/// What a journal said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Of the last whole frame; 0 where there is none.
    pub last_sequence: u64,
    /// Frames that were not skipped.
    pub frames: u64,
}

/// Reads a journal that may end anywhere, without its header. Frames up to `applied` are skipped.
pub fn replay(mut bytes: &[u8], applied: u64, mut each: impl FnMut(Charge)) -> Replayed {
    let mut replayed = Replayed::default();
    while let Some((sequence, charges, rest)) = first(bytes) {
        if replayed.last_sequence != 0 && sequence != replayed.last_sequence + 1 {
            break;
        }
        replayed.last_sequence = sequence;
        if sequence > applied {
            replayed.frames += 1;
            charges.chunks_exact(CHARGE_BYTES).for_each(|charge| each(read(charge)));
        }
        bytes = rest;
    }
    replayed
}

/// The sequence of the first frame: which of two journals is the older one.
pub fn first_sequence(bytes: &[u8]) -> Option<u64> {
    first(bytes).map(|(sequence, ..)| sequence)
}

/// Sequence and charges of the first frame, and what follows.
fn first(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let count = usize::try_from(u32::from_le_bytes(head[4..8].try_into().ok()?)).ok()?;
    if count == 0 || count > CHARGES_MAX {
        return None;
    }
    let (charges, rest) = rest.split_at_checked(count * CHARGE_BYTES)?;
    let sum = u32::from_le_bytes(head[..4].try_into().ok()?);
    let sequence = u64_at(head, 8);
    (sequence != 0 && sequence != u64::MAX && crc32c(&bytes[4..size(count)]) == sum).then_some((sequence, charges, rest))
}

fn read(bytes: &[u8]) -> Charge {
    Charge { account_id: u64_at(bytes, 0), window_start_ms: u64_at(bytes, 8), amount: u64_at(bytes, 16) }
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its last byte is not 0, so that zeros behind a cut never complete it.
    fn charge(amount: u64) -> Charge {
        Charge { account_id: amount * 3, window_start_ms: 1_000, amount: amount | 1 << 63 }
    }

    /// Frames of one, two, three, … charges.
    fn journal(first_sequence: u64, frames: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for index in 0..frames {
            let charges: Vec<Charge> = (0..=index as u64).map(charge).collect();
            let start = bytes.len();
            bytes.resize(start + size(charges.len()), 0);
            write(&mut bytes[start..], first_sequence + index as u64, &charges);
        }
        bytes
    }

    fn read_all(bytes: &[u8], applied: u64) -> (Replayed, Vec<Charge>) {
        let mut all = Vec::new();
        let replayed = replay(bytes, applied, |charge| all.push(charge));
        (replayed, all)
    }

    #[test]
    fn what_was_written_is_read() {
        let (replayed, all) = read_all(&journal(7, 4), 0);
        assert_eq!(replayed, Replayed { last_sequence: 10, frames: 4 });
        assert_eq!(all.len(), 10);
        assert_eq!(all[9], charge(3));
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_its_whole_frames() {
        let bytes = journal(1, 4);
        let ends: Vec<usize> = (1..=4).map(|frames| journal(1, frames).len()).collect();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
            let (replayed, _) = read_all(&bytes[..cut], 0);
            assert_eq!((replayed.frames, replayed.last_sequence), (whole, whole), "cut at {cut}");
            // The space behind is not always empty.
            let mut space = bytes[..cut].to_vec();
            space.resize(bytes.len() + 100, 0xff);
            assert_eq!(read_all(&space, 0).0.frames, whole, "cut at {cut}, an old use behind");
        }
    }

    #[test]
    fn a_changed_byte_ends_the_reading_there() {
        let bytes = journal(1, 4);
        let ends: Vec<usize> = (1..=4).map(|frames| journal(1, frames).len()).collect();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let before = ends.iter().filter(|end| **end <= at).count() as u64;
            assert_eq!(read_all(&changed, 0).0.frames, before, "byte {at}");
        }
    }

    #[test]
    fn frames_that_were_added_up_before_are_skipped() {
        for applied in 0..6 {
            let (replayed, all) = read_all(&journal(1, 4), applied);
            assert_eq!((replayed.last_sequence, replayed.frames), (4, 4_u64.saturating_sub(applied)));
            assert_eq!(all.len() as u64, (applied.min(4)..4).map(|frame| frame + 1).sum::<u64>());
        }
    }

    #[test]
    fn an_older_use_of_the_file_is_not_read_on() {
        // New frames of the same sizes over old ones: the end of the new ones is a whole frame of the old.
        let mut bytes = journal(1, 4);
        let new = journal(1 + SEQUENCE_STEP, 2);
        bytes[..new.len()].copy_from_slice(&new);
        assert_eq!(read_all(&bytes, 4).0, Replayed { last_sequence: SEQUENCE_STEP + 2, frames: 2 });
    }
}
