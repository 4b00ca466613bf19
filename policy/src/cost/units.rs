//! All that is ever charged for, counted: an answer's usage, and what no dialect reports yet.

use ringway_adapters::usage::Usage;

use super::Family;
use super::family::COUNT;

/// Counts of one request. Tokens of a kind are part of `input` or `output`; where the kinds are more than the whole, those
/// that are charged first (in the order of the families) keep theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    pub input: u64,
    pub cached_read: u64,
    /// All tokens written to a cache; those that stay longer are part of it.
    pub cached_write: u64,
    pub cached_write_1h: u64,
    pub cached_write_12h: u64,
    pub audio_input: u64,
    pub image_input: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio_output: u64,
    pub image_output: u64,
    pub citations: u64,
    /// Made.
    pub images: u64,
    pub images_read: u64,
    pub audio_ms: u64,
    pub characters: u64,
    pub pages: u64,
    pub requests: u64,
    pub queries: u64,
    pub searches_low: u64,
    pub searches_medium: u64,
    pub searches_high: u64,
    pub maps_queries: u64,
    pub file_searches: u64,
    pub code_sessions: u64,
}

impl Units {
    /// What an answer reports. It is one request, and one query where queries are charged for; searches are of middle size.
    pub fn of(usage: &Usage) -> Units {
        Units {
            input: usage.input,
            cached_read: usage.cached_read,
            cached_write: usage.cached_write,
            cached_write_1h: usage.cached_write_1h,
            audio_input: usage.audio_input,
            image_input: usage.image_input,
            output: usage.output,
            reasoning: usage.reasoning,
            audio_output: usage.audio_output,
            image_output: usage.image_output,
            images: usage.images,
            audio_ms: usage.audio_ms,
            characters: usage.characters,
            requests: 1,
            queries: 1,
            searches_medium: usage.searches,
            ..Units::default()
        }
    }

    /// Thousandths of each family, by its place in the enum.
    pub(super) fn quantities(&self) -> [u128; COUNT] {
        let mut quantities = [0u128; COUNT];
        let mut set = |family: Family, thousandths: u128| quantities[family as usize] = thousandths;
        let mut share = |rest: &mut u64, family: Family, count: u64| {
            let count = count.min(*rest);
            *rest -= count;
            set(family, u128::from(count) * super::THOUSAND);
        };
        let mut prompt = self.input;
        share(&mut prompt, Family::CachedRead, self.cached_read);
        let mut written = self.cached_write.max(self.cached_write_1h.saturating_add(self.cached_write_12h)).min(prompt);
        prompt -= written;
        share(&mut written, Family::CachedWrite12h, self.cached_write_12h);
        share(&mut written, Family::CachedWrite1h, self.cached_write_1h);
        share(&mut written, Family::CachedWrite, u64::MAX);
        share(&mut prompt, Family::AudioInput, self.audio_input);
        share(&mut prompt, Family::ImageInput, self.image_input);
        share(&mut prompt, Family::Input, u64::MAX);
        let mut answer = self.output;
        share(&mut answer, Family::Reasoning, self.reasoning);
        share(&mut answer, Family::AudioOutput, self.audio_output);
        share(&mut answer, Family::ImageOutput, self.image_output);
        share(&mut answer, Family::Output, u64::MAX);
        for (family, count) in [
            (Family::Citation, self.citations),
            (Family::Image, self.images),
            (Family::ImageRead, self.images_read),
            (Family::Character, self.characters),
            (Family::Page, self.pages),
            (Family::Request, self.requests),
            (Family::Query, self.queries),
            (Family::SearchLow, self.searches_low),
            (Family::SearchMedium, self.searches_medium),
            (Family::SearchHigh, self.searches_high),
            (Family::MapsQuery, self.maps_queries),
            (Family::FileSearch, self.file_searches),
            (Family::CodeSession, self.code_sessions),
        ] {
            set(family, u128::from(count) * super::THOUSAND);
        }
        set(Family::Second, u128::from(self.audio_ms));
        quantities
    }

    /// A price without a rate for this family says nothing: it is what was asked for, and no tokens stand for it.
    pub(super) fn must_have(&self, family: Family) -> bool {
        let is_the_work = matches!(family, Family::Image | Family::Second | Family::Character | Family::Page);
        is_the_work && self.input == 0 && self.output == 0
    }
}
