//! What the log proves: that no row was removed, changed, moved or inserted, and that its end is there.
//!
//! Rows are chained by their hashes and sealed by signatures, so that who has no key can change neither a row nor what
//! follows it. The signed head says how far the log goes. Who has the key can write another log: keep its public half
//! elsewhere and pass it, and keep copies (syslog, exports) where the gateway's machine has no say.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::key;
use super::row::{NOTHING, Row};
use super::segments;

/// Most findings that are told; the first one is what matters.
const FINDINGS_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    pub rows: u64,
    pub first: u64,
    pub last: u64,
    pub last_hash: String,
    /// Signers, in the order of their first seal.
    pub public_keys: Vec<String>,
    /// Each is a removed, changed, moved or inserted row, or a cut end.
    pub findings: Vec<String>,
    /// What is in order and worth knowing.
    pub notes: Vec<String>,
}

impl Proof {
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the log in `folder`; `public_key`, where given, must be the only signer.
///
/// # Errors
/// Those of the disk.
pub fn verify(folder: &Path, public_key: Option<&str>) -> io::Result<Proof> {
    // First, so that what is written meanwhile is beyond it.
    let is_in_use = segments::is_in_use(folder);
    let head = read_head(folder)?;
    let mut check = Check { public_key: public_key.map(str::to_owned), head, ..Check::default() };
    let segments = segments::list(folder)?;
    for (index, segment) in segments.iter().enumerate() {
        let text = segments::read(segment)?;
        let name = segment.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let end = if is_in_use && index + 1 == segments.len() { text.rfind('\n').map_or(0, |at| at + 1) } else { text.len() };
        check.lines(&name, &text[..end]);
    }
    Ok(check.finish(if is_in_use { Whole::InUse } else { Whole::AtRest }))
}

/// Checks rows that were exported: the chain and its seals, not where they begin and end.
pub fn verify_part(name: &str, text: &str, public_key: Option<&str>) -> Proof {
    let mut check = Check { public_key: public_key.map(str::to_owned), ..Check::default() };
    check.lines(name, text);
    check.finish(Whole::Part)
}

/// How much of the log was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// A process writes to it: its last rows may not be there yet.
    InUse,
    AtRest,
    Part,
}

/// The signed head, and whether its signature is right.
#[derive(Clone, Debug)]
struct Head {
    sequence: u64,
    hash: String,
    public_key: String,
    is_signed: bool,
}

fn read_head(folder: &Path) -> io::Result<Option<Head>> {
    let text = match segments::read_head(folder) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let (sequence, hash, public_key) = (value["seq"].as_u64().unwrap_or(0), text("hash"), text("public_key"));
    let is_signed = key::is_signed(&public_key, &key::head_message(sequence, &hash), &text("signature"));
    Ok(Some(Head { sequence, hash, public_key, is_signed }))
}

#[derive(Debug, Default)]
struct Check {
    public_key: Option<String>,
    head: Option<Head>,
    proof: Proof,
    /// What the next row must be and follow; `None` before the first, and after a line that is no row.
    expected: Option<(u64, String)>,
    first_before: String,
    last_seal: u64,
    /// Last row and hash of what each retention cut.
    cuts: Vec<(u64, String)>,
    is_head_seen: bool,
}

impl Check {
    fn tell(&mut self, finding: String) {
        if self.proof.findings.len() < FINDINGS_MAX {
            self.proof.findings.push(finding);
        }
    }

    fn lines(&mut self, name: &str, text: &str) {
        for (index, line) in text.split_terminator('\n').enumerate() {
            match Row::read(line) {
                Some(row) => self.row(&row),
                None => {
                    self.tell(format!("{name}:{}: no row: it was changed, or written by somebody else", index + 1));
                    self.expected = None;
                }
            }
        }
    }

    fn row(&mut self, row: &Row) {
        let sequence = row.sequence;
        if row.computed != row.hash {
            self.tell(format!("row {sequence} was changed"));
        }
        match self.expected.take() {
            Some((expected, _)) if sequence > expected => self.tell(match sequence - 1 {
                last if last == expected => format!("row {expected} was removed"),
                last => format!("rows {expected} to {last} were removed"),
            }),
            Some((expected, _)) if sequence < expected => {
                self.tell(format!("row {sequence} stands where row {expected} should: it was moved or inserted"));
            }
            Some((_, before)) if row.before != before => {
                self.tell(format!("row {sequence} does not follow the row before it: one of them was changed, replaced or inserted"));
            }
            _ => {}
        }
        if self.proof.rows == 0 {
            (self.proof.first, self.first_before) = (sequence, row.before.clone());
        }
        match row.kind.as_str() {
            "seal" => self.seal(row),
            "cut" => self.cuts.extend(row.number("last_seq").map(|last| (last, row.text("last_hash").to_owned()))),
            "opened" => self.opened(row),
            _ => {}
        }
        if let Some(head) = self.head.clone().filter(|head| head.sequence == sequence) {
            self.is_head_seen = true;
            if head.hash != row.hash {
                self.tell(format!("row {sequence} is not the one that the signed head names: the end was replaced"));
            }
        }
        self.proof.rows += 1;
        (self.proof.last, self.proof.last_hash) = (sequence, row.hash.clone());
        self.expected = Some((sequence + 1, row.hash.clone()));
    }

