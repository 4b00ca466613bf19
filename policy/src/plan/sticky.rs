//! Stickiness: by which value of a request its target is chosen, and hashes that all processes agree on.

use std::borrow::Cow;
use std::fmt;

use crate::facts::Facts;

/// What a request is stuck by. A request that has none of it is drawn by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The end user whom the request names.
    User,
    /// `x-ringway-session`.
    Session,
    /// The virtual key's name.
    Key,
    /// A field of the request's head.
    Header(Box<str>),
    /// The value of a tag.
    Tag(Box<str>),
}

impl Sticky {
    /// The words of `hash:` that stand alone.
    pub const WORDS: &[(&str, Sticky)] = &[("user", Sticky::User), ("session", Sticky::Session), ("key", Sticky::Key)];
}

/// As in the file: `user`, `header:x-tenant`.
impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sticky::User => f.write_str("user"),
            Sticky::Session => f.write_str("session"),
            Sticky::Key => f.write_str("key"),
            Sticky::Header(name) => write!(f, "header:{name}"),
            Sticky::Tag(name) => write!(f, "tag:{name}"),
        }
    }
}

/// `None` where the request does not say it.
pub(super) fn value<'a>(sticky: &Sticky, facts: &'a Facts<'_>) -> Option<Cow<'a, str>> {
    match sticky {
        Sticky::User => facts.says.user(),
        Sticky::Session => facts.says.header("x-ringway-session").map(Cow::Borrowed),
        Sticky::Key => facts.says.key().map(Cow::Borrowed),
        Sticky::Header(name) => facts.says.header(name).map(Cow::Borrowed),
        Sticky::Tag(name) => facts.says.tag(name).map(Cow::Borrowed),
    }
    .filter(|value| !value.is_empty())
}

/// FNV-1a over the parts, each ended by a byte that no text holds, and a finish that spreads the last letters.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, part| step(part.bytes().fold(hash, step), 0xff)))
}

/// SplitMix64's finish (Steele, Lea, Flood 2014).
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A uniform word as 0 to 99.
pub(super) fn percent(random: u64) -> u32 {
    ((u128::from(random) * 100) >> 64) as u32
}
