//! How much to think: `thinkingConfig` against the hub's effort and budget.
//!
//! | hub effort | `thinkingBudget` (2.5) | `thinkingLevel` (3 and later) |
//! |---|---|---|
//! | none | 0 | minimal |
//! | minimal | 512 | minimal |
//! | low | 1,024 | low |
//! | medium | 8,192 | medium |
//! | high | 24,576 | high |
//! | max | 32,768 | high |
//!
//! Pro models cannot be kept from thinking: they get the least that they take.
//! ai.google.dev/gemini-api/docs/{thinking,openai}, read 2026-11-20.

use crate::ir::Effort;

const EFFORTS: &[(Effort, u64, &str)] = &[
    (Effort::None, 0, "minimal"),
    (Effort::Minimal, 512, "minimal"),
    (Effort::Low, 1_024, "low"),
    (Effort::Medium, 8_192, "medium"),
    (Effort::High, 24_576, "high"),
    (Effort::Max, 32_768, "high"),
];

/// The least that 2.5 Pro thinks, tokens.
const PRO_BUDGET_TOKENS_MIN: u64 = 128;

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Unable,
    Budget,
    Level,
}

/// Parts of model names, first match wins; any other name is a later model.
const STYLES: &[(&str, Style)] = &[
    ("gemini-1", Style::Unable),
    ("gemini-2.0-flash-thinking", Style::Budget),
    ("gemini-2.0", Style::Unable),
    ("gemini-2.5", Style::Budget),
    ("gemini-pro", Style::Unable),
    ("gemma", Style::Unable),
    ("learnlm", Style::Unable),
];

pub(super) fn style(model: &str) -> Style {
    STYLES.iter().find(|(part, _)| model.contains(part)).map_or(Style::Level, |row| row.1)
}

fn is_pro(model: &str) -> bool {
    model.contains("-pro")
}

pub(super) fn budget_of(effort: Effort, model: &str) -> u64 {
    let budget_tokens = EFFORTS.iter().find(|row| row.0 == effort).map_or(0, |row| row.1);
    fit_budget(budget_tokens, model)
}

/// `budget_tokens` as the model takes it: 2.5 Flash thinks 24,576 tokens at most.
pub(super) fn fit_budget(budget_tokens: u64, model: &str) -> u64 {
    match is_pro(model) {
        true => budget_tokens.clamp(PRO_BUDGET_TOKENS_MIN, 32_768),
        false => budget_tokens.min(24_576),
    }
}

/// The level for an effort. 3 Pro knows no `minimal`.
pub(super) fn level_of(effort: Effort, model: &str) -> &'static str {
    let level = EFFORTS.iter().find(|row| row.0 == effort).map_or("high", |row| row.2);
    if level == "minimal" && is_pro(model) { "low" } else { level }
}

/// The effort that a level means, in either case.
pub(super) fn effort_of(level: &str) -> Option<Effort> {
    EFFORTS[1..].iter().find(|row| row.2.eq_ignore_ascii_case(level)).map(|row| row.0)
}

/// The lowest effort whose budget is at least `budget_tokens`.
pub(super) fn effort_of_budget(budget_tokens: u64) -> Effort {
    EFFORTS.iter().find(|row| row.1 >= budget_tokens).map_or(Effort::Max, |row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_asked_in_the_way_that_it_knows() {
        for (model, expected) in [
            ("gemini-1.5-pro", Style::Unable),
            ("gemini-2.0-flash", Style::Unable),
            ("gemini-2.5-flash-lite", Style::Budget),
            ("google/gemini-2.5-pro", Style::Budget),
            ("gemini-3-flash-preview", Style::Level),
            ("gemini-3.1-pro-preview", Style::Level),
            ("gemma-3-27b-it", Style::Unable),
        ] {
            assert_eq!(style(model), expected, "{model}");
        }
    }

    #[test]
    fn an_effort_and_its_budget_lead_back_to_each_other() {
        for &(effort, budget_tokens, _) in EFFORTS {
            assert_eq!(effort_of_budget(budget_tokens), effort);
        }
        assert_eq!(effort_of_budget(1_000_000), Effort::Max);
        assert_eq!((effort_of("HIGH"), effort_of("minimal"), effort_of("dynamic")), (Some(Effort::High), Some(Effort::Minimal), None));
    }

    #[test]
    fn models_get_what_they_take() {
        assert_eq!((budget_of(Effort::None, "gemini-2.5-flash"), budget_of(Effort::None, "gemini-2.5-pro")), (0, 128));
        assert_eq!((budget_of(Effort::Max, "gemini-2.5-flash"), budget_of(Effort::Max, "gemini-2.5-pro")), (24_576, 32_768));
        assert_eq!((level_of(Effort::None, "gemini-3-flash"), level_of(Effort::Minimal, "gemini-3-pro")), ("minimal", "low"));
    }
}
