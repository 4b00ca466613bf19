//! What a key is told of itself: `GET /v1/key`, as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Amount, Budget, Limit, OnExhaust};
use crate::key::{Permits, Principal};
use crate::lease::{CalendarUnit, Standing, Window};
use crate::money::NanoDollars;
use crate::record::write_time;

/// A limit or budget that the key's requests are counted on, and how it stands.
#[derive(Clone, Debug)]
pub struct Counted<'a> {
    /// Whose it is: `key`, `team`, `customer`, `provider`, …
    pub of: &'a str,
    pub rule: Rule<'a>,
    pub standing: Standing,
}

#[derive(Clone, Copy, Debug)]
pub enum Rule<'a> {
    Limit(&'a Limit),
    Budget(&'a Budget),
}

/// Appends the state of `principal` at `unix_ms`: `object` `name` `team` `customer` `expires` `models` `deny_models` `providers`
/// `deny_providers` `tags`, and of `counted` its `limits` and `budgets`, each with `of` `limit` `used` `reserved` `remaining`
/// `resets` (RFC 3339) and `resets_in_seconds`. Dollars are decimal text. Holds no secret and no provider's credential.
pub fn write(principal: &Principal, unix_ms: u64, counted: &[Counted<'_>], out: &mut Vec<u8>) {
    let access = &principal.access;
    let limits = counted.iter().filter_map(|counted| match counted.rule {
        Rule::Limit(limit) => Some(limit_state(limit, counted, unix_ms)),
        Rule::Budget(_) => None,
    });
    let budgets = counted.iter().filter_map(|counted| match counted.rule {
        Rule::Budget(budget) => Some(budget_state(budget, counted, unix_ms)),
        Rule::Limit(_) => None,
    });
    let tags: serde_json::Map<String, Value> = access.tags.iter().map(|(name, value)| (name.to_string(), json!(&**value))).collect();
    let state = json!({
        "object": "key",
        "name": &*principal.key,
        "team": principal.team.as_deref(),
        "customer": principal.customer.as_deref(),
        "expires": (principal.expires_ms != u64::MAX).then(|| time(principal.expires_ms)),
        "models": allowed(&access.models),
        "deny_models": denied(&access.models),
        "providers": allowed(&access.providers),
        "deny_providers": denied(&access.providers),
        "tags": tags,
        "limits": limits.collect::<Vec<_>>(),
        "budgets": budgets.collect::<Vec<_>>(),
    });
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, &state);
}

fn limit_state(limit: &Limit, counted: &Counted<'_>, unix_ms: u64) -> Value {
    let mut state = standing(counted, unix_ms, |count| json!(count));
    state["measure"] = json!(limit.measure.word());
    state["per_seconds"] = json!(limit.per.map(|per| per.as_secs_f64()));
    state["shadow"] = json!(limit.shadow);
    state
}

fn budget_state(budget: &Budget, counted: &Counted<'_>, unix_ms: u64) -> Value {
    let (unit, written): (_, fn(u64) -> Value) = match budget.amount {
        Amount::Usd(_) => ("usd", |nanos| json!(NanoDollars(nanos).to_string())),
        Amount::Tokens(_) => ("tokens", |count| json!(count)),
    };
    let mut state = standing(counted, unix_ms, written);
    let (per, align) = match budget.window {
        Window::FirstSpend { per_ms } => (json!(format!("{}s", Duration::from_millis(per_ms).as_secs())), "first_spend"),
        Window::Calendar { unit: CalendarUnit::Hour, .. } => (json!("1h"), "calendar"),
        Window::Calendar { unit: CalendarUnit::Day, .. } => (json!("1d"), "calendar"),
        Window::Calendar { unit: CalendarUnit::Week, .. } => (json!("1w"), "calendar"),
        Window::Calendar { unit: CalendarUnit::Month { .. }, .. } => (json!("1mo"), "calendar"),
    };
    state["unit"] = json!(unit);
    state["per"] = per;
    state["align"] = json!(align);
    state["on_exhaust"] = match &budget.on_exhaust {
        OnExhaust::Refuse => json!("refuse"),
        OnExhaust::Cut => json!("cut"),
        OnExhaust::Downgrade(route) => json!({"downgrade": route.value}),
    };
    state["shadow"] = json!(budget.shadow);
    state
}

fn standing(counted: &Counted<'_>, unix_ms: u64, written: impl Fn(u64) -> Value) -> Value {
    let Standing { limit, settled, reserved, left, resets_in_ns } = counted.standing;
    json!({
        "of": counted.of,
        "limit": written(limit),
        "used": written(settled),
        "reserved": written(reserved),
        "remaining": written(left),
        "resets": time(unix_ms.saturating_add(resets_in_ns.div_ceil(1_000_000))),
        "resets_in_seconds": resets_in_ns as f64 / 1e9,
    })
}

fn allowed(permits: &Permits) -> Option<Vec<&str>> {
    permits.allow.as_ref().map(|patterns| patterns.iter().map(|pattern| pattern.as_str()).collect())
}

fn denied(permits: &Permits) -> Vec<&str> {
    permits.deny.iter().map(|pattern| pattern.as_str()).collect()
}

fn time(unix_ms: u64) -> String {
    let mut text = Vec::new();
    write_time(unix_ms, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{At, Measure};
    use crate::plan::testing::snapshot_of;

    #[test]
    fn a_key_sees_what_it_may_do_and_what_is_left() {
        let snapshot = snapshot_of(
            "{providers: {openai: {keys: [s3cret]}}, teams: {apps: {}}, virtual_keys: {mobile: {key: aaaaaaaaaaaaaaaa, team: apps, \
             models: [\"openai/*\"], deny_models: [openai/o1], expires: 2027-01-31, tags: {env: prod}, credentials: {openai: s3cret}}}}",
        );
        let principal = snapshot.keys.find("aaaaaaaaaaaaaaaa", None, 0).unwrap();
        let limit = Limit { measure: Measure::Requests, count: 60, per: Some(Duration::from_secs(60)), shadow: false };
        let budget = Budget {
            amount: Amount::Usd(NanoDollars(50_000_000_000)),
            window: Window::Calendar { unit: CalendarUnit::Day, offset_minutes: 0 },
            on_exhaust: OnExhaust::Downgrade(At::nowhere("small".to_owned())),
            shadow: true,
        };
        let standing = |limit, left| Standing { limit, settled: limit - left, reserved: 0, left, resets_in_ns: 1_500_000_000 };
        let counted = [
            Counted { of: "key", rule: Rule::Limit(&limit), standing: standing(60, 59) },
            Counted { of: "team", rule: Rule::Budget(&budget), standing: standing(50_000_000_000, 49_250_000_000) },
        ];
        let mut out = Vec::new();
        write(principal, 1_000, &counted, &mut out);
        assert!(!String::from_utf8_lossy(&out).contains("s3cret"));
        let state: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&state["name"], &state["team"], &state["customer"]), (&json!("mobile"), &json!("apps"), &Value::Null));
        assert_eq!(
            (&state["models"], &state["deny_models"], &state["providers"]),
            (&json!(["openai/*"]), &json!(["openai/o1"]), &Value::Null)
        );
        assert_eq!((&state["expires"], &state["tags"]), (&json!("2027-01-31T00:00:00.000Z"), &json!({"env": "prod"})));
        let limit = &state["limits"][0];
        assert_eq!(
            (&limit["measure"], &limit["limit"], &limit["remaining"], &limit["used"]),
            (&json!("requests"), &json!(60), &json!(59), &json!(1))
        );
        assert_eq!((&limit["resets"], &limit["resets_in_seconds"]), (&json!("1970-01-01T00:00:02.500Z"), &json!(1.5)));
        let budget = &state["budgets"][0];
        assert_eq!((&budget["of"], &budget["unit"], &budget["per"]), (&json!("team"), &json!("usd"), &json!("1d")));
        assert_eq!((&budget["limit"], &budget["remaining"]), (&json!("50"), &json!("49.25")));
        assert_eq!((&budget["on_exhaust"], &budget["shadow"]), (&json!({"downgrade": "small"}), &json!(true)));
    }

    #[test]
    fn without_keys_the_state_is_anonymous() {
        let mut out = Vec::new();
        write(&Principal::anonymous(), 0, &[], &mut out);
        let state: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&state["name"], &state["expires"], &state["limits"]), (&json!("anonymous"), &Value::Null, &json!([])));
    }
}