    fn seal(&mut self, row: &Row) {
        let (sequence, public_key) = (row.sequence, row.text("public_key"));
        self.last_seal = sequence;
        if !key::is_signed(public_key, &key::seal_message(sequence, &row.before), row.text("signature")) {
            self.tell(format!("the seal of row {sequence} is not signed by its key: rows up to it were changed"));
        } else if self.public_key.as_deref().is_some_and(|pinned| pinned != public_key) {
            self.tell(format!("the seal of row {sequence} is signed by another key, {public_key}"));
        }
        if !self.proof.public_keys.iter().any(|known| known == public_key) {
            if !self.proof.public_keys.is_empty() {
                self.proof.notes.push(format!("from row {sequence} on another key signs: {public_key}"));
            }
            self.proof.public_keys.push(public_key.to_owned());
        }
    }

    fn opened(&mut self, row: &Row) {
        if let Some(count) = row.number("unsealed_rows") {
            let what = "rows without a seal: the process was killed while it wrote them, or somebody added them";
            self.proof.notes.push(format!("before row {} stood {count} {what}", row.sequence));
        }
        if let Some(bytes) = row.number("torn_bytes") {
            self.proof.notes.push(format!("before row {} stood {bytes} bytes of a row that was cut off; they were removed", row.sequence));
        }
    }

    fn finish(mut self, whole: Whole) -> Proof {
        let unsealed = self.proof.last.saturating_sub(self.last_seal.max(self.proof.first.saturating_sub(1)));
        if unsealed > 0 {
            let what = format!("the last {unsealed} rows have no seal");
            match whole {
                Whole::AtRest => self.tell(format!("{what}: a process was killed while it wrote them, or somebody added them")),
                _ => self.proof.notes.push(format!("{what} yet")),
            }
        }
        if whole == Whole::Part {
            if self.proof.rows > 0 {
                self.proof.notes.push(format!("a part of a log: rows {} to {}", self.proof.first, self.proof.last));
            }
            return self.proof;
        }
        self.beginning();
        self.end(whole);
        self.proof
    }

    fn beginning(&mut self) {
        let (first, before) = (self.proof.first, self.first_before.clone());
        if first == 1 && before != NOTHING {
            self.tell("row 1 follows something: what stood before it was removed".to_owned());
        }
        if first > 1 {
            match self.cuts.contains(&(first - 1, before)) {
                true => self.proof.notes.push(format!("rows 1 to {} were cut by the retention, as a sealed row proves", first - 1)),
                false => self.tell(format!("rows 1 to {} were removed, and no sealed row says that the retention cut them", first - 1)),
            }
        }
    }

    fn end(&mut self, whole: Whole) {
        let Some(head) = self.head.take() else {
            if self.proof.rows > 0 && whole == Whole::AtRest {
                self.tell("the signed head is missing: whether the end is there cannot be told".to_owned());
            }
            return;
        };
        if !head.is_signed {
            self.tell("the head is not signed by its key: it was changed".to_owned());
        } else if self.public_key.as_deref().is_some_and(|pinned| pinned != head.public_key) {
            self.tell(format!("the head is signed by another key, {}", head.public_key));
        } else if self.proof.public_keys.last().is_some_and(|key| *key != head.public_key) {
            self.tell("the head is signed by another key than the last rows".to_owned());
        }
        if head.sequence > self.proof.last {
            let (last, expected) = (self.proof.last, head.sequence);
            self.tell(format!("the end was cut: the log ends with row {last}, and the signed head names row {expected}"));
        } else if !self.is_head_seen && self.proof.rows > 0 && head.sequence >= self.proof.first {
            self.tell(format!("row {}, which the signed head names, is not there", head.sequence));
        } else if head.sequence < self.proof.last && whole == Whole::AtRest {
            let count = self.proof.last - head.sequence;
            self.proof.notes.push(format!("{count} sealed rows follow the head: the process was killed before it signed the end"));
        }
    }
}
