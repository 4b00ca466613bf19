//! What records come to, by the minute and by the hour, for the rules that ask.
//!
//! Filled on the ledger's thread, read by the evaluation; nothing is kept where no rule asks. Bounded by subjects and time.

use std::sync::Arc;

use ahash::AHashMap;
use ringway_adapters::fault::Blame;
use ringway_adapters::ir::Mode;
use ringway_policy::config::{OVER_MAX, Time, Watch};
use ringway_policy::record::Record;

use super::rule::Rule;

/// Subjects of one rule that are told apart; a later one is not watched.
pub const SUBJECTS_MAX: usize = 256;
/// The minute under way, and those before it.
const MINUTES: usize = OVER_MAX.as_secs() as usize / 60 + 1;
/// Same hours of past days that an hour's spend is held against.
pub const DAYS: u64 = 7;
const HOURS: usize = (DAYS as usize + 1) * 24;
/// Buckets of times: each a quarter wider than the one before, from a millisecond to more than ten minutes.
const TIMES: usize = 62;
const TIME_FIRST_S: f64 = 0.001;
const TIME_GROWTH: f64 = 1.25;

/// One minute of one subject.
#[derive(Clone, Copy)]
struct Minute {
    /// Minutes since 1970.
    at: u64,
    requests: u32,
    errors: u32,
}

/// How one subject fared.
struct Subject {
    minutes: [Minute; MINUTES],
    /// Times by minute, where latency is watched.
    times: Option<Box<[[u32; TIMES]; MINUTES]>>,
}

/// Nano-dollars by hour: the hour since 1970, and what it cost.
type Hours = [(u64, u64); HOURS];

/// The figures of one rule.
#[derive(Default)]
struct Watched {
    subjects: AHashMap<Box<str>, Subject>,
    hours: AHashMap<Box<str>, Box<Hours>>,
}

/// The figures of all rules that are made of records.
#[derive(Default)]
pub struct Figures {
    rules: Vec<(Arc<Rule>, Watched)>,
}

impl Figures {
    /// Takes new rules; a rule that watches the same as before keeps its figures.
    pub fn follow(&mut self, rules: &[Arc<Rule>]) {
        let mut before = std::mem::take(&mut self.rules);
        for rule in rules.iter().filter(|rule| matches!(rule.watch, Watch::Errors | Watch::Latency | Watch::Spend)) {
            let same = |old: &(Arc<Rule>, Watched)| {
                old.0.name == rule.name && old.0.watch == rule.watch && old.0.by == rule.by && old.0.time == rule.time
            };
            let watched = before.iter().position(same).map(|at| before.swap_remove(at).1).unwrap_or_default();
            self.rules.push((rule.clone(), watched));
        }
    }

    /// Adds a batch.
    pub fn observe(&mut self, records: &[Record]) {
        for (rule, watched) in &mut self.rules {
            for record in records.iter().filter(|record| record.mirror_of.is_none()) {
                if let Some(subject) = rule.subject(record).filter(|subject| rule.names(subject)) {
                    watched.add(rule, subject, record);
                }
            }
        }
    }

    /// Requests and errors of the last minutes, by subject.
    pub fn errors(&self, rule: &Rule, now_ms: u64) -> Vec<(String, u64, u64)> {
        let Some(watched) = self.of(rule) else { return Vec::new() };
        let sums = watched.subjects.iter().map(|(name, subject)| {
            let recent = subject.minutes.iter().filter(|minute| is_recent(minute.at, rule, now_ms));
            let sum = recent.fold((0, 0), |sum, minute| (sum.0 + u64::from(minute.requests), sum.1 + u64::from(minute.errors)));
            (name.to_string(), sum.0, sum.1)
        });
        sums.collect()
    }

