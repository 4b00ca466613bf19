//! Looks at strings some bytes at a time, inlined: most are too short for a call of `memchr` to pay.

use memchr::memchr2;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// Bytes that are looked at before `memchr2`, which takes 32 at a time but costs a call, is worth it.
const SHORT_BYTES: usize = 64;

/// Where the first quote or backslash stands.
#[inline]
pub(super) fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for block in bytes.as_chunks().0.iter().take(SHORT_BYTES / 16) {
        let marks = marks(block);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize);
        }
        at += 16;
    }
    memchr2(b'"', b'\\', &bytes[at..]).map(|found| at + found)
}

/// Bit N is set where byte N is a quote or a backslash.
#[cfg(target_arch = "x86_64")]
#[inline]
fn marks(block: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
    // SAFETY: 16 bytes are there to read, unaligned loads need no alignment, and every x86_64 has SSE2.
    let block = unsafe { _mm_loadu_si128(block.as_ptr().cast::<__m128i>()) };
    // SAFETY: every x86_64 has SSE2.
    unsafe {
        let quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
        let backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
        _mm_movemask_epi8(_mm_or_si128(quotes, backslashes)).cast_unsigned()
    }
}

/// Bit N is set where byte N is a quote or a backslash.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn marks(block: &[u8; 16]) -> u32 {
    block.iter().enumerate().fold(0, |marks, (index, byte)| marks | u32::from(matches!(byte, b'"' | b'\\')) << index)
}

/// Whether a JSON string cannot hold `text` as it stands.
#[inline]
pub(super) fn needs_escape(text: &[u8]) -> bool {
    let (words, tail) = text.as_chunks();
    let marks = words.iter().fold(0, |marks, word| {
        let word = u64::from_le_bytes(*word);
        marks | below(word, b' ') | below(word ^ (LOW * b'"' as u64), 1) | below(word ^ (LOW * b'\\' as u64), 1)
    });
    marks != 0 || tail.iter().any(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\')
}

/// Marks the bytes that are less than `bound`, at most 128. The lowest mark is exact; a borrow may set others above it.
#[inline]
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(LOW * u64::from(bound)) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for len in 1..80 {
            for at in 0..len {
                for byte in 0..=255u8 {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    let found = matches!(byte, b'"' | b'\\').then_some(at);
                    assert_eq!(quote_or_backslash(&text), found, "{byte} at {at} of {len}");
                    assert_eq!(needs_escape(&text), byte < b' ' || found.is_some(), "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_is_found() {
        let text = b"ab!\"#\\\x01\x80\"]\\";
        for start in 0..text.len() {
            let expected = text[start..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
            assert_eq!(quote_or_backslash(&text[start..]), expected);
        }
        assert_eq!(quote_or_backslash(b""), None);
    }
}
