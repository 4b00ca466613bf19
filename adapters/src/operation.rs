//! What a request asks for.

/// What is asked, whatever the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Chat,
    Complete,
    Embed,
    Rerank,
    Image,
    Speech,
    Transcribe,
    Moderate,
    CountTokens,
    Models,
    /// What the virtual key itself may do and has left.
    Key,
    Batch,
    Files,
    Realtime,
    /// A path that is carried untouched.
    Passthrough,
}

impl Operation {
    pub const ALL: &[Operation] = &[
        Operation::Chat,
        Operation::Complete,
        Operation::Embed,
        Operation::Rerank,
        Operation::Image,
        Operation::Speech,
        Operation::Transcribe,
        Operation::Moderate,
        Operation::CountTokens,
        Operation::Models,
        Operation::Key,
        Operation::Batch,
        Operation::Files,
        Operation::Realtime,
        Operation::Passthrough,
    ];

    /// Its name in files, records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Complete => "complete",
            Operation::Embed => "embed",
            Operation::Rerank => "rerank",
            Operation::Image => "image",
            Operation::Speech => "speech",
            Operation::Transcribe => "transcribe",
            Operation::Moderate => "moderate",
            Operation::CountTokens => "count_tokens",
            Operation::Models => "models",
            Operation::Key => "key",
            Operation::Batch => "batch",
            Operation::Files => "files",
            Operation::Realtime => "realtime",
            Operation::Passthrough => "passthrough",
        }
    }

    pub fn from_name(name: &str) -> Option<Operation> {
        Operation::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}
