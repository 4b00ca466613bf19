//! How long a file of many virtual keys takes to load, and what it leaves in memory.
//!
//! `cargo run --release -p ringway-policy --example load_keys [COUNT]`

use std::fmt::Write;
use std::time::Instant;

use ringway_adapters::provider::builtins;
use ringway_policy::config;
use ringway_policy::snapshot::Snapshot;

/// Resident memory of this process now, and at its highest, in MiB.
fn resident_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    (field("VmRSS").unwrap_or(0) / 1024, field("VmHWM").unwrap_or(0) / 1024)
}

fn file(count: usize) -> String {
    let mut text = "teams: {apps: {}}\nvirtual_keys:\n".to_owned();
    for index in 0..count {
        let digest: String = config::digest(&format!("rw-{index:032}")).iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "  customer-{index}:\n    key_sha256: {digest}\n    team: apps\n    limits: [{{requests: 60, per: 1m}}]");
    }
    text
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let text = file(count);
    let (before, _) = resident_mib();
    let begun = Instant::now();
    let config = config::parse(&text, &|_| None).unwrap_or_else(|problems| panic!("{:?}", &problems[..problems.len().min(3)]));
    let parsed = begun.elapsed();
    let (with_config, _) = resident_mib();
    let begun = Instant::now();
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:?}"));
    let compiled = begun.elapsed();
    let (after, peak) = resident_mib();
    println!("{} keys, {} bytes", snapshot.keys.len(), text.len());
    println!("parsed in {parsed:.1?}, compiled in {compiled:.1?}");
    println!(
        "resident: file {before} MiB, + configuration {} MiB, + snapshot {} MiB; peak {peak} MiB",
        with_config - before,
        after - with_config
    );
}
