//! The files of the log: segments of rows, each named by its first row, and the signed head.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::row::{self, Row};

/// A segment this large is followed by a new one.
pub(super) const SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// Most processes that share a data directory.
const PROCESSES_MAX: usize = 16;
const LOCK: &str = "lock";
const HEAD: &str = "head";

/// One file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub first: u64,
    pub path: PathBuf,
}

/// `audit`, `audit-1`, `audit-2`, …
pub(super) fn candidates(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let folder = folder.to_owned();
    (0..PROCESSES_MAX).map(move |index| match index {
        0 => folder.clone(),
        index => PathBuf::from(format!("{}-{index}", folder.display())),
    })
}

/// Takes the first folder that no other process writes to. The lock ends with the returned file.
pub(super) fn claim(folder: &Path) -> io::Result<(PathBuf, File)> {
    for candidate in candidates(folder) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&candidate)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(candidate.join(LOCK))?;
        if try_lock(&lock) {
            return Ok((candidate, lock));
        }
    }
    Err(io::Error::other(format!("{PROCESSES_MAX} processes write to {} and its like", folder.display())))
}

/// Does a process write to it now?
pub(super) fn is_in_use(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| !try_lock(&lock))
}

fn try_lock(file: &File) -> bool {
    // SAFETY: `flock` takes numbers alone, and the descriptor is open as long as `file` is borrowed.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// The segments in their order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let first = name.strip_prefix("rows-").and_then(|name| name.strip_suffix(".jsonl")).and_then(|digits| digits.parse().ok());
        segments.extend(first.map(|first| Segment { first, path: path.clone() }));
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("rows-{first:020}.jsonl"))
}

/// Makes the segment that begins with row `first`, and its name stays.
pub(super) fn create(folder: &Path, first: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path_of(folder, first))?;
    sync_folder(folder)?;
    Ok(file)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The text of a segment. A process that was cut off by a power loss may have left half a line, and no UTF-8.
pub(super) fn read(segment: &Segment) -> io::Result<String> {
    let mut bytes = Vec::new();
    let bytes_max = 2 * SEGMENT_BYTES_MAX + row::ROW_BYTES_MAX as u64;
    File::open(&segment.path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last row of a segment's text.
pub(super) fn last_row(text: &str) -> Option<Row> {
    text.lines().rev().find_map(Row::read)
}

/// Replaces the head: the old one or the new one is there at any time.
pub(super) fn write_head(folder: &Path, text: &str) -> io::Result<()> {
    let (fresh, head) = (folder.join("head.new"), folder.join(HEAD));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(fresh, head)?;
    sync_folder(folder)
}

pub(super) fn read_head(folder: &Path) -> io::Result<String> {
    std::fs::read_to_string(folder.join(HEAD))
}
