//! The log against whoever changes it: every row removed, changed, moved, inserted and cut off, each is found.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const AT_MS: u64 = 1_700_000_000_000;

/// A folder of its own, which goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("ringway-audit-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Folder(std::env::temp_dir().join(name))
    }

    fn audit(&self) -> Audit {
        self.with(None)
    }

    fn with(&self, retention: Option<Duration>) -> Audit {
        let settings = Settings { folder: self.0.clone(), key_file: None, retention, syslog: None };
        Audit::new(settings, || AT_MS)
    }

    /// A log of so many acts, closed.
    fn filled(acts: usize) -> Folder {
        let folder = Folder::new();
        let audit = folder.audit();
        for index in 0..acts {
            write(&audit, index).unwrap();
        }
        audit.close();
        folder
    }

    fn segment(&self) -> PathBuf {
        segments::list(&self.0).unwrap()[0].path.clone()
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.segment()).unwrap().lines().map(str::to_owned).collect()
    }

    /// What is found once the rows are these.
    fn findings_with(&self, lines: &[String]) -> Vec<String> {
        let path = self.segment();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let findings = verify(&self.0, None).unwrap().findings;
        std::fs::write(&path, whole).unwrap();
        findings
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(audit: &Audit, index: usize) -> Result<(), String> {
    let (sender, receiver) = sync_channel(1);
    audit.write(
        "act",
        json!({"who": "ann", "path": format!("/api/v1/keys/{index}"), "status": 200}),
        Box::new(move |outcome| {
            sender.send(outcome).unwrap();
        }),
    );
    receiver.recv_timeout(Duration::from_secs(20)).unwrap()
}

/// A row that continues the chain as well as anybody without the key can.
fn forged(after: &str) -> String {
    let row = row::Row::read(after).unwrap();
    let mut line = String::new();
    row::write(row.sequence + 1, AT_MS, "act", &row.hash, object(json!({"who": "eve"})), &mut line);
    line.trim_end().to_owned()
}

/// The rows with new sequences and hashes, as somebody would who changes one and repairs what follows.
fn rechained(lines: &[String]) -> Vec<String> {
    let mut before = row::NOTHING.to_owned();
    let rows = lines.iter().enumerate().map(|(index, line)| {
        let row = row::Row::read(line).unwrap();
        let fields = row.fields.into_iter().filter(|(name, _)| !matches!(name.as_str(), "seq" | "at_ms" | "kind" | "prev" | "hash"));
        let mut out = String::new();
        before = row::write(index as u64 + 1, row.at_ms, &row.kind, &before, fields.collect(), &mut out);
        out.trim_end().to_owned()
    });
    rows.collect()
}

#[test]
fn a_log_that_nobody_touched_is_whole() {
    let folder = Folder::filled(5);
    let proof = verify(&folder.0, None).unwrap();
    assert!(proof.is_whole() && proof.notes.is_empty(), "{proof:?}");
    // The row of the opening, the acts, and a seal for each write.
    assert!(proof.rows >= 7 && proof.first == 1 && proof.last == proof.rows, "{proof:?}");
    let key = proof.public_keys[0].clone();
    assert!(verify(&folder.0, Some(&key)).unwrap().is_whole());
    assert!(!verify(&folder.0, Some(&key.replace(|digit: char| digit != '0', "0"))).unwrap().is_whole());
}

#[test]
fn a_removed_row_is_found_wherever_it_stood() {
    let folder = Folder::filled(6);
    let lines = folder.lines();
    for index in 0..lines.len() {
        let mut rest = lines.clone();
        rest.remove(index);
        assert!(!folder.findings_with(&rest).is_empty(), "row {}", index + 1);
        assert!(!folder.findings_with(&rechained(&rest)).is_empty(), "row {}, and all after it repaired", index + 1);
    }
}

#[test]
fn a_changed_row_is_found_whatever_was_changed() {
    let folder = Folder::filled(4);
    let lines = folder.lines();
    for index in 0..lines.len() {
        for (from, to) in [("ann", "eve"), ("\"at_ms\":17", "\"at_ms\":18"), ("\"seq\":", "\"seq\":1"), ("\"kind\":\"", "\"kind\":\"x")] {
            if !lines[index].contains(from) {
                continue;
            }
            let mut changed = lines.clone();
            changed[index] = lines[index].replacen(from, to, 1);
            let findings = folder.findings_with(&changed);
            assert!(!findings.is_empty(), "row {}: {from}", index + 1);
            if from == "ann" {
                assert!(!folder.findings_with(&rechained(&changed)).is_empty(), "row {}: {from}, and all after it repaired", index + 1);
            }
        }
        let mut garbled = lines.clone();
        garbled[index] = "nothing".to_owned();
        assert!(!folder.findings_with(&garbled).is_empty(), "row {}", index + 1);
    }
}

#[test]
fn moved_rows_are_found() {
    let folder = Folder::filled(6);
    let lines = folder.lines();
    for one in 0..lines.len() {
        for other in one + 1..lines.len() {
            let mut moved = lines.clone();
            moved.swap(one, other);
            assert!(!folder.findings_with(&moved).is_empty(), "rows {} and {}", one + 1, other + 1);
        }
    }
}

#[test]
fn an_inserted_row_is_found_wherever_it_stands() {
    let folder = Folder::filled(6);
    let lines = folder.lines();
    for index in 0..=lines.len() {
        let before = lines[index.saturating_sub(1)].clone();
        for inserted in [before.clone(), forged(&before)] {
            let mut more = lines.clone();
            more.insert(index, inserted);
            assert!(!folder.findings_with(&more).is_empty(), "before row {}", index + 1);
            assert!(!folder.findings_with(&rechained(&more)).is_empty(), "before row {}, and all after it repaired", index + 1);
        }
    }
}

#[test]
fn a_cut_end_is_found_at_every_row_and_at_every_byte_of_the_last() {
    let folder = Folder::filled(6);
    let lines = folder.lines();
    for len in 0..lines.len() {
        let findings = folder.findings_with(&lines[..len]);
        assert!(findings.iter().any(|finding| finding.contains("the end was cut")), "{len} rows: {findings:?}");
    }
    let path = folder.segment();
    let whole = std::fs::read(&path).unwrap();
    for len in whole.len() - 400..whole.len() - 1 {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(!verify(&folder.0, None).unwrap().is_whole(), "{len} bytes");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(!verify(&folder.0, None).unwrap().is_whole(), "all of it");
}

#[test]
fn a_head_that_is_gone_old_or_forged_is_found() {
    let folder = Folder::filled(3);
    let head = folder.0.join("head");
    let text = std::fs::read_to_string(&head).unwrap();
    for changed in [text.replacen("\"seq\":", "\"seq\":1", 1), text.replacen("\"signature\":\"", "\"signature\":\"0", 1), String::new()] {
        std::fs::write(&head, changed).unwrap();
        assert!(!verify(&folder.0, None).unwrap().is_whole());
    }
    std::fs::remove_file(&head).unwrap();
    assert!(verify(&folder.0, None).unwrap().findings[0].contains("head is missing"));
}

#[test]
fn another_start_goes_on_where_the_log_ended() {
    let folder = Folder::filled(2);
    let audit = folder.audit();
    write(&audit, 9).unwrap();
    assert_eq!(verify(&folder.0, None).unwrap().findings, Vec::<String>::new(), "while it is written to");
    audit.close();
    let proof = verify(&folder.0, None).unwrap();
    assert!(proof.is_whole() && proof.notes.is_empty(), "{proof:?}");
    assert_eq!(proof.public_keys.len(), 1);
}

#[test]
fn half_a_row_and_rows_without_a_seal_are_told_for_ever() {
    let folder = Folder::filled(2);
    let mut lines = folder.lines();
    lines.push(forged(lines.last().unwrap()));
    std::fs::write(folder.segment(), lines.join("\n") + "\n{\"seq\":9,\"at").unwrap();
    let audit = folder.audit();
    write(&audit, 9).unwrap();
    audit.close();
    let proof = verify(&folder.0, None).unwrap();
    assert!(proof.is_whole(), "{proof:?}");
    assert!(proof.notes.iter().any(|note| note.contains("1 rows without a seal")), "{proof:?}");
    assert!(proof.notes.iter().any(|note| note.contains("12 bytes")), "{proof:?}");
}

#[test]
fn the_retention_cuts_whole_files_and_proves_it() {
    let folder = Folder::filled(3);
    // A further file, so that the first one is no longer written to.
    let last = row::Row::read(folder.lines().last().unwrap()).unwrap();
    drop(segments::create(&folder.0, last.sequence + 1).unwrap());
    let settings = Settings { folder: folder.0.clone(), key_file: None, retention: Some(Duration::from_secs(60)), syslog: None };
    let audit = Audit::new(settings, || AT_MS + 3_600_000);
    write(&audit, 9).unwrap();
    audit.close();
    assert_eq!(segments::list(&folder.0).unwrap().len(), 1);
    let proof = verify(&folder.0, None).unwrap();
    assert!(proof.is_whole() && proof.first == last.sequence + 1, "{proof:?}");
    assert!(proof.notes[0].contains("cut by the retention"), "{proof:?}");
    // Without the row that says so, it is a removal.
    let lines: Vec<String> = folder.lines().into_iter().filter(|line| !line.contains("\"kind\":\"cut\"")).collect();
    assert!(!folder.findings_with(&rechained(&lines)).is_empty());
}

#[test]
fn a_disk_that_cannot_be_written_refuses_and_recovers() {
    let folder = Folder::new();
    // A file stands where the folder should.
    std::fs::write(&folder.0, "").unwrap();
    let audit = folder.audit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(write(&audit, 1).is_err());
    assert!(runtime.block_on(audit.ready()).is_err());
    std::fs::remove_file(&folder.0).unwrap();
    assert_eq!(runtime.block_on(audit.ready()), Ok(()));
    write(&audit, 2).unwrap();
    audit.close();
    assert!(verify(&folder.0, None).unwrap().is_whole());
}

#[test]
fn the_key_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::filled(1);
    let mode = |name: &Path| std::fs::metadata(name).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0.join(key::FILE)), 0o600);
    assert_eq!(mode(&folder.0), 0o700);
    assert_eq!(mode(&folder.segment()), 0o600);
}

