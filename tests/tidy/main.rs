//! The rules that no compiler checks: invariants of the design, read from the sources. Each message says how to comply.

mod edges;
mod faults;
mod invariants;
mod source;
mod style;

/// Fails with every offender, not only the first.
#[track_caller]
fn none(offenders: Vec<String>, how: &str) {
    assert!(offenders.is_empty(), "\n{}\n\n{how}\n", offenders.join("\n"));
}
