use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::usage::Usage;

use super::*;
use crate::facts::Facts;
use crate::key::Principal;
use crate::pipeline::Verdict;
use crate::plan::testing::{facts, snapshot_after, snapshot_of};
use crate::plan::{Plan, plan};
use crate::snapshot::Snapshot;
use crate::tags::Tags;

const AT: At = At { shard: 0, now: Now { mono_ns: 1_000_000_000, unix_ms: 1_795_170_348_000 } };

/// A file whose key `k` has these limits and budgets.
fn file(key: &str) -> String {
    format!(
        "providers: {{a: {{like: openai, base_url: \"http://127.0.0.1:1\", models: [m]}}, b: {{like: openai, base_url: \"http://127.0.0.1:2\"}}}}\n\
         routes:\n  r: {{targets: [a/m]}}\n  cheap: {{targets: [ringway/echo]}}\n  free: {{targets: [a/m], unpriced: allow}}\n\
         teams: {{t: {{limits: [{{requests: 100, per: 1m}}]}}}}\n\
         virtual_keys: {{k: {{key: aaaaaaaaaaaaaaaa, team: t, {key}}}}}\n"
    )
}

struct Stage {
    snapshot: Snapshot,
    principal: Arc<Principal>,
}

impl Stage {
    fn new(key: &str) -> Stage {
        Stage::of(snapshot_of(&file(key)))
    }

    fn of(snapshot: Snapshot) -> Stage {
        snapshot.quotas.enact(AT.now);
        let principal = snapshot.keys.find("aaaaaaaaaaaaaaaa", None, 0).unwrap().clone();
        Stage { snapshot, principal }
    }

    fn plan(&self, facts: &Facts<'_>) -> Plan {
        plan(&self.snapshot, facts, crate::plan::testing::NOW, &mut || 0).unwrap()
    }

    fn try_admit(&self, facts: &Facts<'_>) -> (Bill, Verdict) {
        let mut bill = Bill::default();
        let verdict = bill.admit(&self.principal, &self.snapshot, facts, &self.plan(facts), AT);
        (bill, verdict)
    }

    fn admit(&self, facts: &Facts<'_>) -> Bill {
        let (bill, verdict) = self.try_admit(facts);
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        bill
    }

    fn refused(&self, facts: &Facts<'_>) -> Fault {
        match self.try_admit(facts).1 {
            Verdict::Refuse(fault) => fault,
            other => panic!("{other:?}"),
        }
    }

    fn standing(&self, id: &str) -> crate::lease::Standing {
        let quota = self.snapshot.quotas.iter().find(|quota| *quota.id == *id);
        quota.unwrap_or_else(|| panic!("{id} is not there")).account.standing(AT.now)
    }
}

fn spent(input: u64, output: u64) -> Spent {
    Spent { input, output, cost: None }
}

fn bounded(max_tokens: u64) -> Facts<'static> {
    Facts { max_tokens: Some(max_tokens), ..facts("r") }
}

#[test]
fn ids_say_whose_and_what_and_last_through_snapshots() {
    let key =
        "limits: [{requests: 3, per: 1m}, {requests: 9, per: 1m}, {concurrent: 2}], budgets: [{usd: \"1.5\", per: 1mo, align: calendar}]";
    let first = Stage::new(key);
    let ids: Vec<&str> = first.snapshot.quotas.iter().map(|quota| &*quota.id).collect();
    assert_eq!(ids, ["team/t/requests/1m", "key/k/requests/1m", "key/k/requests/1m/2", "key/k/concurrent", "key/k/usd/month"]);
    assert_eq!(first.principal.quotas.list(AT.now).len(), 5);
    first.admit(&facts("free"));
    let second = Stage::of(snapshot_after(&file("limits: [{requests: 5, per: 1m}]"), Some(&first.snapshot), 2));
    let standing = second.standing("key/k/requests/1m");
    assert_eq!((standing.limit, standing.left), (5, 4), "the amount is new, what was spent stays");
}

#[test]
fn the_first_refusal_gives_back_what_others_promised() {
    let stage = Stage::new("limits: [{concurrent: 5}, {requests: 2, per: 1m}]");
    let held: Vec<Bill> = (0..2).map(|_| stage.admit(&facts("r"))).collect();
    let fault = stage.refused(&facts("r"));
    assert_eq!(fault.kind, Kind::RateLimited);
    assert!(
        fault.message.starts_with("the limit of key \"k\" is 2 requests per 1m: 0 left, 1 needed; try again in 30.0 s"),
        "{}",
        fault.message
    );
    assert_eq!(fault.retry_after, Some(std::time::Duration::from_secs(30)));
    assert_eq!(stage.standing("key/k/concurrent").left, 3, "only the two that run");
    assert_eq!(stage.standing("team/t/requests/1m").left, 98);
    drop(held);
    assert_eq!(stage.standing("key/k/concurrent").left, 5, "what is dropped is given back");
}

