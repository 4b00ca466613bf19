//! Inputs that are nearly right: a sample with a few wounds.

/// What JSON and event streams are made of, and what breaks them.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"\\\"",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"0.1",
    b"\"\"",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"data: ",
    b"data:",
    b"event: ",
    b": comment\n\n",
    b"id: 1\n",
    b"data: [DONE]\n\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"\xf0\x9f\x98\x80",
    b"\0",
    b" ",
    b"\"type\":",
    b"\"index\":0",
    b"\"index\":4294967296",
    b"\"content\":",
    b"\"role\":\"user\"",
    b"\"stream\":true",
    b"\"model\":\"m\"",
    b"\"error\":{\"message\":\"x\"}",
];

/// SplitMix64 (Steele, Lea, Flood 2014): enough for input bytes.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// One of the samples with up to five wounds; every eighth is a heap of words.
    pub fn mutated(&mut self, samples: &[impl AsRef<[u8]>]) -> Vec<u8> {
        if self.below(8) == 0 {
            return (0..self.below(24)).flat_map(|_| WORDS[self.below(WORDS.len())].iter().copied()).collect();
        }
        let mut bytes = samples[self.below(samples.len())].as_ref().to_vec();
        for _ in 0..self.below(6) {
            self.wound(&mut bytes, samples);
        }
        bytes
    }

    fn wound(&mut self, bytes: &mut Vec<u8>, samples: &[impl AsRef<[u8]>]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(40)).min(bytes.len());
        match self.below(8) {
            0 if at < bytes.len() => bytes[at] = self.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = samples[self.below(samples.len())].as_ref();
                let start = self.below(other.len());
                let stop = (start + self.below(80)).min(other.len());
                bytes.splice(at..end, other[start..stop].iter().copied());
            }
            6 => self.replace_value(bytes),
            _ => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }

    /// Puts another value behind one of the colons, so that types are wrong and the JSON is not.
    fn replace_value(&mut self, bytes: &mut Vec<u8>) {
        const VALUES: &[&[u8]] = &[b"null", b"1", b"-1", b"1.5", b"true", b"\"x\"", b"[]", b"{}", b"[1,\"x\",{},null]", b"{\"a\":1}"];
        let colons: Vec<usize> = memchr::memchr_iter(b':', bytes).collect();
        let Some(colon) = colons.get(self.below(colons.len())).copied() else { return };
        let stop = bytes[colon + 1..].iter().position(|byte| b",}]\n".contains(byte)).map_or(bytes.len(), |at| colon + 1 + at);
        let value = VALUES[self.below(VALUES.len())];
        bytes.splice(colon + 1..stop, value.iter().copied());
    }
}
