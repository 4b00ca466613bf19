//! What a foreign request must lose or change before it is a valid Messages request.
//!
//! Each rule states what Anthropic refuses; docs.anthropic.com/en/api/messages, read 2026-11-20. A request that was decoded from
//! this dialect is written as it is.

use std::borrow::Cow;
use std::fmt::Display;

use super::ID;
use super::reasoning::{BUDGET_TOKENS_MIN, Style, budget_of, effort_of_budget, style, word_of};
use crate::dialect::openai::extra::{MARKS, TUNING};
use crate::ir::{Chat, Effort, Extra, Gravity, Loss, OutputFormat, PartKind, Role, ToolChoice};

/// The sampling and thinking fields to write.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Fit {
    pub(in crate::dialect) max_tokens: u64,
    pub(in crate::dialect) temperature: Option<f64>,
    pub(in crate::dialect) top_p: Option<f64>,
    pub(in crate::dialect) top_k: Option<u64>,
    pub(in crate::dialect) thinking: Thinking,
    pub(in crate::dialect) effort: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dialect) enum Thinking {
    /// The field is not written.
    #[default]
    Unsaid,
    Disabled,
    Adaptive,
    Budget(u64),
}

pub(in crate::dialect) fn is_own(extra: &Extra) -> bool {
    extra.dialect == Some(ID)
}

/// Fits `chat` to `model`.
pub(in crate::dialect) fn fit(chat: &Chat<'_>, model: &str, max_tokens_default: u64, losses: &mut Vec<Loss>) -> Fit {
    let mut fit = Fit {
        max_tokens: chat.max_tokens.unwrap_or(max_tokens_default),
        temperature: chat.temperature,
        top_p: chat.top_p,
        top_k: chat.top_k,
        ..Fit::default()
    };
    if is_own(&chat.extra) {
        fit_own_thinking(chat, &mut fit);
        return fit;
    }
    fit_thinking(chat, model, &mut fit, losses);
    fit_sampling(&mut fit, losses);
    report_fields(chat, losses);
    fit
}

fn fit_own_thinking(chat: &Chat<'_>, fit: &mut Fit) {
    let Some(reasoning) = &chat.reasoning else { return };
    fit.effort = reasoning.effort.and_then(word_of);
    fit.thinking = match (reasoning.budget_tokens, reasoning.effort) {
        (Some(budget_tokens), _) => Thinking::Budget(budget_tokens),
        (None, Some(Effort::None)) => Thinking::Disabled,
        _ => Thinking::Unsaid,
    };
}

fn fit_thinking(chat: &Chat<'_>, model: &str, fit: &mut Fit, losses: &mut Vec<Loss>) {
    let Some(reasoning) = &chat.reasoning else { return };
    let Some(effort) = reasoning.effort.or(reasoning.budget_tokens.map(effort_of_budget)) else { return };
    if effort == Effort::None {
        return;
    }
    match style(model) {
        Style::Unable => losses.push(loss("reasoning_effort", Gravity::Tuning)),
        Style::Adaptive => {
            fit.effort = word_of(effort);
            fit.thinking = Thinking::Adaptive;
        }
        Style::Budget => {
            match reasoning.budget_tokens.or(budget_of(effort)).and_then(|budget_tokens| room(budget_tokens, fit.max_tokens)) {
                Some(budget_tokens) if !is_mid_tool_turn(chat) && !is_forced(chat) => fit.thinking = Thinking::Budget(budget_tokens),
                _ => losses.push(loss("reasoning_effort", Gravity::Tuning)),
            }
        }
    }
    // Adaptive thinking refuses a forced tool as a budget does.
    if fit.thinking == Thinking::Adaptive && is_forced(chat) {
        fit.thinking = Thinking::Unsaid;
        losses.push(loss("reasoning_effort", Gravity::Tuning));
    }
}

/// `budget_tokens` must be below `max_tokens`; half of it is left for the answer.
fn room(budget_tokens: u64, max_tokens: u64) -> Option<u64> {
    let budget_tokens = if budget_tokens < max_tokens { budget_tokens } else { max_tokens / 2 };
    (budget_tokens >= BUDGET_TOKENS_MIN).then_some(budget_tokens)
}

fn is_forced(chat: &Chat<'_>) -> bool {
    matches!(chat.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_)))
}

