//! The vocabulary o200k, read where it lies in the binary: pages of its file, shared and dropped by the system as it likes.
//!
//! A look-up reads three places of 64 KiB, 1 MiB and, where the tag fits, 1.5 MiB. Nothing is unpacked, kept or locked.

use super::layout::{BUCKETS, PLACE_BITS, SLOTS, TOKEN_BYTES_MAX, bucket_of, hash, slot_of, tag_of};

static PILOTS: &[u8; BUCKETS] = include_bytes!(concat!(env!("OUT_DIR"), "/o200k.pilots"));
static SLOT_BYTES: &[u8; SLOTS * 4] = include_bytes!(concat!(env!("OUT_DIR"), "/o200k.slots"));
static TOKENS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/o200k.tokens"));

/// What no token has.
pub const ABSENT: u32 = u32::MAX;

/// The order in which a text is merged, lower first, where it is a token; else `ABSENT`.
#[inline]
pub fn order(text: &[u8]) -> u32 {
    if text.len() > TOKEN_BYTES_MAX {
        return ABSENT;
    }
    let hash = hash(text);
    let slot = u32::from_le_bytes(SLOT_BYTES.as_chunks::<4>().0[slot_of(hash, PILOTS[bucket_of(hash)])]);
    let place = slot & ((1 << PLACE_BITS) - 1);
    if slot ^ place == tag_of(hash) && is_at(place as usize, text) { place } else { ABSENT }
}

fn is_at(place: usize, text: &[u8]) -> bool {
    TOKENS[place..].split_first().is_some_and(|(len, token)| usize::from(*len) == text.len() && token.starts_with(text))
}
