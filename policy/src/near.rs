//! Near names: what somebody who wrote one name may have meant.

/// Most names that a message suggests.
const NEAR_MAX: usize = 3;
/// Longer names are not compared: the cost is quadratic and the asked name may come from a network.
const NAME_BYTES_MAX: usize = 96;

/// The nearest of `known`, best first, at most `NEAR_MAX`; empty where none is near.
pub(crate) fn near<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if asked.len() > NAME_BYTES_MAX {
        return Vec::new();
    }
    let asked_lower = asked.to_ascii_lowercase();
    let far = (asked.len() / 3).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter(|name| name.len() <= NAME_BYTES_MAX)
        .filter_map(|name| {
            let steps = distance(asked_lower.as_bytes(), name.to_ascii_lowercase().as_bytes());
            (steps <= far).then_some((steps, name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(NEAR_MAX);
    found.into_iter().map(|(_, name)| name).collect()
}

/// `; did you mean "x" or "y"?` without its question mark, or nothing.
pub(crate) fn suggestion<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = near(asked, known).into_iter().map(|name| format!("{name:?}")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}", names.join(" or ")) }
}

/// Edits between two names, a swap of neighbours counted as one (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let width = b.len() + 1;
    let mut before_last = vec![0usize; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0usize; width];
    for (i, &left) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, &right) in b.iter().enumerate() {
            let mut steps = (last[j] + usize::from(left != right)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left == b[j - 1] && a[i - 1] == right {
                steps = steps.min(before_last[j - 1] + 1);
            }
            row[j + 1] = steps;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
        let known = ["providers", "routes", "virtual_keys", "teams"];
        assert_eq!(near("provdiers", known), ["providers"]);
        assert_eq!(near("Route", known), ["routes"]);
        assert_eq!(near("virtualkeys", known), ["virtual_keys"]);
        assert!(near("zzz", known).is_empty());
        assert!(near("", known).is_empty());
        assert!(near(&"x".repeat(10_000), known).is_empty());
    }

    #[test]
    fn the_nearest_stands_first() {
        assert_eq!(near("gpt-4o", ["gpt-4.1", "gpt-4", "gpt-4o-mini"]), ["gpt-4", "gpt-4.1"]);
        assert_eq!(suggestion("rout", ["routes", "root"]), "; did you mean \"root\"");
    }
}