    /// Requests of the last minutes, and the time that the rule's part of them does not exceed, by subject.
    pub fn times(&self, rule: &Rule, now_ms: u64) -> Vec<(String, u64, f64)> {
        let Some(watched) = self.of(rule) else { return Vec::new() };
        let all = watched.subjects.iter().filter_map(|(name, subject)| {
            let mut counts = [0u64; TIMES];
            for (minute, times) in subject.minutes.iter().zip(subject.times.as_ref()?.iter()) {
                if is_recent(minute.at, rule, now_ms) {
                    counts.iter_mut().zip(times).for_each(|(sum, more)| *sum += u64::from(*more));
                }
            }
            let requests: u64 = counts.iter().sum();
            let wanted = (requests as f64 * rule.quantile.share()).ceil() as u64;
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= wanted.max(1)
            })?;
            Some((name.to_string(), requests, TIME_FIRST_S * TIME_GROWTH.powi(bucket as i32)))
        });
        all.collect()
    }

    /// Nano-dollars of this hour, and of the same hour of past days that are known, by subject.
    pub fn spend(&self, rule: &Rule, now_ms: u64) -> Vec<(String, u64, Vec<u64>)> {
        let Some(watched) = self.of(rule) else { return Vec::new() };
        let hour = now_ms / 3_600_000;
        let of = |hours: &Hours, hour: u64| hours[hour as usize % HOURS];
        let all = watched.hours.iter().map(|(name, hours)| {
            let now = Some(of(hours, hour)).filter(|(at, _)| *at == hour).map_or(0, |(_, cost)| cost);
            let first = hours.iter().filter(|(_, cost)| *cost > 0).map(|(at, _)| *at).min().unwrap_or(hour);
            // A day on which nothing was spent in this hour counts, once anything is known of it.
            let days = (1..=DAYS).filter_map(|day| hour.checked_sub(day * 24)).filter(|at| *at >= first);
            let past = days.map(|at| Some(of(hours, at)).filter(|(known, _)| *known == at).map_or(0, |(_, cost)| cost));
            (name.to_string(), now, past.collect())
        });
        all.collect()
    }

    /// Every hour's spend that is known: rule, subject, hour, nano-dollars.
    pub fn hours(&self) -> Vec<(Arc<str>, String, u64, u64)> {
        let all = self.rules.iter().flat_map(|(rule, watched)| {
            watched.hours.iter().flat_map(move |(name, hours)| {
                hours.iter().filter(|(_, cost)| *cost > 0).map(move |(at, cost)| (rule.name.clone(), name.to_string(), *at, *cost))
            })
        });
        all.collect()
    }

    /// Puts back what was known before the start.
    pub fn restore(&mut self, rule: &str, subject: &str, hour: u64, cost: u64) {
        let Some((_, watched)) = self.rules.iter_mut().find(|(known, _)| &*known.name == rule) else { return };
        if let Some(hours) = watched.hours_of(subject) {
            let slot = &mut hours[hour as usize % HOURS];
            match slot.0.cmp(&hour) {
                std::cmp::Ordering::Less => *slot = (hour, cost),
                std::cmp::Ordering::Equal => slot.1 = slot.1.saturating_add(cost),
                std::cmp::Ordering::Greater => {}
            }
        }
    }

    fn of(&self, rule: &Rule) -> Option<&Watched> {
        self.rules.iter().find(|(known, _)| known.name == rule.name).map(|(_, watched)| watched)
    }
}

impl Watched {
    fn add(&mut self, rule: &Rule, name: &str, record: &Record) {
        if rule.watch == Watch::Spend {
            let cost = record.cost.map_or(0, |cost| cost.0);
            let hour = record.at_ms / 3_600_000;
            if let Some(hours) = self.hours_of(name).filter(|_| cost > 0) {
                let slot = &mut hours[hour as usize % HOURS];
                if slot.0 != hour {
                    *slot = (hour, 0);
                }
                slot.1 = slot.1.saturating_add(cost);
            }
            return;
        }
        let wants_times = rule.watch == Watch::Latency;
        let seconds = match rule.time {
            Time::Total => Some(record.total_ns),
            Time::FirstToken => Some(record.first_byte_ns).filter(|ns| record.mode == Mode::Stream && *ns > 0),
        };
        // Only what was answered tells how fast answers are.
        let seconds = seconds.filter(|_| wants_times && (200..300).contains(&record.status)).map(|ns| ns as f64 * 1e-9);
        if wants_times && seconds.is_none() {
            return;
        }
        let Some(subject) = self.subject(name, wants_times) else { return };
        let at = record.at_ms / 60_000;
        let index = at as usize % MINUTES;
        let minute = &mut subject.minutes[index];
        if minute.at > at {
            return;
        }
        if minute.at != at {
            *minute = Minute { at, requests: 0, errors: 0 };
            subject.times.iter_mut().for_each(|times| times[index] = [0; TIMES]);
        }
        minute.requests = minute.requests.saturating_add(1);
        let is_error = record.fault.is_some_and(|kind| matches!(kind.blame(), Blame::Upstream | Blame::Gateway));
        minute.errors = minute.errors.saturating_add(u32::from(is_error));
        if let (Some(times), Some(seconds)) = (&mut subject.times, seconds) {
            let count = &mut times[index][bucket(seconds)];
            *count = count.saturating_add(1);
        }
    }

    fn subject(&mut self, name: &str, wants_times: bool) -> Option<&mut Subject> {
        if !self.subjects.contains_key(name) {
            if self.subjects.len() >= SUBJECTS_MAX {
                return None;
            }
            let minutes = [Minute { at: 0, requests: 0, errors: 0 }; MINUTES];
            let times = wants_times.then(|| Box::new([[0; TIMES]; MINUTES]));
            self.subjects.insert(name.into(), Subject { minutes, times });
        }
        self.subjects.get_mut(name)
    }

