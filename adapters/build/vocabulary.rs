//! Lays o200k and the kinds of characters out so that the binary reads them as they lie in its file.

use std::fs;
use std::path::Path;

use regex_syntax::hir::{Class, HirKind};

#[path = "../src/tokens/layout.rs"]
#[allow(dead_code, reason = "the reader's half is not needed here")]
mod layout;
use layout::{BLOCK_CHARS, BLOCKS, BUCKETS, PLACE_BITS, SLOTS, TOKEN_BYTES_MAX, kind};

/// Writes `o200k.pilots`, `o200k.slots`, `o200k.tokens` and `kinds` into `out`.
pub fn lay_out(out: &Path) {
    let vocabulary = tiktoken::encoding::o200k_base();
    let tokens: Vec<Vec<u8>> = (0..vocabulary.vocab_size() as u32).map(|rank| vocabulary.decode(&[rank])).collect();
    // Nothing stands at place 0: it is what an empty slot names.
    let mut text = vec![0];
    let mut places = Vec::with_capacity(tokens.len());
    for token in &tokens {
        assert!((1..=TOKEN_BYTES_MAX).contains(&token.len()), "a token of {} bytes", token.len());
        places.push(text.len() as u32);
        text.push(token.len() as u8);
        text.extend_from_slice(token);
    }
    assert!(text.len() < 1 << PLACE_BITS);
    let (pilots, slots) = placed(&tokens, &places);
    write(out, "o200k.pilots", &pilots);
    write(out, "o200k.slots", &slots.iter().flat_map(|slot| slot.to_le_bytes()).collect::<Vec<u8>>());
    write(out, "o200k.tokens", &text);
    write(out, "kinds", &kinds());
}

/// A pilot for every bucket, so that no two tokens meet in a slot: the fullest buckets choose first.
fn placed(tokens: &[Vec<u8>], places: &[u32]) -> (Vec<u8>, Vec<u32>) {
    let mut buckets: Vec<Vec<(u64, u32)>> = vec![Vec::new(); BUCKETS];
    for (token, place) in tokens.iter().zip(places) {
        let hash = layout::hash(token);
        buckets[layout::bucket_of(hash)].push((hash, *place));
    }
    let mut order: Vec<usize> = (0..BUCKETS).collect();
    order.sort_by_key(|bucket| std::cmp::Reverse(buckets[*bucket].len()));
    let (mut pilots, mut slots) = (vec![0; BUCKETS], vec![0; SLOTS]);
    for at in order {
        let bucket = &buckets[at];
        let pilot = (0..=u8::MAX).find(|pilot| {
            let mut wanted: Vec<usize> = bucket.iter().map(|(hash, _)| layout::slot_of(*hash, *pilot)).collect();
            wanted.sort_unstable();
            wanted.windows(2).all(|pair| pair[0] != pair[1]) && wanted.iter().all(|slot| slots[*slot] == 0)
        });
        pilots[at] = pilot.expect("with a quarter of the slots empty one of 256 pilots fits");
        for (hash, place) in bucket {
            slots[layout::slot_of(*hash, pilots[at])] = layout::tag_of(*hash) | place;
        }
    }
    (pilots, slots)
}

/// For each block of characters which row of kinds is its own, then the rows. The first is ASCII's.
fn kinds() -> Vec<u8> {
    let mut kinds = vec![0; BLOCKS * BLOCK_CHARS];
    for (class, bits) in [
        (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", kind::UPPER),
        (r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", kind::LOWER),
        (r"\p{L}", kind::LETTER),
        (r"\p{N}", kind::NUMBER),
        (r"\s", kind::SPACE),
    ] {
        let parsed = regex_syntax::parse(class).expect("these are classes that Unicode knows");
        let HirKind::Class(Class::Unicode(ranges)) = parsed.into_kind() else { panic!("{class} is no class of characters") };
        for range in ranges.iter() {
            kinds[range.start() as usize..=range.end() as usize].iter_mut().for_each(|kind| *kind |= bits);
        }
    }
    let mut rows: Vec<&[u8]> = Vec::new();
    let mut laid = Vec::with_capacity(BLOCKS);
    for block in kinds.chunks(BLOCK_CHARS) {
        let row = rows.iter().position(|row| *row == block).unwrap_or_else(|| {
            rows.push(block);
            rows.len() - 1
        });
        laid.push(u8::try_from(row).expect("Unicode has fewer than 256 different blocks"));
    }
    laid.extend(rows.concat());
    laid
}

fn write(out: &Path, name: &str, bytes: &[u8]) {
    fs::write(out.join(name), bytes).expect("cargo's output folder can be written");
}
