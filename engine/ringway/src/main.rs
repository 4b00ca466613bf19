//! The binary: reads the command line, puts the two planes together, listens to signals.

mod activation;
mod administration;
mod audit;
mod banner;
mod client;
mod commands;
mod flags;
mod logging;
mod manual;
mod memory;
mod models;
mod objects;
mod observe;
mod providers;
mod serve;
mod settings;
mod signals;
mod token;
mod units;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Taken where no file is named, if it is there.
pub const DEFAULT_FILE: &str = "./ringway.yaml";

fn main() -> ExitCode {
    keep_pages_small();
    // Before anything makes a TLS configuration. It fails only where one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let flags = flags::Flags::parse();
    let outcome = match flags.command {
        Some(command) => commands::run(command),
        None => serve::run(&flags.serve),
    };
    match outcome {
        Ok(code) => code,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Turns transparent huge pages off for this process: with them the allocator's first few objects hold 12 MiB where 3 are used,
/// and an idle gateway is to be small. Before `main` mimalloc's feature `no_thp` sees to it. Where the kernel refuses, memory
/// is larger and nothing else is wrong.
fn keep_pages_small() {
    // SAFETY: this `prctl` takes numbers alone and touches no memory of ours.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Tells the operator why nothing runs. A closed stderr is no reason to panic.
fn complain(message: &str) {
    use std::io::Write;
    let mut stderr = std::io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(stderr, "ringway: {line}");
    }
}
