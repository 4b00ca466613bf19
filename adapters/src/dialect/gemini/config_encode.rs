//! The hub → `generationConfig` and the service tier, fitted to what Gemini takes.
//!
//! ai.google.dev/api/generate-content#generationconfig, read 2026-11-20.

use super::ID;
use super::config_decode::{PREFIX, RESPONSE_SCHEMA, THINKING_CONFIG};
use super::request_encode::{Source, loss};
use super::thinking::{Style, budget_of, effort_of_budget, fit_budget, level_of, style};
use crate::ir::{Chat, Effort, Gravity, Loss, OutputFormat};
use crate::json::build::{Object, string};

/// Stop sequences that are taken.
const STOPS_MAX: usize = 5;
const TEMPERATURE_MAX: f64 = 2.0;

pub(super) fn encode(chat: &Chat<'_>, source: Source, model: &str, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let mut written = Vec::new();
    let mut config = Object::begin(&mut written);
    encode_sampling(chat, source, &mut config, losses);
    encode_output(chat, source, &mut config, losses);
    encode_thinking(chat, model, &mut config, losses);
    for (name, value) in chat.extra.of(ID).into_iter().flatten() {
        if let Some(name) = name.strip_prefix(PREFIX) {
            config.value(name, value);
        }
    }
    config.end();
    if written != b"{}" {
        body.raw("generationConfig", &written);
    }
    encode_tier(chat, body, losses);
}

fn encode_sampling(chat: &Chat<'_>, source: Source, config: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if let Some(temperature) = chat.temperature {
        let fitted = if source == Source::Own { temperature } else { temperature.clamp(0.0, TEMPERATURE_MAX) };
        config.f64("temperature", fitted);
        if fitted != temperature {
            losses.push(loss("temperature", Gravity::Tuning));
        }
    }
    let floats = [("topP", chat.top_p), ("presencePenalty", chat.presence_penalty), ("frequencyPenalty", chat.frequency_penalty)];
    for (name, value) in floats {
        if let Some(value) = value {
            config.f64(name, value);
        }
    }
    for (name, value) in [("topK", chat.top_k), ("candidateCount", chat.n.map(u64::from)), ("maxOutputTokens", chat.max_tokens)] {
        if let Some(value) = value {
            config.u64(name, value);
        }
    }
    match chat.seed.map(i32::try_from) {
        Some(Ok(seed)) => config.value("seed", &seed.into()),
        Some(Err(_)) => losses.push(loss("seed", Gravity::Tuning)),
        None => {}
    }
    let stops: Vec<_> = chat.stop.iter().filter(|stop| !stop.is_empty()).collect();
    if !stops.is_empty() {
        let mut array = config.array("stopSequences");
        stops.iter().take(STOPS_MAX).for_each(|stop| string(array.element(), stop));
        array.end();
    }
    if stops.len() > STOPS_MAX {
        losses.push(loss("stop", Gravity::Meaning));
    }
    if let Some(logprobs) = &chat.logprobs {
        config.bool("responseLogprobs", true);
        if let Some(top) = logprobs.top {
            config.u64("logprobs", top.into());
        }
    }
}

fn encode_output(chat: &Chat<'_>, source: Source, config: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let has_type = chat.extra.of(ID).is_some_and(|fields| fields.keys().any(|name| name.strip_prefix(PREFIX) == Some("responseMimeType")));
    match &chat.output {
        None => {}
        Some(OutputFormat::Text) if source == Source::Own => config.str("responseMimeType", "text/plain"),
        Some(OutputFormat::Text) => {}
        Some(OutputFormat::JsonObject) => config.str("responseMimeType", "application/json"),
        Some(OutputFormat::JsonSchema { description, schema, .. }) => {
            if !has_type {
                config.str("responseMimeType", "application/json");
            }
            match chat.extra.of(ID).and_then(|fields| fields.get(RESPONSE_SCHEMA)) {
                Some(own) => config.value(RESPONSE_SCHEMA, own),
                None => config.value("responseJsonSchema", schema),
            }
            if description.is_some() {
                losses.push(loss("response_format.json_schema.description", Gravity::Tuning));
            }
        }
    }
}

fn encode_thinking(chat: &Chat<'_>, model: &str, config: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if let Some(own) = chat.extra.of(ID).and_then(|fields| fields.get(THINKING_CONFIG)) {
        return config.value(THINKING_CONFIG, own);
    }
    let Some(reasoning) = &chat.reasoning else { return };
    let asked = reasoning.effort.or(reasoning.budget_tokens.map(effort_of_budget));
    let style = style(model);
    if style == Style::Unable {
        if asked.is_some_and(|effort| effort != Effort::None) {
            losses.push(loss("reasoning_effort", Gravity::Tuning));
        }
        return;
    }
    let is_off = asked == Some(Effort::None);
    if asked.is_none() && reasoning.summary.is_none() {
        return;
    }
    let mut thinking = config.object(THINKING_CONFIG);
    match (style, asked) {
        (Style::Level, Some(effort)) => thinking.str("thinkingLevel", level_of(effort, model)),
        (Style::Budget, Some(effort)) => {
            let budget_tokens = match reasoning.budget_tokens {
                Some(budget_tokens) => fit_budget(budget_tokens, model),
                None => budget_of(effort, model),
            };
            thinking.u64("thinkingBudget", budget_tokens);
        }
        _ => {}
    }
    // Whoever asks for thinking wants to see it, as other providers show it.
    if !is_off {
        thinking.bool("includeThoughts", true);
    }
    thinking.end();
}

fn encode_tier(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    match chat.service_tier.as_deref() {
        None | Some("auto") => {}
        Some("default") => body.str("serviceTier", "standard"),
        Some(tier @ ("standard" | "flex" | "priority")) => body.str("serviceTier", tier),
        Some(_) => losses.push(loss("service_tier", Gravity::Tuning)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_is_nothing_written() {
        let mut out = Vec::new();
        let mut body = Object::begin(&mut out);
        encode(&Chat::default(), Source::Foreign, "gemini-3-flash", &mut body, &mut Vec::new());
        body.end();
        assert_eq!(out, b"{}");
    }
}
