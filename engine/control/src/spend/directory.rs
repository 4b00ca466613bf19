//! The data directory: which part of it is this process's own, and what the others say.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ringway_policy::spend::Spent;
use ringway_policy::spend::checkpoint::Checkpoint;

use super::files;

/// Processes that share one data directory.
const NODES_MAX: usize = 256;
/// Looks at a directory that its process adds up meanwhile.
const READS_MAX: usize = 8;

/// A node's directory, held until it is dropped.
#[derive(Debug)]
pub(super) struct Node {
    pub path: PathBuf,
    _lock: File,
}

/// Takes the first node directory that no living process holds; makes what is missing.
pub(super) fn take_node(directory: &Path) -> io::Result<Node> {
    fs::create_dir_all(directory)?;
    for index in 0..NODES_MAX {
        let path = directory.join(format!("node-{index}"));
        fs::create_dir_all(&path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => return Ok(Node { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{NODES_MAX} processes use it already")))
}

/// What the other nodes have spent, the living and the dead: a process that follows another one goes on from there.
pub(super) fn spent_by_others(directory: &Path, own: &Node) -> io::Result<Spent> {
    let mut spent = Spent::default();
    for index in 0..NODES_MAX {
        let path = directory.join(format!("node-{index}"));
        if path == own.path || !path.is_dir() {
            continue;
        }
        let checkpoint = read_living(&path)?;
        checkpoint.spent.iter().for_each(|charge| spent.add(charge));
    }
    Ok(spent)
}

/// A living node may add a journal up and begin it anew while it is read: then once more.
fn read_living(path: &Path) -> io::Result<Checkpoint> {
    let stamp = || fs::read(path.join(files::CHECKPOINT)).unwrap_or_default();
    for _ in 0..READS_MAX {
        let before = stamp();
        let (checkpoint, _) = files::read(path)?;
        if before == stamp() {
            return Ok(checkpoint);
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{} does not hold still", path.display())))
}

/// Replaces a file as a whole: there is the old one or the new one at any time, and after a crash.
pub(super) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let temporary = directory.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}
