//! Whether a key looks as if somebody had thought it up.
//!
//! A hash hides a key only where the key cannot be guessed, so a weak one is warned of. What is said here never quotes the key.

/// Shorter keys hold fewer than 128 random bits, whatever they are made of: 22 of 64 letters hold 132.
const CHARACTERS_MIN: usize = 22;
/// By the frequencies of its characters; 32 random hex digits come to about 110.
const ENTROPY_BITS_MIN: f64 = 64.0;
/// `12345`, `abcde`, `aaaaa`.
const RUN_MAX: usize = 4;
/// Words that people put into keys; random text holds one of them once in a million keys or less.
const WORDS: &[&str] =
    &["secret", "passw", "admin", "changeme", "letmein", "qwerty", "example", "ringway", "default", "mobile", "prod-", "test-", "-key"];

/// Why a key is weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    Short,
    Repetitive,
    Chosen,
}

impl Weakness {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Weakness::Short => "it is shorter than 22 characters",
            Weakness::Repetitive => "it repeats few characters",
            Weakness::Chosen => "it looks chosen, not drawn",
        }
    }
}

/// What is weak about `key`, if anything.
pub(super) fn weakness(key: &str) -> Option<Weakness> {
    let drawn = key.strip_prefix("rw-").unwrap_or(key);
    if drawn.len() < CHARACTERS_MIN {
        return Some(Weakness::Short);
    }
    if entropy_bits(drawn.as_bytes()) < ENTROPY_BITS_MIN {
        return Some(Weakness::Repetitive);
    }
    let lower = drawn.to_ascii_lowercase();
    let spelled = lower.contains(['-', '_']) && !lower.bytes().any(|byte| byte.is_ascii_digit());
    let chosen = spelled || longest_run(lower.as_bytes()) > RUN_MAX || WORDS.iter().any(|word| lower.contains(word));
    chosen.then_some(Weakness::Chosen)
}

/// Shannon's entropy of the characters' frequencies, times their count.
fn entropy_bits(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = text.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|&count| f64::from(count) * (total / f64::from(count)).log2()).sum()
}

/// The longest stretch in which each byte is the one before, or its neighbour in the same direction.
fn longest_run(text: &[u8]) -> usize {
    let longest = |step: i16| {
        let (mut longest, mut run) = (1, 1);
        for pair in text.windows(2) {
            run = if i16::from(pair[1]) - i16::from(pair[0]) == step { run + 1 } else { 1 };
            longest = longest.max(run);
        }
        longest
    };
    [-1, 0, 1].into_iter().map(longest).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_think_up_is_weak() {
        for (key, expected) in [
            ("rw-0123456789abcdef", Weakness::Short),
            ("correcthorsebattery", Weakness::Short),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Repetitive),
            ("abababababababababababababababababab", Weakness::Repetitive),
            ("rw-0123456789abcdef0123456789abcdef", Weakness::Chosen),
            ("my_super_secret_key_for_the_mobile_app", Weakness::Chosen),
            ("correct-horse-battery-staple", Weakness::Chosen),
            ("Zk3Secret9Qx7Lp2Vb8Nm4Tr6", Weakness::Chosen),
        ] {
            assert_eq!(weakness(key), Some(expected), "{key}");
        }
    }

    /// Ten thousand keys as `ringway key new` draws them, from a fixed seed.
    #[test]
    fn drawn_keys_are_not_weak() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let weak = (0..10_000).filter(|_| weakness(&format!("rw-{:016x}{:016x}", next(), next())).is_some()).count();
        assert!(weak <= 10, "{weak} of 10000");
    }
}
