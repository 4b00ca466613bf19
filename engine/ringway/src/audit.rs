//! `ringway audit verify`: what an audit log proves, read from its files, without a gateway.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ringway_control::audit::{self, Proof};

/// Largest export that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Checks every log of a data directory, or one exported file. True where nothing is wrong.
///
/// # Errors
/// Where there is nothing to check, or it cannot be read.
pub fn verify(data_dir: Option<&Path>, file: Option<&Path>, public_key: Option<&str>) -> Result<(String, bool), String> {
    if let Some(file) = file {
        let told = |error: std::io::Error| format!("{}: {error}", file.display());
        if std::fs::metadata(file).map_err(told)?.len() > FILE_BYTES_MAX {
            return Err(format!("{}: it is larger than {} GiB; check the data directory itself", file.display(), FILE_BYTES_MAX >> 30));
        }
        let text = std::fs::read_to_string(file).map_err(told)?;
        let proof = audit::verify_part(&file.display().to_string(), &text, public_key);
        return Ok((shown(file, &proof), proof.is_whole()));
    }
    let folders = match data_dir {
        Some(folder) => audit::folders(folder),
        None => below_default(),
    };
    if folders.is_empty() {
        let place = data_dir.map_or_else(|| ringway_control::spend::DEFAULT_DIRECTORY.to_owned(), |folder| folder.display().to_string());
        return Err(format!("{place}: there is no audit log here; name the data directory with --data-dir, or an export with --file"));
    }
    let (mut out, mut is_whole) = (String::new(), true);
    for folder in folders {
        let proof = audit::verify(&folder, public_key).map_err(|error| format!("{}: {error}", folder.display()))?;
        out.push_str(&shown(&folder, &proof));
        is_whole &= proof.is_whole();
    }
    Ok((out, is_whole))
}

/// The folders of all configurations that were served from here.
fn below_default() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(ringway_control::spend::DEFAULT_DIRECTORY).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.flat_map(|entry| audit::folders(&entry.path())).collect();
    folders.sort();
    folders
}

fn shown(place: &Path, proof: &Proof) -> String {
    let mut out = String::new();
    let word = if proof.is_whole() { "whole" } else { "BROKEN" };
    let _ = writeln!(out, "{}: {word}: {} rows, {} to {}", place.display(), proof.rows, proof.first, proof.last);
    for finding in &proof.findings {
        let _ = writeln!(out, "  {finding}");
    }
    for note in &proof.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    for key in &proof.public_keys {
        let _ = writeln!(out, "  signed by {key}");
    }
    if !proof.last_hash.is_empty() {
        let _ = writeln!(out, "  last hash {}", proof.last_hash);
    }
    out
}
