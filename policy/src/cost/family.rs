//! The families of rates: what a provider charges for, and what is charged where a family has no rate of its own.
//!
//! | what was used | without a rate of its own it costs |
//! |---|---|
//! | cached read | input |
//! | cached write | input |
//! | cached write for an hour | cached write, else input |
//! | cached write for twelve hours | for an hour, else cached write, else input |
//! | audio tokens, image tokens of the prompt | input; image tokens nothing where its images are charged for by count |
//! | reasoning, audio tokens, image tokens of the answer | output; image tokens nothing where its images are charged for by count |
//! | web search (low, medium, high) | the next dearer size, else the next cheaper; else nothing beside its tokens |
//! | citations, maps queries, file searches, code sessions | nothing beside their tokens |
//! | images, seconds, characters, pages | nothing beside their tokens; unpriced where there are no tokens either |
//! | requests, queries | nothing |
//! | input, output | nothing where something else that is priced was counted (an image, a second, a query …); else unpriced |
//! | a tier above so many tokens | the next lower tier |
//! | a tariff (batch, flex, priority) in a tier | the standard rate of that tier, before the tariff's rate of a lower tier |
//! | a tariff | the standard rate |
//! | off-peak hours | the rate of other hours; only the standard tariff has off-peak hours |

/// What a rate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    Input,
    CachedRead,
    CachedWrite,
    CachedWrite1h,
    CachedWrite12h,
    AudioInput,
    ImageInput,
    Output,
    Reasoning,
    AudioOutput,
    ImageOutput,
    Citation,
    Image,
    ImageRead,
    Second,
    Character,
    Page,
    Request,
    Query,
    SearchLow,
    SearchMedium,
    SearchHigh,
    MapsQuery,
    FileSearch,
    CodeSession,
}

/// Where a family belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Tokens of the prompt.
    Input,
    /// Tokens of the answer.
    Output,
    /// Counted in something else than tokens of prompt and answer.
    Unit,
}

/// Family, its name in the catalog and the configuration, its side, what is charged in its place, what it is.
type Row = (Family, &'static str, Side, &'static [Family], &'static str);

use Family as F;

/// One row a family, in the order of the enum.
pub const FAMILIES: &[Row] = &[
    (F::Input, "input", Side::Input, &[], "Tokens of the prompt."),
    (F::CachedRead, "cached_read", Side::Input, &[F::Input], "Tokens of the prompt that a cache held."),
    (F::CachedWrite, "cached_write", Side::Input, &[F::Input], "Tokens of the prompt that a cache took up, for minutes."),
    (F::CachedWrite1h, "cached_write_1h", Side::Input, &[F::CachedWrite, F::Input], "The same, for an hour."),
    (F::CachedWrite12h, "cached_write_12h", Side::Input, &[F::CachedWrite1h, F::CachedWrite, F::Input], "The same, for twelve hours."),
    (F::AudioInput, "audio_input", Side::Input, &[F::Input], "Audio tokens of the prompt."),
    (F::ImageInput, "image_input", Side::Input, &[F::Input], "Image tokens of the prompt."),
    (F::Output, "output", Side::Output, &[], "Tokens of the answer."),
    (F::Reasoning, "reasoning", Side::Output, &[F::Output], "Reasoning tokens of the answer."),
    (F::AudioOutput, "audio_output", Side::Output, &[F::Output], "Audio tokens of the answer."),
    (F::ImageOutput, "image_output", Side::Output, &[F::Output], "Image tokens of the answer."),
    (F::Citation, "citation", Side::Unit, &[], "Tokens of pages that an answer cites."),
    (F::Image, "image", Side::Unit, &[], "One image made."),
    (F::ImageRead, "image_read", Side::Unit, &[], "One image of the prompt."),
    (F::Second, "second", Side::Unit, &[], "One second of audio."),
    (F::Character, "character", Side::Unit, &[], "One character of text to speak."),
    (F::Page, "page", Side::Unit, &[], "One page of a document."),
    (F::Request, "request", Side::Unit, &[], "One request."),
    (F::Query, "query", Side::Unit, &[], "One query of a search or a ranking."),
    (F::SearchLow, "search_low", Side::Unit, &[F::SearchMedium, F::SearchHigh], "One web search with little context."),
    (F::SearchMedium, "search", Side::Unit, &[F::SearchHigh, F::SearchLow], "One web search."),
    (F::SearchHigh, "search_high", Side::Unit, &[F::SearchMedium, F::SearchLow], "One web search with much context."),
    (F::MapsQuery, "maps_query", Side::Unit, &[], "One query of a map."),
    (F::FileSearch, "file_search", Side::Unit, &[], "One search in files."),
    (F::CodeSession, "code_session", Side::Unit, &[], "One session of a code interpreter."),
];

pub const COUNT: usize = FAMILIES.len();

impl Family {
    /// Its name in the catalog and the configuration.
    pub fn name(self) -> &'static str {
        FAMILIES[self as usize].1
    }

    pub fn from_name(name: &str) -> Option<Family> {
        FAMILIES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub fn side(self) -> Side {
        FAMILIES[self as usize].2
    }

    /// Whose rates are charged in its place, first one that there is.
    pub(super) fn instead(self) -> &'static [Family] {
        FAMILIES[self as usize].3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_a_family_in_the_order_of_the_enum() {
        for (index, row) in FAMILIES.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            assert_eq!(Family::from_name(row.1), Some(row.0));
            assert!(row.3.iter().all(|other| other.side() == row.2 && *other != row.0), "{} stays on its side", row.1);
        }
        assert_eq!(Family::CodeSession as usize + 1, COUNT);
        assert_eq!(Family::from_name("nothing"), None);
    }
}
