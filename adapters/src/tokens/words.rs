//! Splits a text where no token ever reaches across, as o200k's pattern does.
//!
//! The pattern (github.com/openai/tiktoken, tiktoken_ext/openai_public.py, read 2026-11-20) has seven alternatives, the first that
//! fits is taken: a word that ends in small letters, a word of capitals (each with at most one character before it that is neither a
//! letter, a number nor an end of line, and with an English contraction after it), up to three digits, signs with a space before and
//! ends of lines and slashes after them, space up to its last end of line, space but for the character before what follows, space.

use super::layout::kind::{LETTER, LOWER, NUMBER, SPACE, UPPER};
use super::layout::{BLOCK_CHARS, BLOCKS};

static KINDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kinds"));

/// What stands at the end of the text: it goes on no run.
const END: Char = Char { kind: LETTER, len: 0 };

#[derive(Clone, Copy)]
struct Char {
    kind: u8,
    len: usize,
}

impl Char {
    fn is(self, kinds: u8) -> bool {
        self.kind & kinds != 0
    }

    /// Neither a letter, a number nor white space.
    fn is_sign(self) -> bool {
        !self.is(LETTER | NUMBER | SPACE)
    }
}

/// The words of a text, in order; together they are the text.
pub fn words(text: &str) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        at = end_of_word(text, begin);
        (at > begin).then(|| &text.as_bytes()[begin..at])
    })
}

#[inline]
fn char_at(text: &str, at: usize) -> Char {
    match text.as_bytes().get(at) {
        None => END,
        // The first row of kinds is that of the first block.
        Some(byte @ ..0x80) => Char { kind: KINDS[BLOCKS + usize::from(*byte)], len: 1 },
        Some(_) => text[at..].chars().next().map_or(END, |char| Char { kind: kind_of(char), len: char.len_utf8() }),
    }
}

fn kind_of(char: char) -> u8 {
    let code = char as usize;
    KINDS[BLOCKS + usize::from(KINDS[code / BLOCK_CHARS]) * BLOCK_CHARS + code % BLOCK_CHARS]
}

/// Where the run of characters of `kinds` ends that begins at `at`.
fn end_of_run(text: &str, mut at: usize, kinds: u8) -> usize {
    loop {
        let char = char_at(text, at);
        if !char.is(kinds) || char.len == 0 {
            return at;
        }
        at += char.len;
    }
}

fn end_of_word(text: &str, at: usize) -> usize {
    let first = char_at(text, at);
    if first.len == 0 {
        return at;
    }
    let leads = !first.is(LETTER | NUMBER) && !is_line_end(text.as_bytes()[at]);
    let after_lead = leads.then_some(at + first.len);
    let begins = [after_lead, first.is(UPPER | LOWER).then_some(at)];
    let word = begins.iter().flatten().find_map(|begin| small_word(text, *begin));
    if let Some(end) = word.or_else(|| begins.iter().flatten().find_map(|begin| capital_word(text, *begin))) {
        return end + contraction_len(&text.as_bytes()[end..]);
    }
    if first.is(NUMBER) {
        return (0..3).fold(at, |at, _| if char_at(text, at).is(NUMBER) { at + char_at(text, at).len } else { at });
    }
    let signs = if text.as_bytes()[at] == b' ' { at + 1 } else { at };
    if char_at(text, signs).is_sign() {
        return end_of_signs(text, signs);
    }
    end_of_space(text, at)
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`: where it ends if it fits at `begin`.
fn small_word(text: &str, begin: usize) -> Option<usize> {
    let mut at = begin;
    // After the last character so far that may stand in both halves: where the second is the shortest.
    let mut end = None;
    loop {
        let char = char_at(text, at);
        match (char.is(UPPER), char.is(LOWER)) {
            (false, true) => return Some(end_of_run(text, at, LOWER)),
            (false, false) => return end,
            (true, is_both) => {
                at += char.len;
                end = if is_both { Some(at) } else { end };
            }
        }
    }
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`, where no small word stands.
fn capital_word(text: &str, begin: usize) -> Option<usize> {
    let end = end_of_run(text, begin, UPPER);
    (end > begin).then_some(end)
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`. The long s is an s without case.
fn contraction_len(text: &[u8]) -> usize {
    let [b'\'', rest @ ..] = text else { return 0 };
    match rest {
        [b's' | b'S' | b't' | b'T' | b'm' | b'M' | b'd' | b'D', ..] => 2,
        [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] | [0xc5, 0xbf, ..] => 3,
        _ => 0,
    }
}

/// `[^\s\p{L}\p{N}]+[\r\n/]*`
fn end_of_signs(text: &str, mut at: usize) -> usize {
    loop {
        let char = char_at(text, at);
        if !char.is_sign() {
            break;
        }
        at += char.len;
    }
    let tail = text.as_bytes()[at..].iter().take_while(|byte| is_line_end(**byte) || **byte == b'/').count();
    at + tail
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`
fn end_of_space(text: &str, begin: usize) -> usize {
    let end = end_of_run(text, begin, SPACE);
    let space = &text[begin..end];
    if let Some(last) = space.bytes().rposition(is_line_end) {
        return begin + last + 1;
    }
    let last = space.char_indices().next_back().map_or(0, |(last, _)| last);
    if end == text.len() || last == 0 { end } else { begin + last }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