#[test]
fn what_is_promised_to_others_is_worth_another_try() {
    let stage = Stage::new("limits: [{tokens: 1000, per: 1h}]");
    let _first = stage.admit(&bounded(900));
    let fault = stage.refused(&bounded(900));
    assert!(fault.retry_after.is_some() && !fault.message.contains("never"), "{}", fault.message);
}

#[test]
fn tokens_settle_to_what_was_used() {
    let stage = Stage::new("limits: [{tokens: 1000, per: 1h}, {input_tokens: 500, per: 1h}, {output_tokens: 700, per: 1h}]");
    let mut bill = stage.admit(&bounded(600));
    assert_eq!(stage.standing("key/k/tokens/1h").left, 1000 - 25 - 600);
    let rows = bill.settle(&spent(30, 100), AT);
    assert_eq!(stage.standing("key/k/tokens/1h").left, 870);
    assert_eq!(stage.standing("key/k/input_tokens/1h").left, 470);
    assert_eq!(stage.standing("key/k/output_tokens/1h").left, 600);
    assert_eq!(rows.iter().map(|row| row.actual).collect::<Vec<_>>(), [130, 30, 100, 1]);
    drop(bill);
    assert_eq!(stage.standing("key/k/tokens/1h").left, 870, "settled once");
    let fault = stage.refused(&bounded(5000));
    assert!(fault.message.contains("it never allows so much at once") && fault.retry_after.is_none(), "{}", fault.message);
}

#[test]
fn a_guess_lets_a_request_into_a_quota_that_is_smaller() {
    let stage = Stage::new("limits: [{tokens: 100, per: 1h}]");
    let mut bill = stage.admit(&facts("r"));
    assert_eq!(stage.standing("key/k/tokens/1h").left, 0);
    bill.settle(&spent(25, 10), AT);
    assert_eq!(stage.standing("key/k/tokens/1h").left, 65);
}

#[test]
fn a_shadow_reports_and_refuses_nothing() {
    let stage = Stage::new("limits: [{requests: 1, per: 1m, shadow: true}]");
    stage.admit(&facts("r"));
    let mut bill = stage.admit(&facts("r"));
    let rows = bill.settle(&spent(0, 0), AT);
    assert_eq!((rows[0].state, rows[0].actual), (State::Over, 1));
}

#[test]
fn a_used_up_budget_names_who_stands_in_and_is_not_asked_again() {
    let stage = Stage::new("budgets: [{tokens: 50, per: 1d, on_exhaust: {downgrade: cheap}}]");
    stage.admit(&bounded(20)).settle(&spent(30, 20), AT);
    let (mut bill, verdict) = stage.try_admit(&bounded(20));
    assert!(matches!(verdict, Verdict::Instead(ref route) if &**route == "cheap"), "{verdict:?}");
    let cheap = Facts { model: "cheap", ..bounded(20) };
    let verdict = bill.admit(&stage.principal, &stage.snapshot, &cheap, &stage.plan(&cheap), AT);
    assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
    let rows = bill.settle(&spent(5, 5), AT);
    assert_eq!(rows.iter().find(|row| row.quota.is_budget()).map(|row| (row.state, row.actual)), Some((State::Over, 10)));
    assert_eq!(stage.standing("key/k/budget-tokens/1d").settled, 60, "it counts as debt");
}

#[test]
fn a_price_that_is_not_known_is_refused_under_a_budget_in_usd() {
    let stage = Stage::new("budgets: [{usd: \"1\", per: 1d}]");
    let fault = stage.refused(&facts("r"));
    assert_eq!(fault.kind, Kind::BudgetExceeded);
    for part in ["key \"k\"", "1 USD per 1d", "a/m", "unpriced: allow", "providers: {a: {models:"] {
        assert!(fault.message.contains(part), "{part}: {}", fault.message);
    }
    stage.admit(&facts("free"));
    stage.admit(&facts("ringway/echo"));
}

#[test]
fn a_target_without_a_price_is_left_out_among_others() {
    let stage = Stage::new("budgets: [{usd: \"1\", per: 1d}]");
    let fallbacks = ["ringway/echo".to_owned()];
    let asked = Facts { fallbacks: &fallbacks, ..facts("r") };
    let bill = stage.admit(&asked);
    let plan = stage.plan(&asked);
    let skipped: Vec<bool> =
        plan.steps.iter().enumerate().map(|(index, step)| bill.skips(&stage.snapshot, index, step).is_some()).collect();
    assert_eq!(skipped, [true, false]);
}

