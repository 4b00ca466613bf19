//! The state of alerts, and the messages that follow from it: grouped, cooled down, each with its resolve. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::evaluate::Finding;
use super::rule::Rule;

/// So long nothing must be found before an alert is resolved: what comes and goes is one alert.
pub const RESOLVE_AFTER: Duration = Duration::from_secs(60);
/// Subjects of one rule that are kept; the rest is counted in the message.
const SUBJECTS_MAX: usize = 256;

/// One thing that is as it should not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    pub since_ms: u64,
    pub last_ms: u64,
    pub text: String,
    pub value: f64,
    /// People were told.
    pub told: bool,
}

/// The state of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub active: BTreeMap<String, Active>,
    /// When people were last told that it fires.
    pub told_ms: Option<u64>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Fired,
    Resolved,
    Test,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Event::Fired => "fired",
            Event::Resolved => "resolved",
            Event::Test => "test",
        }
    }
}

/// One message about one rule: everything that began or ended since the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub rule: Arc<str>,
    pub event: Event,
    pub at_ms: u64,
    /// Subject and how it stands.
    pub subjects: Vec<(String, Active)>,
    /// Of this rule, still firing.
    pub left: usize,
}

impl State {
    /// Takes what is found now. At most one message that it fires, and one that some of it ended.
    pub fn step(&mut self, rule: &Rule, findings: Vec<Finding>, now_ms: u64) -> Vec<Message> {
        for finding in findings {
            let has_room = self.active.len() < SUBJECTS_MAX;
            match self.active.get_mut(&finding.subject) {
                Some(active) => {
                    active.last_ms = now_ms;
                    (active.text, active.value) = (finding.text, finding.value);
                }
                None if has_room => {
                    let Finding { subject, text, value } = finding;
                    self.active.insert(subject, Active { since_ms: now_ms, last_ms: now_ms, text, value, told: false });
                }
                None => {}
            }
        }
        let quiet_ms = RESOLVE_AFTER.as_millis() as u64;
        let mut ended: Vec<(String, Active)> = Vec::new();
        self.active.retain(|subject, active| {
            // What nobody was told of ends without a word, and at once.
            let is_over = now_ms.saturating_sub(active.last_ms) >= if active.told { quiet_ms } else { 1 };
            if is_over && active.told {
                ended.push((subject.clone(), active.clone()));
            }
            !is_over
        });
        let mut messages = Vec::new();
        if !ended.is_empty() {
            let left = self.active.values().filter(|active| active.told).count();
            messages.push(Message { rule: rule.name.clone(), event: Event::Resolved, at_ms: now_ms, subjects: ended, left });
        }
        messages.extend(self.fire(rule, now_ms));
        messages
    }

    fn fire(&mut self, rule: &Rule, now_ms: u64) -> Option<Message> {
        let is_cool = self.told_ms.is_none_or(|told_ms| now_ms.saturating_sub(told_ms) >= rule.cool_down.as_millis() as u64);
        let hold_ms = rule.hold.as_millis() as u64;
        let is_due = |active: &Active| !active.told && now_ms.saturating_sub(active.since_ms) >= hold_ms;
        if !is_cool || !self.active.values().any(is_due) {
            return None;
        }
        let mut subjects = Vec::new();
        for (subject, active) in &mut self.active {
            if is_due(active) {
                active.told = true;
                subjects.push((subject.clone(), active.clone()));
            }
        }
        self.told_ms = Some(now_ms);
        let left = self.active.values().filter(|active| active.told).count();
        Some(Message { rule: rule.name.clone(), event: Event::Fired, at_ms: now_ms, subjects, left })
    }

    /// The rule is gone or disabled: what people were told of is over.
    pub fn end(&mut self, name: &Arc<str>, now_ms: u64) -> Option<Message> {
        let told: Vec<(String, Active)> = std::mem::take(&mut self.active).into_iter().filter(|(_, active)| active.told).collect();
        (!told.is_empty()).then(|| Message { rule: name.clone(), event: Event::Resolved, at_ms: now_ms, subjects: told, left: 0 })
    }
}

#[cfg(test)]
mod tests {
    use ringway_policy::config;

    use super::*;

    const TICK_MS: u64 = 5_000;

    fn rule(text: &str) -> Arc<Rule> {
        Rule::all(&config::parse(&format!("alerts: {{a: {{{text}}}}}"), &|_| None).unwrap()).remove(0)
    }

    fn found(subjects: &[&str]) -> Vec<Finding> {
        subjects.iter().map(|subject| Finding { subject: (*subject).to_owned(), text: "bad".to_owned(), value: 1.0 }).collect()
    }

    /// Steps through times, and gives what was said: tick, event, subjects, left.
    fn run(rule: &Rule, ticks: u64, at: impl Fn(u64) -> Vec<Finding>) -> Vec<(u64, Event, usize, usize)> {
        let mut state = State::default();
        let steps = (0..ticks).flat_map(|tick| {
            let messages = state.step(rule, at(tick), tick * TICK_MS);
            messages.into_iter().map(move |message| (tick, message.event, message.subjects.len(), message.left)).collect::<Vec<_>>()
        });
        steps.collect()
    }

    #[test]
    fn what_lasts_is_one_message_and_one_resolve() {
        let said = run(&rule("watch: down"), 1_000, |tick| if tick < 500 { found(&["a"]) } else { Vec::new() });
        assert_eq!(said, [(0, Event::Fired, 1, 1), (511, Event::Resolved, 1, 0)]);
    }

    #[test]
    fn what_comes_and_goes_is_one_alert() {
        let said = run(&rule("watch: down"), 1_000, |tick| if tick < 600 && tick % 5 < 3 { found(&["a"]) } else { Vec::new() });
        assert_eq!(said.len(), 2, "{said:?}");
        // Even where the pauses are long enough to resolve it: at most one message that it fires in a cool-down.
        let slow = run(&rule("watch: down, cool_down: 30m"), 2_000, |tick| if tick % 40 < 3 { found(&["a"]) } else { Vec::new() });
        let fired = slow.iter().filter(|(_, event, ..)| *event == Event::Fired).count();
        assert!(fired <= 2_000 * 5 / 1_800 + 1, "{fired}: {slow:?}");
    }

    #[test]
    fn what_begins_together_is_one_message_and_what_follows_waits_for_the_cool_down() {
        let rule = rule("watch: down, cool_down: 10m");
        let said = run(&rule, 300, |tick| match tick {
            0..10 => found(&["a", "b", "c"]),
            10..200 => found(&["a", "b", "c", "d", "e"]),
            _ => Vec::new(),
        });
        assert_eq!(said, [(0, Event::Fired, 3, 3), (120, Event::Fired, 2, 5), (211, Event::Resolved, 5, 0)]);
    }

    #[test]
    fn what_is_over_before_its_hold_is_never_told() {
        let rule = rule("watch: down, hold: 1m");
        assert_eq!(run(&rule, 100, |tick| if tick < 10 { found(&["a"]) } else { Vec::new() }), []);
        let said = run(&rule, 100, |tick| if tick < 20 { found(&["a"]) } else { Vec::new() });
        assert_eq!(said, [(12, Event::Fired, 1, 1), (31, Event::Resolved, 1, 0)]);
    }

    #[test]
    fn a_rule_that_goes_takes_its_alerts_along() {
        let rule = rule("watch: down");
        let mut state = State::default();
        state.step(&rule, found(&["a"]), 0);
        let message = state.end(&rule.name, 5).unwrap();
        assert_eq!((message.event, message.left, state.end(&rule.name, 6)), (Event::Resolved, 0, None));
    }
}
