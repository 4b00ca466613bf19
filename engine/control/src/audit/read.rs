//! Reading the log: pages of rows, the newest first.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::row::Row;
use super::segments;

/// Which rows are asked for. Absent fields let all through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Rows before this one.
    pub before: Option<u64>,
    pub from_ms: Option<u64>,
    pub to_ms: Option<u64>,
    pub kind: Option<String>,
    pub who: Option<String>,
    /// A part of the path or of the detail.
    pub text: Option<String>,
}

impl Filter {
    /// Rows that keep the log itself in order are shown to whoever asks for their kind.
    const OWN_KINDS: &[&str] = &["seal", "opened", "resumed"];

    fn takes(&self, row: &Row) -> bool {
        let kind = match &self.kind {
            Some(kind) => row.kind == *kind,
            None => !Filter::OWN_KINDS.contains(&row.kind.as_str()),
        };
        let holds = |text: &String| row.text("path").contains(text.as_str()) || row.text("detail").contains(text.as_str());
        kind && self.before.is_none_or(|before| row.sequence < before)
            && self.from_ms.is_none_or(|from| row.at_ms >= from)
            && self.to_ms.is_none_or(|to| row.at_ms < to)
            && self.who.as_ref().is_none_or(|who| row.text("who") == who)
            && self.text.as_ref().is_none_or(holds)
    }
}

/// The newest `limit` rows that the filter takes, newest first, with their hashes. Reads no more of the log than it needs.
///
/// # Errors
/// Those of the disk.
pub fn newest(folder: &Path, filter: &Filter, limit: usize) -> io::Result<Vec<Value>> {
    let mut rows = Vec::new();
    let segments = segments::list(folder)?;
    for segment in segments.iter().rev().filter(|segment| filter.before.is_none_or(|before| segment.first < before)) {
        // The retention may have taken it meanwhile.
        let Ok(text) = segments::read(segment) else { continue };
        let found = text.lines().rev().filter_map(Row::read).filter(|row| filter.takes(row));
        rows.extend(found.take(limit - rows.len()).map(|row| Value::Object(row.fields)));
        let is_older = filter.from_ms.is_some_and(|from| text.lines().find_map(Row::read).is_some_and(|row| row.at_ms < from));
        if rows.len() >= limit || is_older {
            break;
        }
    }
    Ok(rows)
}

/// Each line of the log in its order, raw: what an export is made of.
pub(super) fn each_segment(folder: &Path) -> io::Result<impl Iterator<Item = String> + use<>> {
    Ok(segments::list(folder)?.into_iter().filter_map(|segment| segments::read(&segment).ok()))
}
