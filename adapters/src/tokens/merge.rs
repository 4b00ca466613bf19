//! Byte pair encoding: how many tokens a word is.
//!
//! A word that is no token begins as its bytes; of all neighbours that are a token together, those with the lowest order are merged,
//! the leftmost first, until none are. Words of up to `SHORT_BYTES_MAX` bytes take no heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::table::{ABSENT, order};

/// Longest word whose lowest pair is found by looking at all of them, bytes.
const SHORT_BYTES_MAX: usize = 64;

/// Tokens of a word.
pub fn count(word: &[u8]) -> u64 {
    match word.len() {
        len @ 0..=1 => len as u64,
        _ if order(word) != ABSENT => 1,
        ..=SHORT_BYTES_MAX => short(word),
        _ => long(word),
    }
}

fn short(word: &[u8]) -> u64 {
    // Where the parts begin, the last one followed by the word's end; and the order of each with its right neighbour.
    let mut begins = [0; SHORT_BYTES_MAX + 1];
    let mut orders = [ABSENT; SHORT_BYTES_MAX];
    let mut count = word.len();
    for (at, begin) in begins[..=count].iter_mut().enumerate() {
        *begin = at as u8;
    }
    for (of, pair) in orders.iter_mut().zip(word.windows(2)) {
        *of = order(pair);
    }
    loop {
        let lowest = orders[..count].iter().enumerate().min_by_key(|(_, order)| **order);
        let Some((lowest, _)) = lowest.filter(|(_, order)| **order != ABSENT) else { return count as u64 };
        begins.copy_within(lowest + 2..=count, lowest + 1);
        orders.copy_within(lowest + 1..count, lowest);
        count -= 1;
        let pair = |at: usize| if at + 2 <= count { order(&word[usize::from(begins[at])..usize::from(begins[at + 2])]) } else { ABSENT };
        orders[lowest] = pair(lowest);
        if lowest > 0 {
            orders[lowest - 1] = pair(lowest - 1);
        }
    }
}

/// A part of a long word, at the index where it begins.
#[derive(Clone, Copy)]
struct Part {
    end: u32,
    /// Where the part before it begins.
    before: u32,
    /// Of it and its right neighbour; `ABSENT`, too, once it belongs to the part before.
    order: u32,
}

fn long(word: &[u8]) -> u64 {
    let Ok(len) = u32::try_from(word.len()) else { return word.len() as u64 };
    let mut parts: Vec<Part> = (0..len).map(|begin| Part { end: begin + 1, before: begin.saturating_sub(1), order: ABSENT }).collect();
    // Entries whose part has another order by now are passed over.
    let mut heap = BinaryHeap::with_capacity(word.len());
    let rate = |parts: &mut [Part], heap: &mut BinaryHeap<Reverse<(u32, u32)>>, begin: u32| {
        let middle = parts[begin as usize].end;
        let found = if middle < len { order(&word[begin as usize..parts[middle as usize].end as usize]) } else { ABSENT };
        parts[begin as usize].order = found;
        if found != ABSENT {
            heap.push(Reverse((found, begin)));
        }
    };
    (0..len).for_each(|begin| rate(&mut parts, &mut heap, begin));
    let mut count = u64::from(len);
    while let Some(Reverse((order, begin))) = heap.pop() {
        let part = parts[begin as usize];
        if part.order != order {
            continue;
        }
        let end = parts[part.end as usize].end;
        parts[part.end as usize].order = ABSENT;
        parts[begin as usize].end = end;
        if end < len {
            parts[end as usize].before = begin;
        }
        count -= 1;
        rate(&mut parts, &mut heap, begin);
        if begin > 0 {
            rate(&mut parts, &mut heap, part.before);
        }
    }
    count
}
