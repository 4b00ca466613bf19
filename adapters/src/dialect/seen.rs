//! What was seen of an answer that went through: figures for policy and the record, and its text for counting.
//!
//! Text is kept because whether the provider reports usage is known only when its stream has ended. Estimate per event: one
//! copy of the text as it is written, no allocation once the buffer has grown; nothing for a whole answer that reports usage.

use std::borrow::Cow;

use crate::event::{Block, Delta, Event};
use crate::fault::Fault;
use crate::json::scan::{Cursor, Malformed, unescape, unescaped_len};
use crate::tokens;
use crate::usage::{Provenance, Tariff, Usage};

/// Generated text of one answer that is kept, bytes; what comes after is counted by its length.
pub const KEPT_BYTES_MAX: u64 = 64 * 1024;

/// Room for the text of a short answer at once.
const KEPT_BYTES_USUAL: usize = 1024;

/// What a tap has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The provider's figure, once it came.
    pub usage: Option<Usage>,
    /// How the provider says that it processed the request.
    pub tier: Option<Tariff>,
    /// Content events that were whole.
    pub event_count: u64,
    /// Bytes of generated text, thinking, names of called tools and arguments, for counting where no usage comes.
    pub text_bytes: u64,
    /// That text, up to its bound.
    pub kept: Kept,
    /// Searches and images that stand in the answer itself.
    pub searches: u64,
    pub images: u64,
    /// Every choice that began has its finish reason.
    pub finished: bool,
    /// The dialect's own end marker came (`[DONE]`, `message_stop`, `response.completed`).
    pub ended: bool,
    /// It was no stream but one well-formed body.
    pub is_whole: bool,
    /// The stream stands inside an unfinished event: a line or a blank line is missing.
    pub mid_event: bool,
    /// The provider reported an error inside the stream.
    pub fault: Option<Fault>,
}

/// What an answer is charged as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    pub usage: Usage,
    pub provenance: Provenance,
    /// Nobody told the input: it has to be counted from the request.
    pub lacks_input: bool,
}

impl Seen {
    /// Keeps no text, as where usage is known to come.
    pub fn without_text() -> Seen {
        Seen { kept: Kept { is_full: true, ..Kept::default() }, ..Seen::default() }
    }

    /// The provider's figures where the answer came to its end with them. Else its input figures, if it told some, and of the
    /// output the larger of what it told so far and what was delivered; an answer of which nothing was delivered used nothing.
    pub fn bill(&self) -> Bill {
        let mut usage = self.usage.unwrap_or_default();
        usage.searches = usage.searches.max(self.searches);
        usage.images = usage.images.max(self.images);
        // A stream's first report is of its input: the output in it has only begun.
        let is_final = self.usage.is_some() && (self.is_whole || self.finished) && (usage.output > 0 || self.text_bytes == 0);
        if is_final {
            return Bill { usage, provenance: Provenance::Provider, lacks_input: false };
        }
        usage.output = usage.output.max(self.delivered_tokens());
        let is_something = self.is_whole || self.finished || self.text_bytes > 0;
        Bill { usage, provenance: Provenance::Delivered, lacks_input: is_something && usage.input == 0 }
    }

    /// Tokens of the text that was delivered.
    pub fn delivered_tokens(&self) -> u64 {
        let beyond = self.text_bytes.saturating_sub(self.kept.text_bytes);
        tokens::count(&self.kept.text()).saturating_add(tokens::by_length(beyond))
    }

