//! How the vocabulary lies in the binary; `build/vocabulary.rs` writes it, `table` reads it.
//!
//! A perfect hash over all tokens: `bucket_of` names the pilot that `slot_of` finds the token's slot with. A slot holds where the
//! token stands among `TOKENS`, and a tag that tells most other texts from it without a look there. A token stands after its length
//! in a byte; tokens follow one another by rank, so that of two places the lower one is merged first.

/// Pilots: three tokens share one in the mean.
pub const BUCKETS: usize = 1 << 16;

/// Slots: one in four is empty, so that a pilot is found for every bucket.
pub const SLOTS: usize = 1 << 18;

/// Bits of a slot that say where the token stands; the tag has the others.
pub const PLACE_BITS: u32 = 21;

/// Longest token, bytes.
pub const TOKEN_BYTES_MAX: usize = 128;

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const OTHER_FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

/// A text's hash, not keyed: texts that collide only cost a comparison.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = (bytes.len() as u64).wrapping_mul(OTHER_FACTOR);
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word), FACTOR);
    }
    if !rest.is_empty() {
        hash = mix(hash ^ tail(rest), FACTOR);
    }
    mix(hash, OTHER_FACTOR)
}

/// Up to seven bytes as a number; the length is in the hash already.
#[inline]
fn tail(bytes: &[u8]) -> u64 {
    match bytes {
        [a, b, c, d, rest @ ..] => {
            let high = rest.iter().rev().fold(0, |high, byte| high << 8 | u64::from(*byte));
            high << 32 | u64::from(u32::from_le_bytes([*a, *b, *c, *d]))
        }
        _ => bytes.iter().rev().fold(0, |low, byte| low << 8 | u64::from(*byte)),
    }
}

#[inline]
fn mix(word: u64, factor: u64) -> u64 {
    let wide = u128::from(word ^ factor) * u128::from(factor);
    (wide as u64) ^ ((wide >> 64) as u64)
}

#[inline]
pub fn bucket_of(hash: u64) -> usize {
    (hash >> 48) as usize % BUCKETS
}

#[inline]
pub fn slot_of(hash: u64, pilot: u8) -> usize {
    mix(hash, OTHER_FACTOR.wrapping_mul(u64::from(pilot) * 2 + 3)) as usize % SLOTS
}

/// A slot without its place.
#[inline]
pub fn tag_of(hash: u64) -> u32 {
    (hash as u32) << PLACE_BITS
}

/// A character's kinds, as bits: what the pattern of the vocabulary tells apart.
pub mod kind {
    /// Capital and title case letters, and what goes with both cases.
    pub const UPPER: u8 = 1;
    /// Small letters, and what goes with both cases: letters without case, modifiers and marks.
    pub const LOWER: u8 = 2;
    /// Any letter; not a mark.
    pub const LETTER: u8 = 4;
    pub const NUMBER: u8 = 8;
    pub const SPACE: u8 = 16;
}

/// Characters of which the kinds lie together.
pub const BLOCK_CHARS: usize = 256;

/// Blocks of Unicode.
pub const BLOCKS: usize = 0x11_0000 / BLOCK_CHARS;
