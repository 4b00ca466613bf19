//! Warnings of keys that are weaker than they look.

use super::{Ground, Problem};

/// Most warnings of one kind; the last of them says that there are more.
const WARNINGS_MAX: usize = 100;

/// A key in the file that can be guessed.
pub(super) fn weak_key(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    let weak = ground.config.virtual_keys.iter().filter_map(|(name, key)| {
        let (weakness, place) = (key.weakness?, key.key.as_ref()?);
        let message = format!("the key of {:?} can be guessed: {}; draw one with: ringway key new", name.value, weakness.reason());
        Some(place.problem(message))
    });
    let mut weak: Vec<Problem> = weak.take(WARNINGS_MAX + 1).collect();
    if weak.len() > WARNINGS_MAX
        && let Some(last) = weak.last_mut()
    {
        last.message = "and further keys that can be guessed; draw them with: ringway key new".to_owned();
    }
    warnings.append(&mut weak);
}
