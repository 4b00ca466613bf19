//! A rule: one alert of the configuration, made ready to be asked often.

use std::sync::Arc;
use std::time::Duration;

use ringway_policy::config::{AlertConfig, By, Config, Quantile, Severity, Time, Watch, word};
use ringway_policy::pattern::Pattern;
use ringway_policy::record::Record;

/// Alerts that are watched; more are named in the log and left out.
pub const RULES_MAX: usize = 64;

/// One alert.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: Arc<str>,
    pub watch: Watch,
    /// A part, seconds or a factor.
    pub above: f64,
    pub quantile: Quantile,
    pub time: Time,
    /// Whole minutes.
    pub over_minutes: u64,
    pub by: By,
    of: Vec<Pattern>,
    /// Requests, or nano-dollars.
    pub least: u64,
    pub hold: Duration,
    pub cool_down: Duration,
    pub severity: Severity,
    pub to: Vec<Arc<str>>,
}

impl Rule {
    pub fn of(name: &str, alert: &AlertConfig) -> Rule {
        Rule {
            name: name.into(),
            watch: alert.watch,
            above: alert.above(),
            quantile: alert.quantile.unwrap_or_default(),
            time: alert.measure.unwrap_or_default(),
            over_minutes: (alert.over().as_secs() / 60).max(1),
            by: alert.by.unwrap_or_default(),
            of: alert.of.iter().map(|pattern| Pattern::new(&pattern.value)).collect(),
            least: alert.least(),
            hold: alert.hold(),
            cool_down: alert.cool_down(),
            severity: alert.severity.unwrap_or_default(),
            to: alert.to.iter().map(|channel| channel.value.as_str().into()).collect(),
        }
    }

    /// All alerts that are enabled.
    pub fn all(config: &Config) -> Vec<Arc<Rule>> {
        let enabled: Vec<_> = config.alerts.iter().filter(|(_, alert)| alert.is_enabled()).collect();
        let left_out = enabled.len().saturating_sub(RULES_MAX);
        if left_out > 0 {
            tracing::warn!(left_out, at_most = RULES_MAX, "there are more alerts than are watched");
        }
        enabled.into_iter().take(RULES_MAX).map(|(name, alert)| Arc::new(Rule::of(&name.value, alert))).collect()
    }

    /// The alert is about this subject.
    pub fn names(&self, subject: &str) -> bool {
        self.of.is_empty() || self.of.iter().any(|pattern| pattern.matches(subject))
    }

    /// What of a record is told apart; `None` where it has none of it.
    pub fn subject<'a>(&self, record: &'a Record) -> Option<&'a str> {
        match self.by {
            By::All => Some(ALL),
            By::Provider => record.provider.as_deref(),
            By::Model => record.model.as_deref(),
            By::Route => record.route.as_deref(),
            By::Key => record.key.as_deref(),
            By::Team => record.team.as_deref(),
            By::Customer => record.customer.as_deref(),
        }
    }

    /// The subject with what it is.
    pub fn subject_text(&self, subject: &str) -> String {
        match self.by {
            By::All => "all requests".to_owned(),
            by => format!("{} {subject}", word(By::WORDS, by)),
        }
    }
}

/// The subject of alerts that tell nothing apart.
pub const ALL: &str = "all";
