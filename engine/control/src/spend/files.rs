//! A shard's two journals, mapped: one is written by the shard, the other one is added up by the keeper.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use memmap2::MmapRaw;
use ringway_policy::spend::checkpoint::Checkpoint;
use ringway_policy::spend::frame::{self, HEADER, SEQUENCE_STEP};
use ringway_policy::spend::replay;

use super::directory;

/// One journal: 24,000 exchanges with three charges each.
pub(super) const JOURNAL_BYTES: usize = 2 << 20;
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Journals of more shards than a process may have are none of ours.
const SHARDS_MAX: usize = 1024;

/// Whose a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Empty, or added up: the shard may begin it anew.
    Clean = 0,
    /// The shard writes.
    Active = 1,
    /// The keeper adds it up.
    Sealed = 2,
}

pub(crate) struct Journal {
    map: MmapRaw,
    state: AtomicU8,
    /// End of the last whole frame. Stored by the shard after the frame.
    pub(super) written: AtomicU64,
}

pub(crate) struct ShardFiles {
    pub(super) journals: [Journal; 2],
    /// Which one the shard writes; the shard's own.
    pub(super) active: AtomicUsize,
    /// The keeper asks for a change at the next append.
    pub(super) rotate: AtomicBool,
    /// Exchanges that found no room.
    pub(super) refused: AtomicU64,
    /// Of the first frame.
    pub(super) first_sequence: u64,
}

impl Journal {
    fn open(path: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        reserve_space(&file)?;
        let map = MmapRaw::map_raw(&file)?;
        let journal = Journal { map, state: AtomicU8::new(State::Clean as u8), written: AtomicU64::new(HEADER.len() as u64) };
        // SAFETY: the mapping is longer than the header, and nobody else has this journal yet.
        unsafe { std::ptr::copy_nonoverlapping(HEADER.as_ptr(), journal.map.as_mut_ptr(), HEADER.len()) };
        Ok(journal)
    }

    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Clean,
            1 => State::Active,
            _ => State::Sealed,
        }
    }

    pub fn enter(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Appends `size` bytes behind the last frame, if they fit. For the shard alone, while the journal is active.
    pub fn append(&self, size: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let at = self.written.load(Ordering::Relaxed) as usize;
        if size > JOURNAL_BYTES.saturating_sub(at) {
            return false;
        }
        // SAFETY: within the mapping, which lives as long as `self`. The shard that the journal is active for is the only one
        // to make such a slice, one at a time; others read bytes before `written` alone.
        fill(unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(at), size) });
        self.written.store((at + size) as u64, Ordering::Release);
        true
    }

    /// All frames. For the keeper, once the journal is sealed.
    pub fn frames(&self) -> &[u8] {
        let written = (self.written.load(Ordering::Acquire) as usize).min(JOURNAL_BYTES);
        // SAFETY: within the mapping. What is before `written` does not change until the keeper calls the journal clean.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(HEADER.len()), written - HEADER.len()) }
    }

    /// Brings what was written since `from` to the disk; says up to where.
    pub fn sync(&self, from: u64) -> io::Result<u64> {
        let written = self.written.load(Ordering::Acquire);
        if written > from {
            self.map.flush_range(from as usize, (written - from) as usize)?;
        }
        Ok(written)
    }
}

/// The whole length, on the disk: a full disk is an error now, and not a signal in a shard later.
fn reserve_space(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open; the call touches no memory of ours.
    let error = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, JOURNAL_BYTES as libc::off_t) };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Reads what a node's directory adds up to, and the last sequence of any shard in it. Leaves it as it is.
pub(super) fn read(directory: &Path) -> io::Result<(Checkpoint, u64)> {
    let mut checkpoint = match fs::read(directory.join(CHECKPOINT)) {
        Ok(bytes) => Checkpoint::read(&bytes).ok_or_else(|| damaged(&directory.join(CHECKPOINT)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Checkpoint::default(),
        Err(error) => return Err(error),
    };
    for shard in 0..SHARDS_MAX {
        let mut journals = Vec::new();
        for half in 0..2 {
            let path = directory.join(name(shard, half));
            match fs::read(&path) {
                Ok(bytes) => journals.push(content(bytes, &path)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if journals.is_empty() {
            break;
        }
        journals.sort_by_key(|bytes| frame::first_sequence(bytes));
        for bytes in journals {
            let applied = checkpoint.applied(shard);
            let replayed = replay(&bytes, applied, |charge| checkpoint.spent.add(charge));
            checkpoint.set_applied(shard, replayed.last_sequence);
        }
    }
    let last = checkpoint.applied.iter().copied().max().unwrap_or(0);
    Ok((checkpoint, last))
}

/// Behind the header. A journal that was made and never begun has none.
fn content(bytes: Vec<u8>, path: &Path) -> io::Result<Vec<u8>> {
    match bytes.strip_prefix(HEADER.as_slice()) {
        Some(content) => Ok(content.to_vec()),
        None if bytes.iter().take(HEADER.len()).all(|byte| *byte == 0) => Ok(Vec::new()),
        None => Err(damaged(path)),
    }
}

fn damaged(path: &Path) -> io::Error {
    let message = format!("{} is damaged or of another version; move it away to start from nothing spent", path.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Opens a node's directory for `shards`: what it adds up to is in a new checkpoint, and all journals are clean.
pub(super) fn open(directory: &Path, shards: usize) -> io::Result<(Checkpoint, Vec<ShardFiles>)> {
    let (checkpoint, last_sequence) = read(directory)?;
    directory::replace(directory, CHECKPOINT, &checkpoint.write())?;
    let shard_files = |shard: usize| -> io::Result<ShardFiles> {
        let journals = [Journal::open(&directory.join(name(shard, 0)))?, Journal::open(&directory.join(name(shard, 1)))?];
        journals[0].enter(State::Active);
        Ok(ShardFiles {
            journals,
            active: AtomicUsize::new(0),
            rotate: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            first_sequence: last_sequence + SEQUENCE_STEP,
        })
    };
    let files = (0..shards).map(shard_files).collect::<io::Result<Vec<_>>>()?;
    File::open(directory)?.sync_all()?;
    Ok((checkpoint, files))
}

fn name(shard: usize, half: usize) -> String {
    format!("shard-{shard}.{half}")
}