/// With a budget, the assistant turn whose tools are being answered must begin with a signed thinking block.
fn is_mid_tool_turn(chat: &Chat<'_>) -> bool {
    let last = chat.messages.iter().rev().find(|message| message.role == Role::Assistant);
    let is_answer = |part: &PartKind<'_>| matches!(part, PartKind::ToolResult { .. });
    let is_answering = chat.messages.last().is_some_and(|message| message.parts.iter().any(|part| is_answer(&part.kind)));
    let is_signed = |part: &PartKind<'_>| matches!(part, PartKind::Thinking { signature: Some(_), .. } | PartKind::RedactedThinking { .. });
    is_answering && last.is_some_and(|message| !message.parts.first().is_some_and(|part| is_signed(&part.kind)))
}

fn fit_sampling(fit: &mut Fit, losses: &mut Vec<Loss>) {
    if let Some(temperature) = fit.temperature.filter(|temperature| !(0.0..=1.0).contains(temperature)) {
        fit.temperature = Some(temperature.clamp(0.0, 1.0));
        losses.push(loss("temperature", Gravity::Tuning));
    }
    // 1 is the default of both; later models refuse the two together.
    fit.top_p = fit.top_p.filter(|top_p| *top_p < 1.0);
    if fit.top_p.is_some() && fit.temperature == Some(1.0) {
        fit.temperature = None;
    }
    if fit.top_p.is_some() && fit.temperature.is_some() {
        fit.top_p = None;
        losses.push(loss("top_p", Gravity::Tuning));
    }
    if matches!(fit.thinking, Thinking::Budget(_) | Thinking::Adaptive) {
        if fit.temperature.take().is_some_and(|temperature| temperature != 1.0) {
            losses.push(loss("temperature", Gravity::Tuning));
        }
        if fit.top_p.is_some_and(|top_p| top_p < 0.95) {
            fit.top_p = None;
            losses.push(loss("top_p", Gravity::Tuning));
        }
        if fit.top_k.take().is_some() {
            losses.push(loss("top_k", Gravity::Tuning));
        }
    }
}

fn report_fields(chat: &Chat<'_>, losses: &mut Vec<Loss>) {
    let lost: [(&'static str, bool, Gravity); 7] = [
        ("n", chat.n.is_some_and(|n| n > 1), Gravity::Meaning),
        ("logprobs", chat.logprobs.is_some(), Gravity::Meaning),
        ("seed", chat.seed.is_some(), Gravity::Tuning),
        ("frequency_penalty", chat.frequency_penalty.is_some_and(|penalty| penalty != 0.0), Gravity::Tuning),
        ("presence_penalty", chat.presence_penalty.is_some_and(|penalty| penalty != 0.0), Gravity::Tuning),
        ("response_format", is_output_lost(chat), Gravity::Meaning),
        ("stop", chat.stop.iter().any(|stop| stop.trim().is_empty()), Gravity::Meaning),
    ];
    losses.extend(lost.into_iter().filter(|row| row.1).map(|row| loss(row.0, row.2)));
    if chat.service_tier.as_deref().is_some_and(|tier| !matches!(tier, "auto" | "default")) {
        losses.push(loss("service_tier", Gravity::Tuning));
    }
    for name in chat.extra.fields.keys().filter(|name| !MARKS.contains(&name.as_str())) {
        losses.push(loss(name.clone(), if TUNING.contains(&name.as_str()) { Gravity::Tuning } else { Gravity::Meaning }));
    }
}

/// There is no JSON without a schema here.
fn is_output_lost(chat: &Chat<'_>) -> bool {
    match &chat.output {
        Some(OutputFormat::JsonObject) => true,
        Some(OutputFormat::JsonSchema { schema, .. }) => !schema.is_object(),
        Some(OutputFormat::Text) | None => false,
    }
}

/// A private field of a turn, a part or a tool of another dialect is a loss, under `prefix`.
pub(in crate::dialect) fn report_extra(extra: &Extra, prefix: impl Display, losses: &mut Vec<Loss>) {
    if is_own(extra) {
        return;
    }
    for name in extra.fields.keys().filter(|name| !MARKS.contains(&name.as_str())) {
        losses.push(loss(format!("{prefix}{name}"), Gravity::Tuning));
    }
}

pub(in crate::dialect) fn loss(field: impl Into<Cow<'static, str>>, gravity: Gravity) -> Loss {
    Loss { field: field.into(), gravity }
}
