//! Style that is worth a test: size, first sentences, leftovers, what must not be committed.

use std::process::Command;

use crate::none;
use crate::source::{files, has_word, root, rust_files};

const LINES_MAX: usize = 600;

#[test]
fn files_are_about_one_noun() {
    let long = rust_files().into_iter().map(|file| (file.text.lines().count(), file.path)).filter(|(count, _)| *count > LINES_MAX);
    none(
        long.map(|(count, path)| format!("{path}: {count} lines")).collect(),
        "Past 600 lines ask what the second noun is, and give it its own file.",
    );
}

#[test]
fn files_begin_with_a_sentence() {
    let silent = rust_files().into_iter().filter(|file| !file.text.starts_with("//! ") && !file.path.ends_with("/tests.rs"));
    none(silent.map(|file| file.path).collect(), "Begin the file with a `//!` sentence that says what it is about.");
}

/// Words that say that something is not done, cut so that this file holds none of them.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("un", "implemented!"),
    concat!("to", "do!"),
    concat!("#[ig", "nore"),
];

#[test]
fn nothing_is_left_for_later() {
    let mut offenders = Vec::new();
    for file in files().iter().filter(|file| !file.path.ends_with(".lock") && !file.path.ends_with("package-lock.json")) {
        for (index, line) in file.text.lines().enumerate() {
            if LEFTOVERS.iter().any(|word| if word.ends_with(['!', 'e']) { line.contains(word) } else { has_word(line, word) }) {
                offenders.push(file.place(index + 1, &line.chars().take(120).collect::<String>()));
            }
        }
    }
    none(offenders, "Do it, or delete it. A test of something that is wrong asserts what happens today and says that it is wrong.");
}

/// What belongs to one machine or one day, cut for the same reason.
const PRIVATE: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/tmp/", "wt"),
    concat!("work", "tree"),
    concat!("\"resol", "ved\":"),
    concat!("BEGIN RSA PRIVATE", " KEY"),
];

#[test]
fn nothing_of_one_machine_is_committed() {
    let mut offenders = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate().filter(|(_, line)| PRIVATE.iter().any(|word| line.contains(word))) {
            offenders.push(file.place(index + 1, &line.chars().take(120).collect::<String>()));
        }
    }
    none(offenders, "Take paths from the environment or the tree itself; npm locks carry no URL (omit-lockfile-registry-resolved).");
}

#[test]
fn the_formatter_has_nothing_to_say() {
    let output = Command::new(env!("CARGO")).args(["fmt", "--all", "--check"]).current_dir(root()).output().expect("cargo runs");
    assert!(
        output.status.success(),
        "run `cargo fmt --all`:\n{}",
        String::from_utf8_lossy(&output.stdout).lines().take(60).collect::<Vec<_>>().join("\n")
    );
}
