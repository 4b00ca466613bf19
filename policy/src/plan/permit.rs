//! The targets of a plan that a key's requests may reach.

use ringway_adapters::fault::{Fault, Kind};

use super::{Plan, Step};
use crate::key::Principal;
use crate::snapshot::Snapshot;

/// Takes the targets out of `plan` whose provider the key may not reach, and tells `skipped` each with the reason. A target at
/// which the key brings its own credential has that one alone.
///
/// # Errors
/// `ModelNotAllowed` where nothing is left. Allocates nothing else.
pub fn permit(
    plan: &mut Plan,
    snapshot: &Snapshot,
    principal: &Principal,
    skipped: &mut dyn FnMut(&Step, &'static str),
) -> Result<(), Fault> {
    let access = &principal.access;
    if !access.credentials.is_empty() {
        for step in plan.steps.iter_mut().filter(|step| principal.credential(step.provider).is_some()) {
            step.credential_count = 1;
        }
    }
    if access.providers.all() {
        return Ok(());
    }
    let reaches = |step: &Step| access.providers.contains(&snapshot.providers[step.provider].name);
    plan.mirror = plan.mirror.take().filter(|mirror| reaches(mirror));
    let first = plan.steps.first().map(|step| step.provider);
    plan.steps.retain(|step| {
        let reached = reaches(step);
        if !reached {
            skipped(step, "the key may not reach this provider");
        }
        reached
    });
    match first {
        Some(provider) if plan.steps.is_empty() => {
            let (key, provider) = (&principal.key, &snapshot.providers[provider].name);
            let message =
                format!("key {key:?} may not reach provider {provider:?}, nor any other that serves this; its models: GET /v1/models");
            let mut fault = Fault::new(Kind::ModelNotAllowed, message);
            fault.param = Some("model".into());
            Err(fault)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use crate::plan::testing::{NOW, facts, snapshot_of};

    const FILE: &str = "
providers:
  openai: {keys: [k, l]}
  anthropic: {keys: [k]}
  groq: {keys: [k]}
routes:
  chat: {targets: [openai/gpt-4.1], fallbacks: [anthropic/claude-sonnet-4-5, groq/llama]}
virtual_keys:
  all: {key: aaaaaaaaaaaaaaaa}
  some: {key: bbbbbbbbbbbbbbbb, providers: [\"*\"], deny_providers: [\"open*\"]}
  none: {key: cccccccccccccccc, providers: []}
  own: {key: dddddddddddddddd, credentials: {openai: sk-own}}
";

    fn permitted(key: &str) -> (Result<Vec<(String, u32)>, Fault>, Vec<String>) {
        let snapshot = snapshot_of(FILE);
        let mut plan = plan(&snapshot, &facts("chat"), NOW, &mut || 0).unwrap();
        let mut skipped = Vec::new();
        let principal = snapshot.keys.find(key, None, 0).unwrap();
        let name = |step: &Step| snapshot.providers[step.provider].name.to_string();
        let result = permit(&mut plan, &snapshot, principal, &mut |step, _| skipped.push(name(step)));
        (result.map(|()| plan.steps.iter().map(|step| (name(step), step.credential_count)).collect()), skipped)
    }

    fn named(names: &[(&str, u32)]) -> Vec<(String, u32)> {
        names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn targets_at_other_providers_are_left_out_with_a_reason() {
        assert_eq!(permitted("aaaaaaaaaaaaaaaa").0.unwrap(), named(&[("openai", 2), ("anthropic", 1), ("groq", 1)]));
        let (result, skipped) = permitted("bbbbbbbbbbbbbbbb");
        assert_eq!((result.unwrap(), skipped), (named(&[("anthropic", 1), ("groq", 1)]), vec!["openai".to_owned()]));
    }

    #[test]
    fn a_key_that_reaches_nobody_is_refused() {
        let (result, skipped) = permitted("cccccccccccccccc");
        let fault = result.unwrap_err();
        assert_eq!((fault.kind, skipped.len()), (Kind::ModelNotAllowed, 3));
        assert!(fault.message.contains("key \"none\" may not reach provider \"openai\""), "{}", fault.message);
    }

    #[test]
    fn its_own_credential_is_the_only_one() {
        assert_eq!(permitted("dddddddddddddddd").0.unwrap()[0], ("openai".to_owned(), 1));
    }
}
