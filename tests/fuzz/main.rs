//! Fuzz smoke of every decoder that reads bytes from a network: no panic, no dependence on where the bytes were cut, nothing
//! kept when it is done.
//!
//! Deterministic: a fixed seed, `ROUNDS` inputs a decoder. `RINGWAY_SMOKE_SECONDS` runs by the clock instead and
//! `RINGWAY_SMOKE_SEED` varies it. Heads and chunked bodies have theirs beside them, in engine/data/tests/http1.

#[allow(dead_code, reason = "the suite of the codecs uses the rest")]
#[path = "../../adapters/tests/corpus/apis.rs"]
mod apis;
#[path = "../../adapters/tests/corpus/base64.rs"]
mod base64;
mod dialects;
mod frames;
#[allow(dead_code, reason = "the suite of the codecs uses the rest")]
#[path = "../../adapters/tests/corpus/load.rs"]
mod load;
mod memory;
mod mutate;
mod recorded;
mod samples;
mod spans;

use std::time::{Duration, Instant};

use mutate::Random;

const SEED: u64 = 0x5eed_0002_c0de_cafe;
const ROUNDS: u64 = 3_000;
const WARM_ROUNDS: u64 = 500;
/// The harness's own, an input among it.
const GROWTH_BYTES_MAX: i64 = 256 * 1024;

/// Runs `check` with inputs grown from `samples`, and with a place to cut each.
fn run(samples: &[impl AsRef<[u8]>], check: impl Fn(&[u8], usize) + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("RINGWAY_SMOKE_SEED").unwrap_or(SEED);
    let until = number("RINGWAY_SMOKE_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(seed);
    let mut held_bytes = 0;
    for round in 0.. {
        // Tables that are made when they are first needed are there by now.
        if round == WARM_ROUNDS {
            held_bytes = memory::held_bytes();
        }
        if until.map_or(round >= ROUNDS, |until| Instant::now() >= until) {
            break;
        }
        let input = random.mutated(samples);
        let cut = random.below(input.len() + 1);
        let outcome = std::panic::catch_unwind(|| check(&input, cut));
        assert!(outcome.is_ok(), "seed {seed}, round {round}, cut {cut}:\n{}", input.escape_ascii());
    }
    let growth_bytes = memory::held_bytes() - held_bytes;
    assert!(growth_bytes < GROWTH_BYTES_MAX, "seed {seed}: {growth_bytes} bytes were kept after the last input");
}
