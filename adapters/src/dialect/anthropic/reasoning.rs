//! How much to think: Anthropic's `thinking` and `output_config.effort` against the hub's effort and budget.
//!
//! | hub effort | `output_config.effort` | `thinking.budget_tokens` |
//! |---|---|---|
//! | none | – (`thinking: disabled`) | – |
//! | minimal, low | low | 1,024, 2,048 |
//! | medium | medium | 8,192 |
//! | high | high | 16,384 |
//! | max | max (`xhigh` reads as max) | 32,768 |
//!
//! Models up to 4.5 take a budget, later ones `adaptive` with an effort; those before 3.7 do not think at all.
//! docs.anthropic.com/en/docs/build-with-claude/{extended-thinking,adaptive-thinking,effort}, read 2026-11-20.

use crate::ir::Effort;

/// The smallest budget that Anthropic takes, tokens.
pub(in crate::dialect) const BUDGET_TOKENS_MIN: u64 = 1024;

const EFFORTS: &[(Effort, &str, u64)] = &[
    (Effort::Minimal, "low", 1024),
    (Effort::Low, "low", 2048),
    (Effort::Medium, "medium", 8192),
    (Effort::High, "high", 16384),
    (Effort::Max, "max", 32768),
];

/// The effort that a word of `output_config.effort` means.
pub(in crate::dialect) fn effort_of(word: &str) -> Option<Effort> {
    match word {
        "low" => Some(Effort::Low),
        "medium" => Some(Effort::Medium),
        "high" => Some(Effort::High),
        "xhigh" | "max" => Some(Effort::Max),
        _ => None,
    }
}

pub(in crate::dialect) fn word_of(effort: Effort) -> Option<&'static str> {
    EFFORTS.iter().find(|row| row.0 == effort).map(|row| row.1)
}

pub(in crate::dialect) fn budget_of(effort: Effort) -> Option<u64> {
    EFFORTS.iter().find(|row| row.0 == effort).map(|row| row.2)
}

/// The lowest effort whose budget is at least `budget_tokens`.
pub(in crate::dialect) fn effort_of_budget(budget_tokens: u64) -> Effort {
    EFFORTS.iter().find(|row| row.2 >= budget_tokens).map_or(Effort::Max, |row| row.0)
}

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Style {
    Unable,
    Budget,
    Adaptive,
}

/// Parts of model names, first match wins; any other name is a later model.
const STYLES: &[(&str, Style)] = &[
    ("claude-2", Style::Unable),
    ("claude-instant", Style::Unable),
    ("claude-3-7", Style::Budget),
    ("claude-3", Style::Unable),
    ("-4-20250514", Style::Budget),
    ("-4-0", Style::Budget),
    ("-4-1", Style::Budget),
    ("-4-5", Style::Budget),
];

pub(in crate::dialect) fn style(model: &str) -> Style {
    STYLES.iter().find(|(part, _)| model.contains(part)).map_or(Style::Adaptive, |row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_asked_in_the_way_that_it_knows() {
        for (model, expected) in [
            ("claude-3-5-sonnet-20241022", Style::Unable),
            ("claude-3-7-sonnet-latest", Style::Budget),
            ("claude-sonnet-4-20250514", Style::Budget),
            ("claude-opus-4-1-20250805", Style::Budget),
            ("claude-haiku-4-5-20251001", Style::Budget),
            ("claude-opus-4-6", Style::Adaptive),
            ("claude-opus-5", Style::Adaptive),
        ] {
            assert_eq!(style(model), expected, "{model}");
        }
    }

    #[test]
    fn an_effort_and_its_budget_lead_back_to_each_other() {
        for &(effort, _, budget_tokens) in EFFORTS {
            assert_eq!(effort_of_budget(budget_tokens), effort);
        }
        assert_eq!(effort_of_budget(1_000_000), Effort::Max);
    }
}
