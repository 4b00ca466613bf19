//! Sets of field names. Most names that are looked for are not in the set, and are told by length and first letter.

/// At most 32 bytes each, in lower case.
pub(crate) struct Names {
    names: &'static [&'static str],
    /// Entry N has the bits of the letters with which names of N bytes begin.
    first_letters: [u32; LENGTHS],
}

const LENGTHS: usize = 33;

impl Names {
    pub(crate) const fn new(names: &'static [&'static str]) -> Names {
        let mut first_letters = [0; LENGTHS];
        let mut index = 0;
        while index < names.len() {
            let name = names[index].as_bytes();
            first_letters[name.len()] |= letter_bit(name[0]);
            index += 1;
        }
        Names { names, first_letters }
    }

    /// Whether `name` is one of them, in whatever case.
    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else { return false };
        self.first_letters.get(name.len()).is_some_and(|letters| letters & letter_bit(*first) != 0) && self.is_listed(name)
    }

    fn is_listed(&self, name: &[u8]) -> bool {
        self.names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// Beginnings of field names, in lower case.
pub(crate) struct Prefixes {
    prefixes: &'static [&'static str],
    first_letters: u32,
}

impl Prefixes {
    pub(crate) const fn new(prefixes: &'static [&'static str]) -> Prefixes {
        let mut first_letters = 0;
        let mut index = 0;
        while index < prefixes.len() {
            first_letters |= letter_bit(prefixes[index].as_bytes()[0]);
            index += 1;
        }
        Prefixes { prefixes, first_letters }
    }

    /// Whether `name` begins with one of them, in whatever case.
    #[inline]
    pub(crate) fn begin(&self, name: &[u8]) -> bool {
        let begins = |prefix: &&str| name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes());
        name.first().is_some_and(|first| self.first_letters & letter_bit(*first) != 0) && self.prefixes.iter().any(begins)
    }
}

/// The gateway's own fields, which neither side may send to the other.
#[inline]
pub(crate) fn is_ours(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-ringway-";
    name.len() > PREFIX.len() && name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX)
}

/// One bit for each letter, whatever its case; bytes that are no letters share some.
const fn letter_bit(byte: u8) -> u32 {
    1 << (byte & 0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_a_prefix_in_any_case() {
        const PREFIXES: Prefixes = Prefixes::new(&["x-ratelimit", "openai-"]);
        for (name, begins) in
            [("X-RateLimit-Reset", true), ("x-ratelimit", true), ("x-ratelimi", false), ("openai-x", true), ("open", false), ("", false)]
        {
            assert_eq!(PREFIXES.begin(name.as_bytes()), begins, "{name}");
        }
    }

    #[test]
    fn a_name_is_in_its_set_in_any_case_and_no_other_is() {
        const SET: Names = Names::new(&["host", "date", "x-api-key", "strict-transport-security"]);
        for name in SET.names {
            assert!(SET.contains(name.as_bytes()) && SET.contains(name.to_uppercase().as_bytes()), "{name}");
        }
        for name in ["", "hos", "hose", "data", "x-api-kez", "user-agent", &"h".repeat(100)] {
            assert!(!SET.contains(name.as_bytes()), "{name}");
        }
    }
}
