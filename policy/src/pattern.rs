//! Patterns of model names: literal text with any number of `*`.

/// A name or a pattern. `*` stands for any text, `/` and the empty text included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// Bytes that are not `*`: the more, the more exactly it says what it means.
    literal_bytes: usize,
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.into(), literal_bytes: text.bytes().filter(|&byte| byte != b'*').count() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Orders patterns: the most literal one is asked first.
    pub fn literal_bytes(&self) -> usize {
        self.literal_bytes
    }

    /// Matches without allocating, in at most `name.len() × text.len()` steps.
    pub fn matches(&self, name: &str) -> bool {
        wildcard(self.text.as_bytes(), name.as_bytes())
    }

    /// What the one `*` of this pattern stands for in `name`; the whole name where there is not exactly one.
    pub fn captured<'a>(&self, name: &'a str) -> &'a str {
        match self.text.split_once('*') {
            Some((head, tail)) if !tail.contains('*') => name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)).unwrap_or(name),
            _ => name,
        }
    }
}

/// Greedy match with one point to go back to: a later `*` never needs an earlier one again.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some(&byte) if byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match &mut back {
                Some((after_star, from)) => {
                    *from += 1;
                    (p, n) = (*after_star, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("gpt-4*", "gpt-4.1", true),
            ("gpt-4*", "gpt-4", true),
            ("gpt-4*", "gpt-5", false),
            ("openai/*", "openai/a/b", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**", "a", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_name_costs_no_more_than_the_product_of_the_lengths() {
        assert!(!Pattern::new(&format!("{}c", "a*".repeat(60))).matches(&"ab".repeat(50_000)));
    }

    #[test]
    fn one_star_captures_what_it_stands_for() {
        assert_eq!(Pattern::new("gpt-4*").captured("gpt-4.1-mini"), ".1-mini");
        assert_eq!(Pattern::new("*").captured("x"), "x");
        assert_eq!(Pattern::new("a*b*").captured("axbx"), "axbx");
    }
}
