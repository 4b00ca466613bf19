//! The ways in which a stream is cut before it is fed.

use std::ops::Range;

const SEEDED_CUTS: u64 = 200;
const CUTS_MAX: u64 = 8;

/// A name and its chunks, in order and without gaps.
pub type Cutting = (String, Vec<Range<usize>>);

/// Whole is left to the caller: all others are compared with it.
pub fn cuttings(len: usize, chunk_sizes: &[usize]) -> Vec<Cutting> {
    let mut all = vec![("byte by byte".to_owned(), (0..len).map(|at| at..at + 1).collect())];
    if !chunk_sizes.is_empty() {
        let ends = chunk_sizes.iter().scan(0, |at, size| {
            *at += size;
            Some((*at).min(len))
        });
        all.push(("recorded chunks".to_owned(), ranges(ends.collect(), len)));
    }
    for seed in 0..SEEDED_CUTS {
        let mut state = seed;
        let count = 1 + random(&mut state) % CUTS_MAX;
        let cuts = (0..count).map(|_| (random(&mut state) % (len as u64 + 1)) as usize).collect();
        all.push((format!("seed {seed}"), ranges(cuts, len)));
    }
    all
}

fn ranges(mut cuts: Vec<usize>, len: usize) -> Vec<Range<usize>> {
    cuts.push(len);
    cuts.sort_unstable();
    let mut start = 0;
    let mut ranges = Vec::with_capacity(cuts.len());
    for end in cuts {
        ranges.push(start..end);
        start = end;
    }
    ranges
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
