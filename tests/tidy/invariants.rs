//! The design's invariants that can be seen in the text of the code.

use std::fs;

use crate::none;
use crate::source::{File, has_word, root, rust_files, strings};

/// Pure code: bytes and values in, bytes and values out.
const PURE: &[&str] = &["adapters/src/", "policy/src/", "engine/data/src/http1/"];

/// What pure code does not name, and what to do instead.
const IMPURE: &[(&str, &str)] = &[
    ("async", "return the wish as a value; the exchange awaits it"),
    ("await", "return the wish as a value; the exchange awaits it"),
    ("TcpStream", "sockets live in rt/"),
    ("TcpListener", "sockets live in rt/"),
    ("UdpSocket", "sockets live in rt/"),
    ("UnixStream", "sockets live in rt/"),
    ("ToSocketAddrs", "names are resolved by the control plane"),
    ("SystemTime", "take `now` as a parameter"),
    ("Instant", "take `now_ns` as a parameter"),
    ("rand", "take a random number, or a source of them, as a parameter"),
    ("RandomState", "take the hasher's keys as constants (ahash::RandomState::with_seeds)"),
    ("Mutex", "own the state, or use an atomic where design.md says that shards share it"),
    ("RwLock", "own the state, or publish a new snapshot"),
    ("thread", "the shell spawns threads"),
    ("tokio", "it belongs to the control plane"),
    ("monoio", "it belongs to rt/"),
];

/// The same, as paths.
const IMPURE_PATHS: &[(&str, &str)] = &[
    ("std::fs", "the shell reads files and passes their bytes"),
    ("std::env", "the shell reads the environment and passes a lookup"),
    ("env::var", "the shell reads the environment and passes a lookup"),
    ("std::process", "the shell starts and ends processes"),
    ("std::io::std", "the shell prints"),
    ("println!", "return the text"),
];

/// Seeded state is as pure as a constant, and an assertion in a `Drop` may ask whether it is a second panic.
const PURE_FORMS: &[&str] = &["RandomState::with_seed", "RandomState::generate_with", "use ahash", "thread::panicking"];

#[test]
fn pure_crates_hold_no_io_clock_lock_or_chance() {
    let mut offenders = Vec::new();
    for file in rust_files().iter().filter(|file| PURE.iter().any(|start| file.path.starts_with(start)) && !file.is_test()) {
        for (number, line) in file.code() {
            if PURE_FORMS.iter().any(|form| line.contains(form)) {
                continue;
            }
            let bare = without_strings(line);
            let word = IMPURE.iter().find(|(word, _)| has_word(&bare, word));
            let path = IMPURE_PATHS.iter().find(|(path, _)| bare.contains(path));
            offenders.extend(word.or(path).map(|(_, instead)| format!("{}  -> {instead}", file.place(number, line))));
        }
    }
    none(offenders, "adapters, policy and http1 are pure, so that they are tested with bytes and fuzzed without a runtime.");
}

fn without_strings(line: &str) -> String {
    strings(line).into_iter().filter(|string| !string.is_empty()).fold(line.to_owned(), |line, string| line.replace(string, ""))
}

#[test]
fn only_rt_names_monoio() {
    let files = rust_files();
    let outside = files.iter().filter(|file| !file.path.starts_with("engine/data/src/rt/") && !file.path.starts_with("tests/tidy/"));
    none(outside.flat_map(|file| file.places(|line| has_word(line, "monoio"))).collect(), "Go through the traits of engine/data/src/rt/.");
}

#[test]
fn only_control_and_the_binary_name_tokio() {
    let allowed =
        |file: &&File| !["engine/control/", "engine/ringway/"].iter().any(|start| file.path.starts_with(start)) && !file.is_test();
    let files = rust_files();
    let offenders = files.iter().filter(allowed).flat_map(|file| file.places(|line| has_word(&without_strings(line), "tokio"))).collect();
    none(offenders, "The data plane runs on rt/; pure code runs on nothing. Work that wants tokio belongs to engine/control.");
}

/// Names that are English words, too: only a string that is nothing else counts.
const WORDS: &[&str] = &["together", "writer", "replicate", "snowflake", "you", "lambda", "custom", "mock"];

/// Files that say what clients say: the contract's own paths and formats.
const NAMERS: &[&str] = &["adapters/src/dialect/", "adapters/src/door.rs"];

#[test]
fn only_dialects_and_data_name_providers() {
    let directory = root().join("adapters/providers");
    let names: Vec<String> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| name != "ringway")
        .collect();
    let mut offenders = Vec::new();
    for file in rust_files().iter().filter(|file| !file.is_test() && !NAMERS.iter().any(|start| file.path.starts_with(start))) {
        offenders.extend(
            file.places(|line| !line.contains("include_str!") && strings(line).into_iter().any(|string| names_one(string, &names))),
        );
    }
    none(
        offenders,
        "A provider's name in code is a branch that its file should be: say what differs as a field or a quirk in adapters/providers/NAME.toml, \
         or as a dialect in adapters/src/dialect/.",
    );
}

/// `openai` alone or as a word of a message; `openai-chat` is a dialect's name, and `anthropic-version` a header's.
fn names_one(string: &str, names: &[String]) -> bool {
    let mut words = string.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.any(|word| names.iter().any(|name| name == word && (string == word || !WORDS.contains(&word))))
}

#[test]
fn sse_framing_has_one_home() {
    // `data:image/png;base64,` is a URL; a field of an event has its space.
    let marks = ["\"data: ", "\"event: ", "\"data:{\\\"", "\\ndata:", "\\nevent:", "\"retry: "];
    let files = rust_files();
    let outside = files.iter().filter(|file| file.path != "adapters/src/frame/sse.rs" && !file.is_test());
    let offenders = outside.flat_map(|file| file.places(|line| marks.iter().any(|mark| line.contains(mark)))).collect();
    none(
        offenders,
        "Write events with the functions and constants of adapters/src/frame/sse.rs (add one there), read them with SseSplitter.",
    );
}

#[test]
fn unsafe_blocks_say_why_they_are_sound() {
    let mut offenders = Vec::new();
    for file in rust_files().iter().filter(|file| !file.path.starts_with("tests/tidy/")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_block = ["unsafe {", "unsafe impl", "unsafe extern"].iter().any(|form| code.contains(form));
            if code.starts_with("//") || !is_block {
                continue;
            }
            // A statement may begin some lines above the block, with the comment over it.
            let above = &lines[index.saturating_sub(8)..=index];
            if !above.iter().any(|line| line.contains("SAFETY:")) {
                offenders.push(file.place(index + 1, line));
            }
        }
    }
    none(offenders, "Put `// SAFETY:` over the block: what must hold, and why it does.");
}

#[test]
fn every_provider_says_where_its_facts_come_from_and_when() {
    let mut offenders = Vec::new();
    for entry in fs::read_dir(root().join("adapters/providers")).into_iter().flatten().flatten() {
        let path = entry.path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let field = |name: &str| table.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let dated = field("date").len() == 10 && field("date").split('-').count() == 3;
        if field("source").len() < 4 || !dated {
            offenders.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    none(offenders, "Begin the file with `source = \"the page\"` and `date = \"YYYY-MM-DD\"`, the day that it was read.");
}
