//! `Event`, the only vocabulary of generated answers.
//!
//! A streamed answer is a sequence of events; a whole answer decodes into the same sequence and is folded at its end.
//! Order: `Start`, then per choice any number of blocks (`Open`, `Delta`…, `Close`), its `Finish`; `Usage` at
//! any time (a later one replaces an earlier one); `End` once, when the dialect's own framing ended cleanly.

use crate::fault::Fault;
use crate::ir::Extra;
use crate::usage::Usage;

/// One step of a generated answer.
#[derive(Clone, Debug)]
pub enum Event {
    /// The answer begins. `id` and `model` are the provider's own words.
    Start {
        id: String,
        model: String,
        created: Option<u64>,
        extra: Extra,
    },
    /// A block of a choice begins. `block` counts from 0 within the choice; blocks of one choice may be interleaved.
    Open {
        choice: u32,
        block: u32,
        kind: Block,
    },
    /// More of an open block.
    Delta {
        choice: u32,
        block: u32,
        delta: Delta,
    },
    /// The block is whole.
    Close {
        choice: u32,
        block: u32,
        extra: Extra,
    },
    /// The choice has its finish reason.
    Finish {
        choice: u32,
        reason: Finish,
        extra: Extra,
    },
    Usage {
        usage: Usage,
        extra: Extra,
    },
    /// A keep-alive that carries nothing (`ping`, a comment).
    Ping,
    /// The provider reported an error inside the stream. Nothing follows.
    Fault(Fault),
    /// The framing ended cleanly (`[DONE]`, `message_stop`, `response.completed`, the end of a whole body).
    End,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Text,
    Refusal,
    Thinking,
    /// Thinking that the provider keeps sealed; its data comes as one `Delta::Sealed`.
    RedactedThinking,
    ToolCall {
        id: String,
        name: String,
        extra: Extra,
    },
    Audio,
    /// A block of the provider's own (server tools, citations of its kind), carried to its own dialect alone.
    Private {
        extra: Extra,
    },
}

/// A piece of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    Text(String),
    Thinking(String),
    /// A signature over the thinking block, opaque.
    Signature(String),
    Sealed(String),
    /// A piece of the call's arguments, JSON text cut anywhere.
    Arguments(String),
    /// Base64 audio.
    Audio(String),
    /// A source for the text before it, in the provider's own JSON.
    Citation(Extra),
    /// Log probabilities of the text before it, in OpenAI's `logprobs` shape.
    Logprobs(Extra),
    Private(Extra),
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// A stop sequence, with the sequence where the provider names it.
    StopSequence(Option<String>),
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    /// The provider paused a long turn and wants it sent back (Anthropic's `pause_turn`).
    Pause,
    /// The prompt and the answer together filled the context window.
    ContextWindow,
    Other(String),
}
