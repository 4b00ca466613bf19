//! What one answer used and how it was billed, the same for every dialect.

use serde_json::Value;

use crate::ir::Extra;

/// What one answer used, by the kinds that prices know.
///
/// `input` holds all prompt tokens: those read from and written to a cache, of images and of audio are part of it. `output` holds
/// all generated tokens: reasoning, audio and images are part of it. `cached_write` holds `cached_write_1h`. A dialect that counts
/// them apart (Anthropic's `input_tokens`) is added up when decoded and taken apart again when encoded, so that no token is
/// counted twice. Figures are the provider's own; some report more cached tokens than input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached_read: u64,
    /// All that was written, however long it is kept.
    pub cached_write: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    /// Written to be kept for an hour.
    pub cached_write_1h: u64,
    /// Tokens of images in the prompt.
    pub image_input: u64,
    /// Tokens of generated images.
    pub image_output: u64,
    /// Whole images that were generated.
    pub images: u64,
    /// Searches that the provider ran on the web; where it bills sources instead, those.
    pub searches: u64,
    /// Audio that is billed by its length.
    pub audio_ms: u64,
    /// Text that is billed by its length, in Unicode characters (speech).
    pub characters: u64,
}

impl Usage {
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// How a provider processed a request, which decides its rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tariff {
    #[default]
    Standard,
    Batch,
    Flex,
    Priority,
}

/// What providers call their tiers in answers. `auto` only repeats the request and says nothing.
// github.com/openai/openai-python, src/openai/types/chat/chat_completion.py; recorded answers of api.anthropic.com;
// console.groq.com/docs/service-tiers; read 2026-11-20
const TIERS: &[(&[u8], Tariff)] = &[
    (b"default", Tariff::Standard),
    (b"standard", Tariff::Standard),
    (b"on_demand", Tariff::Standard),
    (b"scale", Tariff::Standard),
    (b"batch", Tariff::Batch),
    (b"flex", Tariff::Flex),
    (b"priority", Tariff::Priority),
    (b"performance", Tariff::Priority),
    // cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse, read 2026-11-20
    (b"ON_DEMAND", Tariff::Standard),
    (b"PROVISIONED_THROUGHPUT", Tariff::Standard),
    (b"ON_DEMAND_FLEX", Tariff::Flex),
    (b"ON_DEMAND_PRIORITY", Tariff::Priority),
];

impl Tariff {
    /// Their names in records, in the catalog and in the configuration.
    pub const WORDS: &[(&str, Tariff)] =
        &[("standard", Tariff::Standard), ("batch", Tariff::Batch), ("flex", Tariff::Flex), ("priority", Tariff::Priority)];

    pub fn name(self) -> &'static str {
        Tariff::WORDS[self as usize].0
    }

    /// The tier that a provider's word names.
    pub fn of_word(word: &[u8]) -> Option<Tariff> {
        TIERS.iter().find(|row| row.0 == word).map(|row| row.1)
    }

    /// The tier among an event's private members, or among those of a group of them.
    pub fn of_extra(extra: &Extra) -> Option<Tariff> {
        let of = |value: &Value| Tariff::of_word(value.as_str()?.as_bytes());
        let direct = SERVICE_TIERS.iter().find_map(|name| extra.fields.get(*name).and_then(of));
        direct.or_else(|| extra.fields.values().find_map(|group| of(group.as_object()?.get(SERVICE_TIER)?)))
    }
}

/// The member that names the tier, in most dialects.
pub(crate) const SERVICE_TIER: &str = "service_tier";
/// The members that name it in any.
const SERVICE_TIERS: [&str; 3] = [SERVICE_TIER, "serviceTier", "trafficType"];

/// Where a usage figure comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provenance {
    /// The provider reported it.
    Provider,
    /// Counted from what was delivered: the stream was cut, the client left, or the provider reports none.
    #[default]
    Delivered,
}

impl Provenance {
    pub fn name(self) -> &'static str {
        match self {
            Provenance::Provider => "provider",
            Provenance::Delivered => "delivered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_read_from_members_and_groups_of_them() {
        let extra = |fields: Value| Extra { dialect: None, fields: fields.as_object().cloned().unwrap_or_default() };
        let of = |fields| Tariff::of_extra(&extra(fields));
        assert_eq!(of(serde_json::json!({"id": "x", "service_tier": "flex"})), Some(Tariff::Flex));
        assert_eq!(of(serde_json::json!({"chunk": {"service_tier": "priority"}})), Some(Tariff::Priority));
        assert_eq!(of(serde_json::json!({"service_tier": "auto"})), None);
        assert_eq!(of(serde_json::json!({"service_tier": null})), None);
        assert_eq!(Tariff::of_word(b"batch"), Some(Tariff::Batch));
    }
}
