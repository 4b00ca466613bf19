//! Why a candidate ended: `finishReason` against the hub's words.
//!
//! ai.google.dev/api/generate-content#FinishReason and the same of Vertex AI, read 2026-11-20. With `enum-encoding=int` Vertex
//! writes numbers.

use crate::event::Finish;

/// A word, its number where it has one that all versions agree on, and what it means.
const REASONS: &[(&str, u64, Finish)] = &[
    ("STOP", 1, Finish::Stop),
    ("MAX_TOKENS", 2, Finish::Length),
    ("SAFETY", 3, Finish::ContentFilter),
    ("RECITATION", 4, Finish::ContentFilter),
    ("BLOCKLIST", 6, Finish::ContentFilter),
    ("PROHIBITED_CONTENT", 7, Finish::ContentFilter),
    ("SPII", 8, Finish::ContentFilter),
    ("MODEL_ARMOR", 10, Finish::ContentFilter),
    ("IMAGE_SAFETY", 11, Finish::ContentFilter),
    ("IMAGE_PROHIBITED_CONTENT", 12, Finish::ContentFilter),
    ("IMAGE_RECITATION", 13, Finish::ContentFilter),
];

/// The reason that a word says; `None` for one that says nothing.
pub(super) fn of_word(word: &str) -> Option<Finish> {
    if matches!(word, "" | "FINISH_REASON_UNSPECIFIED") {
        return None;
    }
    Some(REASONS.iter().find(|row| row.0 == word).map_or_else(|| Finish::Other(word.to_owned()), |row| row.2.clone()))
}

pub(super) fn of_number(number: u64) -> Option<Finish> {
    if number == 0 {
        return None;
    }
    Some(REASONS.iter().find(|row| row.1 == number).map_or_else(|| Finish::Other(number.to_string()), |row| row.2.clone()))
}

/// The word for a reason of an answer with a refusal in it, or without one.
pub(super) fn word_with(reason: &Finish, has_refusal: bool) -> &str {
    if has_refusal && *reason == Finish::Stop { "SAFETY" } else { word(reason) }
}

/// The word for a reason. Calls end with `STOP` here.
pub(super) fn word(reason: &Finish) -> &str {
    match reason {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Pause => "STOP",
        Finish::Length | Finish::ContextWindow => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
        // A word of another dialect would be no value of the enum; clients fall back on this one.
        Finish::Other(word) if word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && !word.is_empty() => word,
        Finish::Other(_) => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_say_the_same() {
        for (text, number, reason) in REASONS {
            assert_eq!((of_word(text).as_ref(), of_number(*number).as_ref()), (Some(reason), Some(reason)));
        }
        assert_eq!((of_word("FINISH_REASON_UNSPECIFIED"), of_number(0)), (None, None));
        assert_eq!(of_word("MALFORMED_FUNCTION_CALL"), Some(Finish::Other("MALFORMED_FUNCTION_CALL".into())));
    }

    #[test]
    fn other_dialects_words_are_other() {
        assert_eq!(word(&Finish::Other("LANGUAGE".into())), "LANGUAGE");
        for text in ["", "weird", "4"] {
            assert_eq!(word(&Finish::Other(text.into())), "OTHER");
        }
    }
}