    fn hours_of(&mut self, name: &str) -> Option<&mut Hours> {
        if !self.hours.contains_key(name) {
            if self.hours.len() >= SUBJECTS_MAX {
                return None;
            }
            self.hours.insert(name.into(), Box::new([(0, 0); HOURS]));
        }
        self.hours.get_mut(name).map(|hours| &mut **hours)
    }
}

/// The bucket whose upper bound is the first that is not below.
fn bucket(seconds: f64) -> usize {
    if seconds <= TIME_FIRST_S {
        return 0;
    }
    ((seconds / TIME_FIRST_S).log(TIME_GROWTH).ceil() as usize).min(TIMES - 1)
}

fn is_recent(minute: u64, rule: &Rule, now_ms: u64) -> bool {
    let now = now_ms / 60_000;
    minute <= now && minute + rule.over_minutes > now
}

#[cfg(test)]
mod tests {
    use ringway_adapters::fault::Kind;
    use ringway_policy::config;
    use ringway_policy::money::NanoDollars;

    use super::*;
    use crate::ledger::sample;

    fn rules(text: &str) -> Vec<Arc<Rule>> {
        Rule::all(&config::parse(text, &|_| None).unwrap())
    }

    #[test]
    fn a_minute_leaves_the_window_when_it_is_old() {
        let rules = rules("alerts: {e: {watch: errors, over: 2m, by: provider}}");
        let mut figures = Figures::default();
        figures.follow(&rules);
        let at = |minute: u64, fault| Record { at_ms: minute * 60_000 + 5, fault, ..sample() };
        figures.observe(&[at(1_000, Some(Kind::UpstreamReset)), at(1_001, None), at(1_001, Some(Kind::InvalidRequest))]);
        assert_eq!(figures.errors(&rules[0], 1_001 * 60_000), [("acme".to_owned(), 3, 1)]);
        assert_eq!(figures.errors(&rules[0], 1_002 * 60_000), [("acme".to_owned(), 2, 0)]);
        assert_eq!(figures.errors(&rules[0], 1_003 * 60_000), [("acme".to_owned(), 0, 0)]);
        // An hour later the slot is another minute's.
        figures.observe(&[at(1_000 + MINUTES as u64, None)]);
        assert_eq!(figures.errors(&rules[0], (1_000 + MINUTES as u64) * 60_000), [("acme".to_owned(), 1, 0)]);
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let rules = rules("alerts: {l: {watch: latency, above: 1s, quantile: p90}}");
        let mut figures = Figures::default();
        figures.follow(&rules);
        let records: Vec<Record> = (1..=100).map(|ms| Record { at_ms: 60_000, total_ns: ms * 10_000_000, ..sample() }).collect();
        figures.observe(&records);
        let (_, requests, seconds) = figures.times(&rules[0], 60_000).remove(0);
        assert!(requests == 100 && (0.9..0.9 * TIME_GROWTH).contains(&seconds), "{requests} {seconds}");
    }

    #[test]
    fn an_hour_is_held_against_the_same_hour_of_days_that_are_known() {
        let rules = rules("alerts: {s: {watch: spend, by: team}}");
        let mut figures = Figures::default();
        figures.follow(&rules);
        let cost = |hour: u64, dollars: u64| Record {
            at_ms: hour * 3_600_000,
            team: Some("apps".into()),
            cost: Some(NanoDollars(dollars * 1_000_000_000)),
            ..sample()
        };
        figures.observe(&[cost(1_000, 2), cost(1_024, 4), cost(1_047, 9), cost(1_072, 30)]);
        assert_eq!(
            figures.spend(&rules[0], 1_072 * 3_600_000),
            [("apps".to_owned(), 30_000_000_000, vec![0, 4_000_000_000, 2_000_000_000])]
        );
        let kept = figures.hours();
        let mut again = Figures::default();
        again.follow(&rules);
        kept.iter().for_each(|(rule, subject, hour, cost)| again.restore(rule, subject, *hour, *cost));
        assert_eq!(again.spend(&rules[0], 1_072 * 3_600_000), figures.spend(&rules[0], 1_072 * 3_600_000));
    }

    #[test]
    fn subjects_are_bounded() {
        let rules = rules("alerts: {e: {watch: errors, by: key}}");
        let mut figures = Figures::default();
        figures.follow(&rules);
        let records: Vec<Record> = (0..1_000).map(|index| Record { key: Some(format!("k{index}").into()), ..sample() }).collect();
        figures.observe(&records);
        assert_eq!(figures.errors(&rules[0], sample().at_ms).len(), SUBJECTS_MAX);
    }
}
