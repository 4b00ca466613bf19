//! Fuzz smoke of every decoder that reads bytes from a network: no panic, no dependence on where the bytes were cut.
//!
//! Deterministic: a fixed seed, `ROUNDS` inputs a decoder. `RINGWAY_SMOKE_SECONDS` runs by the clock instead and
//! `RINGWAY_SMOKE_SEED` varies it. Heads and chunked bodies have theirs beside them, in engine/data/tests/http1.

mod dialects;
mod mutate;
mod samples;
mod spans;

use std::time::{Duration, Instant};

use mutate::Random;

const SEED: u64 = 0x5eed_0002_c0de_cafe;
const ROUNDS: u64 = 3_000;

/// Runs `check` with inputs grown from `samples`, and with a place to cut each.
fn run(samples: &[&str], check: impl Fn(&[u8], usize) + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("RINGWAY_SMOKE_SEED").unwrap_or(SEED);
    let until = number("RINGWAY_SMOKE_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(seed);
    for round in 0.. {
        if until.map_or(round >= ROUNDS, |until| Instant::now() >= until) {
            break;
        }
        let input = random.mutated(samples);
        let cut = random.below(input.len() + 1);
        let outcome = std::panic::catch_unwind(|| check(&input, cut));
        assert!(outcome.is_ok(), "seed {seed}, round {round}, cut {cut}:\n{}", input.escape_ascii());
    }
}
