//! Makes the catalog from a price file in LiteLLM's form, and prices usages with it.
//!
//! ```sh
//! cargo run -p ringway-policy --example catalog -- make FILE.json [OUT.tsv]   # OUT: policy/catalog/models.tsv by default
//! cargo run -p ringway-policy --example catalog -- price CATALOG.tsv          # questions on stdin, see price.rs
//! cargo run -p ringway-policy --example catalog -- load CATALOG.tsv           # how long it takes, how much it holds
//! ```
//!
//! A file alone is made into the default catalog. It prints what it took and what it left out; a price key that no table of
//! `keys.rs` names ends it with 1, and nothing is written.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use ringway_policy::catalog::{COLUMNS, Catalog};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use entry::{Strings, convert};
use report::Report;

mod entry;
mod keys;
mod price;
mod report;

const DEFAULT_OUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/models.tsv");
const USAGE: &str = "catalog [make] FILE.json [OUT.tsv] | catalog price CATALOG.tsv < QUESTIONS | catalog load CATALOG.tsv";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["price", catalog] => read(catalog).and_then(|catalog| price::answer(&catalog, io::stdin().lock())),
        ["load", catalog] => read(catalog).map(|catalog| load(&catalog)),
        ["make", file, out] => make(file, out),
        ["make", file] | [file] => make(file, DEFAULT_OUT),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(text) => {
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn make(path: &str, out: &str) -> Result<String, String> {
    let json = read(path)?;
    let file: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(&json).map_err(|error| format!("{path}: {error}"))?;
    let (mut report, strings) = (Report::default(), Strings::default());
    let mut rows = Vec::new();
    for (id, raw) in &file {
        match convert(id, raw, &strings, &mut report) {
            Ok(row) => rows.push(row),
            Err(why) => report.left_out(id, &why),
        }
    }
    let unknown = report.unknown_prices();
    if !unknown.is_empty() {
        let keys = unknown.join(", ");
        return Err(format!("{}\nprice keys that are not known: {keys}\nput each into a table of keys.rs", report.text(file.len())));
    }
    let hash: String = Sha256::digest(json.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text =
        String::from("# Models and prices, made from LiteLLM's model_prices_and_context_window.json (MIT, see LICENSE beside this file)\n");
    text.push_str("# by `cargo run -p ringway-policy --example catalog`. Dollars for one unit; `-` is unknown, 0 is free.\n");
    text.push_str(&format!("# source: {} bytes, sha256 {hash}\n# {}\n", json.len(), COLUMNS.join("\t")));
    for row in &rows {
        text.push_str(&row.write());
        text.push('\n');
    }
    if let Some(line) = Catalog::unreadable(&text).next() {
        return Err(format!("a line that cannot be read back: {line}"));
    }
    fs::write(out, text).map_err(|error| format!("{out}: {error}"))?;
    Ok(report.text(file.len()))
}

/// Time and memory of a catalog, measured.
fn load(text: &str) -> String {
    let before = resident_kib();
    let start = Instant::now();
    let catalog = Catalog::read(text);
    let took = start.elapsed();
    let models = catalog.iter().count();
    let held = resident_kib().saturating_sub(before);
    format!("{models} models of {} bytes: {:.2} ms, {held} KiB resident\n", text.len(), took.as_secs_f64() * 1e3)
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
