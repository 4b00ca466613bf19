//! The README's fault tables against the code and the design.

use std::fs;

use crate::none;
use crate::source::root;

/// The rows of the design's failure table, in its words.
const SITUATIONS: &[&str] = &[
    "client gone mid-answer",
    "an answer is complete",
    "upstream dies, stalls or talks garbage mid-stream",
    "retry",
    "timeouts",
    "breaker",
    "reload",
    "SIGTERM",
    "store, log sink, Redis or telemetry down",
    "overload",
    "slow reader",
    "crash (kill -9)",
];

fn readme() -> Option<String> {
    fs::read_to_string(root().join("README.md")).ok()
}

#[test]
fn the_readme_tells_every_situation_of_the_design() {
    let Some(readme) = readme() else { return };
    let missing =
        SITUATIONS.iter().filter(|situation| !readme.contains(&format!("| {situation} |"))).map(|situation| format!("| {situation} | … |"));
    none(missing.collect(), "README.md's failure table has one row for each of these, in these words, and what the gateway does then.");
}

#[test]
fn the_readme_lists_every_fault_of_the_code() {
    let Some(readme) = readme() else { return };
    let expected = rows();
    assert!(expected.len() > 20, "KINDS of adapters/src/fault.rs was not found");
    let missing: Vec<String> = expected.iter().filter(|row| !readme.contains(row.as_str())).cloned().collect();
    let table = format!("| fault | whose | status | code |\n|---|---|---|---|\n{}", expected.join("\n"));
    none(missing, &format!("README.md's fault table follows KINDS of adapters/src/fault.rs. It should read:\n\n{table}"));
}

/// Each row of `KINDS` as a row of the table: `(Kind::X, Blame::Y, 502, "code")`.
fn rows() -> Vec<String> {
    let source = fs::read_to_string(root().join("adapters/src/fault.rs")).expect("adapters/src/fault.rs");
    let lines = source.lines().map(str::trim).filter(|line| line.starts_with("(Kind::"));
    lines
        .filter_map(|line| {
            let mut cells = line.trim_start_matches('(').trim_end_matches("),").split(", ");
            let (kind, blame, status, code) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
            let (kind, blame) = (kind.strip_prefix("Kind::")?, blame.strip_prefix("Blame::")?.to_lowercase());
            Some(format!("| {kind} | {blame} | {status} | `{}` |", code.trim_matches('"')))
        })
        .collect()
}