#[test]
fn two_processes_have_a_log_each() {
    let folder = Folder::new();
    let (one, other) = (folder.audit(), folder.audit());
    write(&one, 1).unwrap();
    write(&other, 2).unwrap();
    let second = PathBuf::from(format!("{}-1", folder.0.display()));
    assert_eq!((one.folder(), other.folder()), (Some(folder.0.clone()), Some(second.clone())));
    other.close();
    assert!(verify(&second, None).unwrap().is_whole());
    std::fs::remove_dir_all(second).unwrap();
}

#[test]
fn pages_are_newest_first_and_filtered() {
    let folder = Folder::filled(5);
    let all = newest(&folder.0, &Filter::default(), 100).unwrap();
    let paths: Vec<&str> = all.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, (0..5).rev().map(|index| format!("/api/v1/keys/{index}")).collect::<Vec<_>>());
    let before = Filter { before: all[1]["seq"].as_u64(), ..Filter::default() };
    assert_eq!(newest(&folder.0, &before, 2).unwrap()[0]["path"], "/api/v1/keys/2");
    let of = |filter: Filter| newest(&folder.0, &filter, 100).unwrap().len();
    assert_eq!(of(Filter { who: Some("eve".into()), ..Filter::default() }), 0);
    assert_eq!(of(Filter { text: Some("keys/3".into()), ..Filter::default() }), 1);
    assert_eq!(of(Filter { kind: Some("opened".into()), ..Filter::default() }), 1);
}