#[test]
fn a_stream_asks_for_more_as_it_goes_and_goes_on_into_debt() {
    let stage = Stage::new("budgets: [{tokens: 2000, per: 1d}]");
    let asked = facts("r");
    let mut bill = stage.admit(&asked);
    let plan = stage.plan(&asked);
    bill.attempt(&stage.snapshot, &plan.rules, &plan.steps[0], None, AT).unwrap();
    assert_eq!(stage.standing("key/k/budget-tokens/1d").reserved, 25 + 512);
    assert_eq!(bill.delivered(400, || AT), Flow::GoOn);
    assert_eq!(stage.standing("key/k/budget-tokens/1d").reserved, 537, "far from what is reserved nothing is asked for");
    assert_eq!(bill.delivered(1_900, || AT), Flow::GoOn);
    assert_eq!(stage.standing("key/k/budget-tokens/1d").reserved, 537 + 512);
    assert_eq!(bill.delivered(40_000, || AT), Flow::GoOn);
    bill.settle_attempt(&Usage { input: 25, output: 10_000, ..Usage::default() }, None, AT);
    bill.settle(&spent(25, 10_000), AT);
    let standing = stage.standing("key/k/budget-tokens/1d");
    assert_eq!((standing.settled, standing.reserved, standing.left), (10_025, 0, 0));
}

#[test]
fn a_budget_that_cuts_ends_a_stream_once_all_is_used() {
    let stage = Stage::new("budgets: [{tokens: 90000, per: 1w}, {tokens: 1000, per: 1d, on_exhaust: cut}]");
    let asked = facts("r");
    let mut bill = stage.admit(&asked);
    assert!(bill.may_cut());
    let cut_at = (0..20_000u64).find(|bytes| bill.delivered(*bytes, || AT) == Flow::Cut).unwrap();
    assert_eq!(cut_at, 512 * 4, "all that is reserved is used up");
    assert_eq!(stage.standing("key/k/budget-tokens/1w").reserved, 537, "what could not be used is promised nowhere");
    bill.settle(&spent(25, cut_at / 4), AT);
    assert!(stage.standing("key/k/budget-tokens/1d").settled <= 1000);
}

#[test]
fn quotas_of_a_target_are_asked_at_each_attempt() {
    let text = file("").replace("models: [m]", "models: [m], limits: [{requests: 1, per: 1m}], budgets: [{tokens: 1000, per: 1d}]")
        + "limits: [{requests: 50, per: 1m, model: \"a/*\"}]\n";
    let stage = Stage::of(snapshot_of(&text));
    let asked = bounded(100);
    let plan = stage.plan(&asked);
    let mut bill = stage.admit(&asked);
    bill.attempt(&stage.snapshot, &plan.rules, &plan.steps[0], None, AT).unwrap();
    bill.settle_attempt(&Usage { input: 20, output: 30, ..Usage::default() }, None, AT);
    assert_eq!(stage.standing("provider/a/budget-tokens/1d").settled, 50);
    assert_eq!(stage.standing("model/a%2F*/requests/1m").left, 49);
    let fault = bill.attempt(&stage.snapshot, &plan.rules, &plan.steps[0], None, AT).unwrap_err();
    assert!(fault.kind == Kind::RateLimited && fault.message.contains("provider \"a\""), "{}", fault.message);
    assert_eq!(stage.standing("model/a%2F*/requests/1m").left, 49, "refused attempts count nowhere");
    bill.settle(&spent(20, 30), AT);
}

#[test]
fn tags_have_quotas_of_their_own() {
    let stage = Stage::of(snapshot_of(&(file("") + "limits: [{requests: 1, per: 1m, tag: env=dev}, {requests: 7, per: 1m}]\n")));
    let tagged = Facts { tags: Tags::new(&[], Some("a=b, env=dev")).unwrap(), ..facts("r") };
    stage.admit(&tagged);
    stage.refused(&tagged);
    stage.admit(&Facts { tags: Tags::new(&[], Some("env=prod")).unwrap(), ..facts("r") });
    assert_eq!(stage.standing("all/requests/1m").left, 5);
}

#[test]
fn the_tightest_limit_is_told() {
    let stage = Stage::new("limits: [{requests: 60, per: 1m}, {tokens: 10000, per: 1m}, {input_tokens: 900, per: 1m}]");
    let bill = stage.admit(&bounded(100));
    let requests = tightest(bill.rows(), |measure| measure == Measure::Requests).unwrap();
    assert_eq!((requests.limit, requests.remaining, requests.reset_ns), (60, 59, 1_000_000_000));
    let tokens = tightest(bill.rows(), |measure| measure != Measure::Requests).unwrap();
    assert_eq!((tokens.limit, tokens.remaining), (900, 875));
}

