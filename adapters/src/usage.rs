//! Tokens of one answer, the same for every dialect.

/// Token counts of an answer.
///
/// `input` holds all prompt tokens, those read from and written to a cache included; `output` all generated
/// tokens, reasoning included. A dialect that counts them apart (Anthropic's `input_tokens`) is added up when decoded
/// and taken apart again when encoded, so that no token is counted twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached_read: u64,
    pub cached_write: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
}

impl Usage {
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

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
