//! A shard's end of the store: an append is a copy into the shard's mapped journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringway_policy::spend::frame::{self, CHARGES_MAX, HEADER};
use ringway_policy::spend::{Charge, Full, Sink};

use super::Shared;
use super::files::{ShardFiles, State};

pub(super) struct FileSink {
    shared: Arc<Shared>,
    shard: usize,
    /// Frames that were appended.
    frames: u64,
}

impl FileSink {
    pub fn new(shared: Arc<Shared>, shard: usize) -> FileSink {
        FileSink { shared, shard, frames: 0 }
    }
}

impl Sink for FileSink {
    fn append(&mut self, charges: &[Charge]) -> Result<(), Full> {
        let Some(files) = self.shared.files.get().and_then(|shards| shards.get(self.shard)) else { return Ok(()) };
        if files.rotate.load(Ordering::Relaxed) {
            rotate(files);
        }
        for charges in charges.chunks(CHARGES_MAX) {
            let sequence = files.first_sequence + self.frames;
            let is_written = write(files, sequence, charges) || (rotate(files) && write(files, sequence, charges));
            if !is_written {
                files.refused.fetch_add(1, Ordering::Relaxed);
                return Err(Full);
            }
            self.frames += 1;
        }
        Ok(())
    }
}

fn write(files: &ShardFiles, sequence: u64, charges: &[Charge]) -> bool {
    let journal = &files.journals[files.active.load(Ordering::Relaxed)];
    journal.append(frame::size(charges.len()), |space| frame::write(space, sequence, charges))
}

/// Begins the other journal, if the keeper is done with it.
fn rotate(files: &ShardFiles) -> bool {
    let active = files.active.load(Ordering::Relaxed);
    let other = &files.journals[1 - active];
    if other.state() != State::Clean {
        return false;
    }
    other.written.store(HEADER.len() as u64, Ordering::Relaxed);
    other.enter(State::Active);
    files.active.store(1 - active, Ordering::Release);
    files.rotate.store(false, Ordering::Relaxed);
    files.journals[active].enter(State::Sealed);
    true
}
