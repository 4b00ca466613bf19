//! What an answer says, before a dialect writes it down.

use serde_json::{Value, json};

use super::INPUT_TOKENS;
use super::asked::Asked;
use super::sample::sample;

/// One generated answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) model: String,
    /// The text, cut as it is streamed; one piece is one token and one event.
    pub(super) pieces: Vec<String>,
    pub(super) calls: Vec<ToolCall>,
    pub(super) thinking: Option<String>,
    pub(super) stop: Stop,
    pub(super) usage: Usage,
    /// The tariff that the answer says it was made under.
    pub(super) tier: Option<String>,
    /// The client asked for the usage chunk of a chat stream.
    pub(super) includes_usage: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToolCall {
    /// Without the dialect's prefix.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    End,
    Length,
    Tool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// All input, cached included.
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) cached: u32,
    /// Written to a cache; in dialects that tell of it.
    pub(super) written: u32,
    pub(super) reasoning: u32,
}

/// The signature of every thinking block.
pub(super) const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

impl Answer {
    /// The plain answer: words and nothing else.
    pub(super) fn plain(model: &str, tokens: u32, tokens_max: Option<u32>) -> Self {
        Self::of_pieces(model, words(Wording::of(model), tokens), tokens_max)
    }

    /// The answer to a request that was understood.
    pub(super) fn to(asked: &Asked, tokens: u32) -> Self {
        let mut answer = if let Some(schema) = &asked.schema {
            let text = sample(schema).to_string();
            Self::of_pieces(&asked.model, cut_at_spaces(&text), None)
        } else if asked.wants_description() {
            Self::of_pieces(&asked.model, cut_at_spaces(&asked.description()), None)
        } else {
            let text = words(Wording::of(&asked.model), tokens).concat();
            let rest = asked.prefill.as_deref().and_then(|prefill| text.strip_prefix(prefill)).unwrap_or(&text);
            Self::of_pieces(&asked.model, cut_at_spaces(rest), asked.tokens_max)
        };
        answer.calls = asked.tool_calls();
        if !answer.calls.is_empty() {
            answer.pieces.clear();
            answer.stop = Stop::Tool;
            answer.usage.output = 8 * answer.calls.len() as u32;
        }
        answer.take_usage(asked);
        answer.thinking = asked.wants_thinking.then(|| "The user asked, so I think.".to_owned());
        answer.includes_usage = asked.includes_usage;
        answer
    }

    /// Reports what the request told it to: the figures of an accounting run.
    fn take_usage(&mut self, asked: &Asked) {
        let usage = &mut self.usage;
        for (word, figure) in [
            ("input", &mut usage.input),
            ("output", &mut usage.output),
            ("cached", &mut usage.cached),
            ("written", &mut usage.written),
            ("reasoning", &mut usage.reasoning),
        ] {
            if let Some(number) = asked.number(word) {
                *figure = number;
            }
        }
        self.tier = asked.tier();
    }

    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }

    fn of_pieces(model: &str, mut pieces: Vec<String>, tokens_max: Option<u32>) -> Self {
        let room = tokens_max.map_or(usize::MAX, |max| max as usize);
        let stop = if pieces.len() > room { Stop::Length } else { Stop::End };
        pieces.truncate(room);
        let usage = Usage {
            input: INPUT_TOKENS,
            output: pieces.len() as u32,
            cached: if model.contains("cached") { 4 } else { 0 },
            written: 0,
            reasoning: if model.contains("reason") { 3 } else { 0 },
        };
        Self { model: model.to_owned(), pieces, calls: Vec::new(), thinking: None, stop, usage, tier: None, includes_usage: false }
    }
}

impl Default for ToolCall {
    fn default() -> Self {
        Self { id: "0".to_owned(), name: "tool".to_owned(), arguments: json!({}) }
    }
}

/// Which words an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wording {
    /// The same for every model, so that a second target repeats the first.
    Common,
    /// Never what another model says.
    Diverging,
    /// Two, three and four bytes a letter.
    Multibyte,
}

impl Wording {
    fn of(model: &str) -> Self {
        if model.starts_with("diverge") {
            Self::Diverging
        } else if model.starts_with("multibyte") || model.starts_with("fault-split-bytes") {
            Self::Multibyte
        } else {
            Self::Common
        }
    }
}

fn words(wording: Wording, count: u32) -> Vec<String> {
    let word = match wording {
        Wording::Common => "word",
        Wording::Diverging => "other",
        Wording::Multibyte => "wörd→语😀",
    };
    (0..count).map(|index| if index == 0 { format!("{word}{index}") } else { format!(" {word}{index}") }).collect()
}

/// Cuts before each space, as tokens are.
fn cut_at_spaces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (index, _) in text.match_indices(' ').filter(|(index, _)| *index > 0) {
        pieces.push(text[start..index].to_owned());
        start = index;
    }
    if start < text.len() {
        pieces.push(text[start..].to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_models_say_the_same_and_a_diverging_one_does_not() {
        assert_eq!(Answer::plain("a", 3, None).text(), "word0 word1 word2");
        assert_eq!(Answer::plain("a", 3, None).pieces, Answer::plain("b", 3, None).pieces);
        assert_eq!(Answer::plain("diverge-a", 2, None).text(), "other0 other1");
    }

    #[test]
    fn a_token_limit_stops_with_length() {
        let answer = Answer::plain("a", 64, Some(2));
        assert_eq!((answer.stop, answer.usage.output, answer.text().as_str()), (Stop::Length, 2, "word0 word1"));
    }

    #[test]
    fn cutting_at_spaces_loses_nothing() {
        for text in ["", " a b", "a  b ", "abc"] {
            assert_eq!(cut_at_spaces(text).concat(), text);
        }
    }
}
