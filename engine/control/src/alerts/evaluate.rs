//! Evaluation: what is true now, of each rule. Decides nothing about messages.

use ringway_policy::config::{Watch, word};
use ringway_policy::lease::Now;
use ringway_policy::snapshot::Snapshot;

use super::figures::Figures;
use super::rule::Rule;

/// Past days that must be known before spend is called odd.
const DAYS_MIN: usize = 2;

/// Something that a rule is about, and that is as it should not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Stable while it lasts: `provider acme`.
    pub subject: String,
    /// How it stands, for people: `12.5% of 40 requests failed`.
    pub text: String,
    /// The figure that is too high; 1 where there is none.
    pub value: f64,
}

/// What is true of the rule now.
pub fn findings(rule: &Rule, figures: &Figures, snapshot: &Snapshot, now: Now) -> Vec<Finding> {
    match rule.watch {
        Watch::Budget => budgets(rule, snapshot, now),
        Watch::Errors => errors(rule, figures, now.unix_ms),
        Watch::Down => down(rule, snapshot, now.mono_ns),
        Watch::Latency => latency(rule, figures, now.unix_ms),
        Watch::Spend => spend(rule, figures, now.unix_ms),
    }
}

fn budgets(rule: &Rule, snapshot: &Snapshot, now: Now) -> Vec<Finding> {
    let budgets = snapshot.quotas.iter().filter(|quota| quota.is_budget() && quota.limit() > 0 && rule.names(&quota.id));
    let found = budgets.filter_map(|quota| {
        let settled = quota.account.standing(now).settled;
        let share = settled as f64 / quota.limit() as f64;
        (share >= rule.above).then(|| Finding {
            subject: format!("budget {}", quota.id),
            text: format!("{} spent of {} ({})", percent(share), quota.allows, quota.owner),
            value: share,
        })
    });
    found.collect()
}

fn errors(rule: &Rule, figures: &Figures, now_ms: u64) -> Vec<Finding> {
    let enough = figures.errors(rule, now_ms).into_iter().filter(|(_, requests, _)| *requests >= rule.least);
    let found = enough.filter_map(|(subject, requests, errors)| {
        let share = errors as f64 / requests as f64;
        (share > rule.above).then(|| Finding {
            subject: rule.subject_text(&subject),
            text: format!(
                "{} of {requests} requests failed in {} min (more than {})",
                percent(share),
                rule.over_minutes,
                percent(rule.above)
            ),
            value: share,
        })
    });
    found.collect()
}

fn latency(rule: &Rule, figures: &Figures, now_ms: u64) -> Vec<Finding> {
    let enough = figures.times(rule, now_ms).into_iter().filter(|(_, requests, _)| *requests >= rule.least);
    let slow = enough.filter(|(_, _, seconds)| *seconds > rule.above);
    let found = slow.map(|(subject, requests, seconds)| Finding {
        subject: rule.subject_text(&subject),
        text: format!(
            "{} {} of {requests} requests is {seconds:.2} s in {} min (more than {:.2} s)",
            word(ringway_policy::config::Quantile::WORDS, rule.quantile),
            match rule.time {
                ringway_policy::config::Time::Total => "time",
                ringway_policy::config::Time::FirstToken => "time to first token",
            },
            rule.over_minutes,
            rule.above
        ),
        value: seconds,
    });
    found.collect()
}

fn spend(rule: &Rule, figures: &Figures, now_ms: u64) -> Vec<Finding> {
    let enough = figures.spend(rule, now_ms).into_iter().filter(|(_, now, past)| *now >= rule.least && past.len() >= DAYS_MIN);
    let found = enough.filter_map(|(subject, now, past)| {
        let usual = past.iter().sum::<u64>() as f64 / past.len() as f64;
        let factor = now as f64 / usual.max(1.0);
        (now as f64 > usual * rule.above).then(|| Finding {
            subject: rule.subject_text(&subject),
            text: format!(
                "{:.2} USD in this hour, {:.2} USD is usual for it on the last {} days (more than {}x)",
                now as f64 * 1e-9,
                usual * 1e-9,
                past.len(),
                rule.above
            ),
            value: factor,
        })
    });
    found.collect()
}

fn down(rule: &Rule, snapshot: &Snapshot, now_ns: u64) -> Vec<Finding> {
    let open = snapshot.targets().filter(|target| target.standing(now_ns).breaker == "open" && rule.names(&target.id));
    let targets = open.map(|target| Finding {
        subject: format!("target {}", target.id),
        text: "its breaker is open: it failed again and again".to_owned(),
        value: 1.0,
    });
    let all = snapshot.providers.iter().flat_map(|upstream| upstream.credentials.iter().map(move |credential| (upstream, credential)));
    let keys = all.filter_map(|(upstream, credential)| {
        let name = format!("{}/{}", upstream.name, credential.name);
        let why = credential.bench(now_ns)?.why.name();
        // One that is only rate-limited comes back by itself.
        (matches!(why, "refused" | "spent") && rule.names(&name)).then(|| Finding {
            subject: format!("key {name}"),
            text: match why {
                "spent" => "the provider says that its money or quota is used up".to_owned(),
                _ => "the provider does not take it".to_owned(),
            },
            value: 1.0,
        })
    });
    targets.chain(keys).collect()
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}
