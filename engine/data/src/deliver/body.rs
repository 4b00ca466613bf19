//! The body as it goes upstream: the client's own with a few spans edited, or written anew in the target's dialect.

use ringway_adapters::dialect::Target as EncodeTarget;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::{Gravity, Loss, Message, Mode, Part, Role};
use ringway_adapters::json::patch::{self, Edits};
use ringway_adapters::json::peek::{self, Peek};
use ringway_adapters::operation::Operation;
use ringway_adapters::quirk;
use ringway_policy::plan::{Losses, Step};
use ringway_policy::snapshot::{Upstream, UsageMode};

use super::Delivery;
use crate::journal::Journal;

/// Bound of an answer that a dialect demands and the client did not give, tokens.
const MAX_TOKENS_DEFAULT: u64 = 4096;

impl Delivery<'_> {
    /// The body without what this provider refuses; `None` where it goes as it is.
    pub(super) fn bend(&self, journal: &mut Journal, upstream: &Upstream) -> Result<Option<(Vec<u8>, Peek)>, Fault> {
        let mut losses = Vec::new();
        let Some(body) = quirk::apply(&upstream.provider.quirks, self.body, &mut losses)? else { return Ok(None) };
        self.weigh(journal, upstream, losses)?;
        let peek = peek::peek(&body)?;
        Ok(Some((body, peek)))
    }

    /// Edits of a body that stays in its dialect: the model's name at the provider, the usage wish, no `fallbacks`.
    pub(super) fn edits(&self, upstream: &Upstream, step: &Step, body: &[u8], peek: &Peek) -> Edits {
        let usage = self.injects(upstream).then(|| patch::include_usage(peek, body)).flatten();
        // A path may name another model than the body.
        let is_named = self.door.id.is_none() && *self.asked.model == *step.model;
        let model = (!is_named).then(|| patch::set_model(peek, body, &step.model)).flatten();
        patch::combine([model, usage, patch::cut_fallbacks(peek)].into_iter().flatten())
    }

    /// The usage event is asked for on the client's behalf, and left out of its stream.
    pub(super) fn injects(&self, upstream: &Upstream) -> bool {
        upstream.usage == UsageMode::Inject
            && upstream.provider.quirks.stream_options
            && self.asked.mode == Mode::Stream
            && !self.asked.peek.include_usage
            && self.door.dialect.row().asked_usage.is_some()
            && matches!(self.door.operation, Operation::Chat | Operation::Complete)
    }

    /// The request in the target's dialect, with the prefill where there is one.
    pub(super) fn encode(&self, journal: &mut Journal, upstream: &Upstream, step: &Step, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.door.operation != Operation::Chat {
            let message =
                format!("{} cannot serve {} for this client's API; ask in its own API", upstream.name, self.door.operation.name());
            return Err(Fault::new(Kind::InvalidRequest, message));
        }
        let mut scratch = self.body.to_vec();
        let mut chat = (self.door.dialect.row().decode_request)(&mut scratch)?;
        if let Some(prefill) = &self.prefill {
            let parts = vec![Part::text(prefill.as_str())];
            chat.messages.push(Message { role: Role::Assistant, parts, name: None, extra: Default::default() });
        }
        let target = EncodeTarget {
            model: &step.model,
            max_tokens_default: MAX_TOKENS_DEFAULT,
            inject_stream_usage: upstream.usage == UsageMode::Inject && upstream.provider.quirks.stream_options,
        };
        let mut losses = Vec::new();
        (step.dialect.row().encode_request)(&chat, &target, out, &mut losses)?;
        self.weigh(journal, upstream, losses)
    }

    /// Losses of meaning are refused unless the route lets them through; the others are noted.
    fn weigh(&self, journal: &mut Journal, upstream: &Upstream, losses: Vec<Loss>) -> Result<(), Fault> {
        let meaning = losses.iter().find(|loss| loss.gravity == Gravity::Meaning);
        if let (Some(loss), Losses::Refuse) = (meaning, self.plan.rules.losses) {
            let message = format!(
                "{} cannot be carried to {}; leave it out, choose another model, or set `losses: warn` on the route",
                loss.field, upstream.name
            );
            let mut fault = Fault::new(Kind::InvalidRequest, message);
            fault.param = Some(loss.field.as_ref().into());
            return Err(fault);
        }
        journal.losses = losses;
        Ok(())
    }
}
