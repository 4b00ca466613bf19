//! Watches files for changes. The directory is watched, not the file: editors and Kubernetes put a new file in its place.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// Quiet that must follow a change before it is acted on: a save is several writes.
const QUIET: Duration = Duration::from_millis(150);
/// A file that is written on and on is read after so many quiet-times all the same.
const QUIET_ROUNDS_MAX: usize = 20;

/// A watch on some files. Ends when dropped.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
    changes: Receiver<()>,
}

/// A neighbour's change is none of ours. Kubernetes swaps a link whose name begins with two dots.
fn concerns(names: &BTreeSet<OsString>, path: &Path) -> bool {
    path.file_name().is_none_or(|name| names.contains(name) || name.as_encoded_bytes().starts_with(b".."))
}

/// Watches `files`; `None` where there is none.
///
/// # Errors
/// Where the operating system has no watches left, or a directory is not there.
pub fn watch(files: &[PathBuf]) -> notify::Result<Option<Watch>> {
    let directories: BTreeSet<PathBuf> = files.iter().map(|file| directory(file)).collect();
    if directories.is_empty() {
        return Ok(None);
    }
    let names: BTreeSet<OsString> = files.iter().filter_map(|file| file.file_name().map(OsString::from)).collect();
    // One place: a change that is waiting already stands for all that follow it.
    let (tell, changes) = channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| concerns(&names, path))) {
            let _ = tell.try_send(());
        }
    })?;
    for directory in &directories {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(Some(Watch { _watcher: watcher, changes }))
}

impl Watch {
    /// Completes when something in the directories changed and then was quiet. The caller looks whether it matters.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        for _ in 0..QUIET_ROUNDS_MAX {
            if timeout(QUIET, self.changes.recv()).await.is_err() {
                return;
            }
        }
    }
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_seen_once_it_is_quiet() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = std::env::temp_dir().join(format!("ringway-watch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("ringway.yaml");
        std::fs::write(&file, "a").unwrap();
        runtime.block_on(async {
            let mut watch = watch(std::slice::from_ref(&file)).unwrap().unwrap();
            std::fs::write(folder.join("new"), "b").unwrap();
            std::fs::rename(folder.join("new"), &file).unwrap();
            timeout(Duration::from_secs(10), watch.changed()).await.unwrap();
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        assert_eq!(directory(Path::new("ringway.yaml")), PathBuf::from("."));
    }
}
