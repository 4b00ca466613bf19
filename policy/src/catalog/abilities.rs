//! What a model can do, as a closed set.

use std::fmt;

/// What a model can do, as far as somebody wrote it down.
///
/// One that is missing is a weak no, and none at all says nothing: the price list calls hardly anything unsupported, it leaves the
/// flag out. Of its 3,468 models for chat it tells tools of 2,578, vision of 1,468, reasoning of 1,776, a JSON schema of 1,636,
/// documents of 575, audio in the prompt of 100, and of many that have them neither system messages nor streaming: those two
/// say nothing where they are missing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities(pub u32);

impl Abilities {
    pub const VISION: Abilities = Abilities(1);
    pub const TOOLS: Abilities = Abilities(1 << 1);
    pub const PARALLEL_TOOLS: Abilities = Abilities(1 << 2);
    pub const TOOL_CHOICE: Abilities = Abilities(1 << 3);
    pub const JSON_SCHEMA: Abilities = Abilities(1 << 4);
    pub const PROMPT_CACHING: Abilities = Abilities(1 << 5);
    pub const REASONING: Abilities = Abilities(1 << 6);
    pub const AUDIO_INPUT: Abilities = Abilities(1 << 7);
    pub const AUDIO_OUTPUT: Abilities = Abilities(1 << 8);
    pub const PDF: Abilities = Abilities(1 << 9);
    pub const VIDEO: Abilities = Abilities(1 << 10);
    pub const WEB_SEARCH: Abilities = Abilities(1 << 11);
    pub const URL_CONTEXT: Abilities = Abilities(1 << 12);
    pub const SYSTEM_MESSAGES: Abilities = Abilities(1 << 13);
    pub const PREFILL: Abilities = Abilities(1 << 14);
    pub const COMPUTER_USE: Abilities = Abilities(1 << 15);
    pub const STREAMING: Abilities = Abilities(1 << 16);
    pub const IMAGE_EMBEDDING: Abilities = Abilities(1 << 17);

    /// Their names in the catalog and the configuration, by their bits.
    pub const WORDS: &[(&str, Abilities)] = &[
        ("vision", Abilities::VISION),
        ("tools", Abilities::TOOLS),
        ("parallel_tools", Abilities::PARALLEL_TOOLS),
        ("tool_choice", Abilities::TOOL_CHOICE),
        ("json_schema", Abilities::JSON_SCHEMA),
        ("prompt_caching", Abilities::PROMPT_CACHING),
        ("reasoning", Abilities::REASONING),
        ("audio_input", Abilities::AUDIO_INPUT),
        ("audio_output", Abilities::AUDIO_OUTPUT),
        ("pdf", Abilities::PDF),
        ("video", Abilities::VIDEO),
        ("web_search", Abilities::WEB_SEARCH),
        ("url_context", Abilities::URL_CONTEXT),
        ("system_messages", Abilities::SYSTEM_MESSAGES),
        ("prefill", Abilities::PREFILL),
        ("computer_use", Abilities::COMPUTER_USE),
        ("streaming", Abilities::STREAMING),
        ("image_embedding", Abilities::IMAGE_EMBEDDING),
    ];

    /// All of `others` are among them.
    pub fn contains(self, others: Abilities) -> bool {
        self.0 & others.0 == others.0
    }

    pub fn with(self, others: Abilities) -> Abilities {
        Abilities(self.0 | others.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those that are there.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Abilities::WORDS.iter().filter(move |(_, ability)| self.contains(*ability)).map(|(name, _)| *name)
    }

    pub fn from_name(name: &str) -> Option<Abilities> {
        Abilities::WORDS.iter().find(|(word, _)| *word == name).map(|(_, ability)| *ability)
    }
}

/// Their names with commas; `-` for none.
impl fmt::Display for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.write_str(if names.is_empty() { "-" } else { "" })?;
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Abilities({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ability_has_a_bit_and_a_name_of_its_own() {
        for (index, (name, ability)) in Abilities::WORDS.iter().enumerate() {
            assert_eq!(ability.0, 1 << index, "{name}");
            assert_eq!(Abilities::from_name(name), Some(*ability));
        }
        let two = Abilities::VISION.with(Abilities::PDF);
        assert!(two.contains(Abilities::PDF) && !two.contains(Abilities::PDF.with(Abilities::TOOLS)) && !two.is_empty());
        assert_eq!((two.to_string().as_str(), Abilities::default().to_string().as_str()), ("vision,pdf", "-"));
    }
}
