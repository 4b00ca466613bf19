//! Plans and snapshots for tests.

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::builtins;

use super::{Plan, plan};
use crate::config;
use crate::facts::{Facts, Silent};
use crate::lease::Now;
use crate::snapshot::Snapshot;
use crate::tags::Tags;

/// Some time.
pub(crate) const NOW: Now = Now { mono_ns: 1_000_000_000, unix_ms: 1_795_170_348_123 };

/// Compiles a file that has no mistakes.
pub(crate) fn snapshot_of(text: &str) -> Snapshot {
    snapshot_after(text, None, 1)
}

pub(crate) fn snapshot_after(text: &str, previous: Option<&Snapshot>, revision: u64) -> Snapshot {
    let config = config::parse(text, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Snapshot::compile(&config, builtins(), previous, revision).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub(crate) fn facts(model: &str) -> Facts<'_> {
    Facts {
        operation: Operation::Chat,
        dialect: DialectId::OpenaiChat,
        model,
        fallbacks: &[],
        key: None,
        mode: Mode::Whole,
        body_bytes: 100,
        max_tokens: None,
        choices: 1,
        client: None,
        tags: Tags::default(),
        says: &Silent,
    }
}

/// A plan over these targets, in order, with default rules.
pub(crate) fn plan_of(targets: &[&str]) -> Plan {
    let providers: Vec<String> = targets
        .iter()
        .map(|target| format!("  {}: {{like: openai, base_url: \"http://127.0.0.1:1\"}}\n", target.split_once('/').unwrap().0))
        .collect();
    let text = format!(
        "providers:\n{}routes:\n  r: {{targets: [{}], fallbacks: [{}]}}\n",
        providers.concat(),
        targets[0],
        targets[1..].join(", ")
    );
    plan(&snapshot_of(&text), &facts("r"), NOW, &mut || 0).unwrap()
}
