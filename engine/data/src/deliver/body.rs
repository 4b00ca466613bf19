//! The body as it goes upstream: the client's own with a few spans edited, or written anew in the target's dialect.

use ringway_adapters::dialect::typed::{self, Translation};
use ringway_adapters::dialect::{AsksIn, Target as EncodeTarget};
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
    /// The body as this provider takes it; `None` where it goes as it is.
    pub(super) fn bend(&self, journal: &mut Journal, upstream: &Upstream, step: &Step) -> Result<Option<(Vec<u8>, Peek)>, Fault> {
        let mut losses = Vec::new();
        // What the client's path said stands in the body where the target's path does not say it.
        let said = match (self.door.mode, &step.body) {
            (Some(mode), None) => step.dialect.row().said_in_body(&step.model, mode).map_or(Ok(None), |shape| shape.apply(self.body))?,
            _ => None,
        };
        let bent = bent(upstream, step, said.as_deref().unwrap_or(self.body), &mut losses)?;
        let Some(body) = bent.or(said) else { return Ok(None) };
        self.weigh(journal, upstream, losses)?;
        let peek = peek::peek(&body)?;
        Ok(Some((body, peek)))
    }

    /// Edits of a body that stays in its dialect: the model's name at the provider, the usage wish, no `fallbacks`.
    pub(super) fn edits(&self, upstream: &Upstream, step: &Step, body: &[u8], peek: &Peek) -> Edits {
        let usage = self.injects(upstream).then(|| patch::include_usage(peek, body)).flatten();
        // A path may name another model than the body, and in some dialects it alone names one.
        let is_in_path = step.dialect.row().asks_in == AsksIn::Path || (self.door.mode.is_some() && peek.model.is_none());
        let is_in_path = is_in_path || step.body.as_ref().is_some_and(|body| body.drops_model());
        let is_named = (self.door.id.is_none() && *self.asked.model == *step.model) || is_in_path;
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
            return Err(self.cannot_serve(upstream));
        }
        let mut scratch = self.body.to_vec();
        let mut chat = (self.door.dialect.row().decode_request)(&mut scratch)?;
        // In some dialects the path says it.
        chat.stream = self.asked.mode;
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
        if let Some(body) = bent(upstream, step, out, &mut losses)? {
            *out = body;
        }
        self.weigh(journal, upstream, losses)
    }

    /// The answer has another form than the client's, though it is small enough to be no chat: embeddings, rankings.
    pub(super) fn is_typed(&self, upstream: &Upstream, step: &Step) -> bool {
        let operation = self.door.operation;
        let rewrites = || upstream.provider.quirks.rewrites.iter().any(|name| name == operation.name());
        matches!(operation, Operation::Embed | Operation::Rerank) && (step.dialect != self.door.dialect || rewrites())
    }

    /// Such a request in the target's form.
    pub(super) fn translate(&self, journal: &mut Journal, upstream: &Upstream, step: &Step) -> Result<(Vec<u8>, Translation), Fault> {
        let mut asked = typed::request(self.door.operation, self.door.dialect, step.dialect, &step.model, &step.path, self.body)?;
        let mut losses = std::mem::take(&mut asked.losses);
        let mut body = std::mem::take(&mut asked.body);
        if let Some(bent) = bent(upstream, step, &body, &mut losses)? {
            body = bent;
        }
        self.weigh(journal, upstream, losses)?;
        Ok((body, asked))
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

/// A body of the target's dialect by the provider's quirks and in the form that it has under this path; `None` where it is so already.
fn bent(upstream: &Upstream, step: &Step, body: &[u8], losses: &mut Vec<Loss>) -> Result<Option<Vec<u8>>, Fault> {
    let by_quirks = quirk::apply(&upstream.provider.quirks, body, losses)?;
    let Some(shape) = &step.body else { return Ok(by_quirks) };
    Ok(shape.apply(by_quirks.as_deref().unwrap_or(body))?.or(by_quirks))
}