#[test]
fn a_principal_without_quotas_has_an_empty_bill() {
    let snapshot = snapshot_of("providers: {a: {like: openai, base_url: \"http://127.0.0.1:1\"}}");
    let asked = facts("a/m");
    let plan = plan(&snapshot, &asked, crate::plan::testing::NOW, &mut || 0).unwrap();
    let mut bill = Bill::default();
    assert!(matches!(bill.admit(&snapshot.anonymous, &snapshot, &asked, &plan, AT), Verdict::Continue));
    assert_eq!(bill.delivered(u64::MAX, || panic!("no clock is read")), Flow::GoOn);
    assert!(bill.rows().is_empty());
}

#[test]
fn the_one_of_two_that_does_not_go_on_is_settled_alone() {
    let limits = "limits: [{provider: a, tokens: 5000, per: 1d}, {provider: b, tokens: 5000, per: 1d}]\n";
    for first_goes_on in [true, false] {
        let both = file("models: [r]").replace("targets: [a/m]}\n  cheap", "targets: [a/m], fallbacks: [b/m]}\n  cheap") + limits;
        let stage = Stage::of(snapshot_of(&both));
        let facts = bounded(1_000);
        let (plan, mut bill) = (stage.plan(&facts), stage.admit(&facts));
        bill.attempt(&stage.snapshot, &plan.rules, &plan.steps[0], None, AT).unwrap();
        let rows_from = bill.beside(&stage.snapshot, &plan.rules, &plan.steps[1], None, AT).unwrap();
        let used = |provider: &str| {
            let of_provider = |quota: &&Arc<Quota>| quota.kind == "provider" && quota.id.contains(&format!("/{provider}/"));
            let standing = stage.snapshot.quotas.iter().find(of_provider).expect("its limit").account.standing(AT.now);
            5_000 - standing.left
        };
        assert!(used("a") >= 1_000 && used("b") >= 1_000, "both are promised");
        let usage = |input, output| Usage { input, output, ..Usage::default() };
        match first_goes_on {
            true => bill.drop_second(rows_from, &usage(7, 0), None, AT),
            false => bill.drop_first(rows_from, &plan.steps[1], &usage(7, 0), None, AT),
        }
        bill.settle_attempt(&usage(7, 20), None, AT);
        let (kept, lost) = if first_goes_on { ("a", "b") } else { ("b", "a") };
        assert_eq!((used(kept), used(lost)), (27, 7));
        bill.settle(&spent(14, 20), AT);
    }
}

/// A file of so many keys with a limit each; the one that is tested stands last.
fn many(count: usize, limit: u32) -> String {
    let others: String = (0..count).map(|n| format!("  o{n}: {{key: other-key-{n:08}, limits: [{{requests: 9, per: 1m}}]}}\n")).collect();
    let last = format!("  k: {{key: aaaaaaaaaaaaaaaa, limits: [{{requests: {limit}, per: 1h}}]}}\n");
    format!(
        "providers: {{a: {{like: openai, base_url: \"http://127.0.0.1:1\"}}}}\nroutes: {{r: {{targets: [a/m]}}}}\nvirtual_keys:\n{others}{last}"
    )
}

#[test]
fn a_key_that_never_asks_has_no_account() {
    let stage = Stage::of(snapshot_of(&many(600, 3)));
    let made = |stage: &Stage| stage.snapshot.quotas.iter().filter(|quota| &*quota.id == "key/k/requests/1h").count();
    assert_eq!(made(&stage), 0);
    assert_eq!(stage.principal.quotas.look(AT.now)[0].account.standing(AT.now).left, 3);
    assert_eq!(made(&stage), 0, "whoever looks makes nothing");
    drop(stage.admit(&facts("r")));
    assert_eq!((made(&stage), stage.standing("key/k/requests/1h").left), (1, 2));
    assert!(stage.snapshot.quotas.iter().count() < 300);
}

#[test]
fn a_key_first_seen_by_an_old_snapshot_keeps_its_account_in_the_new_one() {
    let old = Stage::of(snapshot_of(&many(600, 3)));
    let new = Stage::of(snapshot_after(&many(600, 5), Some(&old.snapshot), 2));
    drop(old.admit(&facts("r")));
    drop(new.admit(&facts("r")));
    assert_eq!(new.standing("key/k/requests/1h").left, 3, "two of five are spent");
    drop(old.admit(&facts("r")));
    assert_eq!(new.standing("key/k/requests/1h").left, 2, "the old snapshot does not bring its terms back");
    let third = Stage::of(snapshot_after(&many(600, 4), Some(&new.snapshot), 3));
    assert_eq!(third.standing("key/k/requests/1h").left, 1, "an account in use is there at once");
}