    /// Takes an event of a decoded answer.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Open { kind: Block::ToolCall { name: text, .. }, .. }
            | Event::Delta { delta: Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text), .. } => {
                self.take_text(text);
                self.event_count += u64::from(!text.is_empty());
            }
            Event::Usage { usage, extra } => {
                self.usage = Some(*usage);
                self.tier = Tariff::of_extra(extra).or(self.tier);
            }
            Event::Start { extra, .. } => self.tier = Tariff::of_extra(extra).or(self.tier),
            Event::Finish { extra, .. } => {
                self.finished = true;
                self.tier = Tariff::of_extra(extra).or(self.tier);
            }
            Event::End => self.ended = true,
            _ => {}
        }
    }

    /// Takes generated text that is decoded already.
    pub fn take_text(&mut self, text: &str) {
        self.text_bytes += text.len() as u64;
        self.kept.push(text.as_bytes(), text.len() as u64, Form::Plain);
    }

    /// Takes the string ahead as generated text; gives its decoded bytes, 0 for any other value, which is stepped over.
    ///
    /// # Errors
    /// Broken text.
    pub(super) fn take_string(&mut self, value: &mut Cursor<'_>) -> Result<u64, Malformed> {
        Ok(value.raw_string()?.map_or(0, |raw| self.take_raw(raw)))
    }

    /// Takes the tier that the string ahead names; another value says nothing.
    ///
    /// # Errors
    /// Broken text.
    pub(super) fn take_tier(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        if let Some(tier) = value.raw_string()?.and_then(Tariff::of_word) {
            self.tier = Some(tier);
        }
        Ok(())
    }

    /// Takes a string as JSON writes it, without its quotes.
    #[inline]
    pub(super) fn take_raw(&mut self, raw: &[u8]) -> u64 {
        let len = unescaped_len(raw) as u64;
        self.text_bytes += len;
        self.kept.push(raw, len, Form::Json);
        len
    }

    /// Looks at a whole body: first without keeping text, and again with it where no usage stands in the body.
    pub(super) fn whole(&mut self, look: impl Fn(&mut Seen) -> bool) -> bool {
        *self = Seen::without_text();
        let is_well_formed = look(self);
        if is_well_formed && self.usage.is_none() && self.text_bytes > 0 {
            *self = Seen::default();
            look(self);
        }
        self.is_whole = is_well_formed;
        is_well_formed
    }
}

/// Generated text, kept for counting: as JSON writes it where it was taken from bytes that went through, else plain.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    /// What the text has once its escapes are undone.
    text_bytes: u64,
    form: Form,
    /// A string found no room: nothing after it is kept either.
    is_full: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Plain,
    Json,
}

impl Kept {
    #[inline]
    fn push(&mut self, bytes: &[u8], text_bytes: u64, form: Form) {
        if self.is_full || self.text_bytes + text_bytes > KEPT_BYTES_MAX {
            self.is_full = true;
            return;
        }
        self.text_bytes += text_bytes;
        self.form = form;
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(KEPT_BYTES_USUAL);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The text with its escapes undone.
    pub fn text(&self) -> Cow<'_, str> {
        let decoded = if self.form == Form::Json { unescape(&self.bytes) } else { None };
        decoded.unwrap_or_else(|| String::from_utf8_lossy(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64) -> Option<Usage> {
        Some(Usage { input, output, ..Usage::default() })
    }

    #[test]
    fn a_whole_report_is_the_bill() {
        let mut seen = Seen { usage: usage(10, 5), finished: true, ..Seen::default() };
        seen.take_text("something longer than five tokens, in any case");
        assert_eq!(seen.bill(), Bill { usage: usage(10, 5).unwrap(), provenance: Provenance::Provider, lacks_input: false });
    }

    #[test]
    fn a_cut_stream_keeps_the_input_that_was_told() {
        let mut seen = Seen { usage: usage(25, 1), ..Seen::default() };
        seen.take_text("eight by");
        let bill = seen.bill();
        assert_eq!((bill.usage.input, bill.usage.output, bill.provenance), (25, 2, Provenance::Delivered));
        assert!(!bill.lacks_input);
    }

    #[test]
    fn nothing_delivered_is_nothing_used() {
        assert_eq!(Seen::default().bill(), Bill { usage: Usage::default(), provenance: Provenance::Delivered, lacks_input: false });
    }

    #[test]
    fn a_finish_without_a_report_lacks_its_input() {
        let mut seen = Seen { finished: true, searches: 2, ..Seen::default() };
        seen.take_raw(br"a\u0041\n\ud83d\ude00");
        assert_eq!((seen.text_bytes, seen.kept.text().as_ref()), (7, "aA\n😀"));
        let bill = seen.bill();
        assert_eq!((bill.usage.input, bill.usage.searches, bill.lacks_input), (0, 2, true));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_counts_by_length() {
        let mut seen = Seen::default();
        for _ in 0..KEPT_BYTES_MAX / 8 + 100 {
            seen.take_text("abcdefg ");
        }
        assert_eq!(seen.kept.bytes.len() as u64, KEPT_BYTES_MAX);
        assert!(seen.delivered_tokens() > 800 / 4);
        seen.take_text("x");
        assert_eq!(seen.kept.bytes.len() as u64, KEPT_BYTES_MAX);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let mut seen = Seen::default();
        seen.take_raw(b"\xff\xfe broken \\u12");
        assert!(seen.delivered_tokens() > 0);
    }
}
