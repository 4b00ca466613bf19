//! `alerts` and `channels`: what is watched, and who is told.

use std::time::Duration;

use schemars::JsonSchema;

use super::node::Node;
use super::read::{self, Fields, note};
use super::{At, Config, Problem, references, schema, units};

/// What an alert watches when it says nothing else.
const OVER_DEFAULT: Duration = Duration::from_secs(300);
/// Figures by the minute are kept this long.
pub const OVER_MAX: Duration = Duration::from_secs(3_600);
const OVER_MIN: Duration = Duration::from_secs(60);
const COOL_DOWN_DEFAULT: Duration = Duration::from_secs(600);
const LEAST_DEFAULT: u64 = 20;
/// One cent of every dollar is looked at; less than a dollar in an hour is no anomaly.
const LEAST_NANO_USD_DEFAULT: u64 = 1_000_000_000;

/// One way to tell people.
#[derive(Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct ChannelConfig {
    /// A URL that gets a JSON body by POST.
    #[schemars(schema_with = "schema::text")]
    pub webhook: Option<At<String>>,
    /// Signs what a webhook gets: HMAC-SHA256 over time and body, in `x-ringway-signature`.
    #[schemars(schema_with = "schema::text")]
    pub secret: Option<At<String>>,
    /// The URL of a Slack incoming webhook.
    #[schemars(schema_with = "schema::text")]
    pub slack: Option<At<String>>,
    /// The URL of a Microsoft Teams workflow that takes webhook requests.
    #[schemars(schema_with = "schema::text")]
    pub teams: Option<At<String>>,
    /// The integration (routing) key of a PagerDuty service.
    #[schemars(schema_with = "schema::text")]
    pub pagerduty: Option<At<String>>,
    /// Where PagerDuty's events go, where that is not its public address.
    #[schemars(schema_with = "schema::text")]
    pub url: Option<At<String>>,
}

impl std::fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever knows such a URL may write there.
        f.debug_struct("ChannelConfig").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl ChannelConfig {
    /// Its word in the file.
    pub fn kind(&self) -> &'static str {
        self.kinds().into_iter().find(|(_, at)| at.is_some()).map_or("none", |(word, _)| word)
    }

    fn kinds(&self) -> [(&'static str, Option<&At<String>>); 4] {
        [
            ("webhook", self.webhook.as_ref()),
            ("slack", self.slack.as_ref()),
            ("teams", self.teams.as_ref()),
            ("pagerduty", self.pagerduty.as_ref()),
        ]
    }
}

/// One alert.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AlertConfig {
    /// What it watches: `budget` (the part of a budget that is spent), `errors` (the part of requests that fail by a provider's
    /// or the gateway's fault), `down` (a target whose breaker is open, a provider's key that is refused or used up),
    /// `latency`, or `spend` (an hour's cost against the same hour of the last days).
    pub watch: Watch,
    /// From where on it fires: a percentage for `budget` (default 80%) and `errors` (5%), a duration for `latency`, a factor
    /// for `spend` (default 3x).
    #[schemars(schema_with = "schema::above", default)]
    pub above: Option<At<f64>>,
    /// Of `latency`: which part of the requests is faster. Default p95.
    pub quantile: Option<Quantile>,
    /// Of `latency`: `total` (default) or `first_token`, of streams.
    pub measure: Option<Time>,
    /// The time that is looked at, 1m to 1h. Default 5m; not of `budget`, `down` and `spend`.
    #[schemars(schema_with = "schema::duration", default)]
    pub over: Option<At<Duration>>,
    /// What is told apart: `all` (default), `provider`, `model`, `route`, `key`, `team` or `customer`.
    pub by: Option<By>,
    /// Only these: names or patterns of what is told apart, of budgets' ids or of targets.
    #[schemars(schema_with = "schema::texts", default)]
    pub of: Vec<At<String>>,
    /// With fewer requests (for `spend`: dollars) nothing is said. Default 20 requests, 1 dollar.
    #[schemars(schema_with = "schema::least", default)]
    pub least: Option<At<u64>>,
    /// So long it must be true before it fires. Default at once.
    #[schemars(schema_with = "schema::duration", default)]
    pub hold: Option<At<Duration>>,
    /// The least time between two messages that it fires. Default 10m.
    #[schemars(schema_with = "schema::duration", default)]
    pub cool_down: Option<At<Duration>>,
    /// `critical`, `error`, `warning` (default) or `info`.
    pub severity: Option<Severity>,
    /// Names of channels. Without any it is shown, and nobody is told.
    #[schemars(schema_with = "schema::texts", default)]
    pub to: Vec<At<String>>,
    /// Default true.
    pub enabled: Option<bool>,
}

/// What an alert watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Watch {
    Budget,
    Errors,
    Down,
    Latency,
    Spend,
}

impl Watch {
    pub const WORDS: &'static [(&'static str, Watch)] = &[
        ("budget", Watch::Budget),
        ("errors", Watch::Errors),
        ("down", Watch::Down),
        ("latency", Watch::Latency),
        ("spend", Watch::Spend),
    ];
}

/// What is told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum By {
    #[default]
    All,
    Provider,
    Model,
    Route,
    Key,
    Team,
    Customer,
}

impl By {
    pub const WORDS: &'static [(&'static str, By)] = &[
        ("all", By::All),
        ("provider", By::Provider),
        ("model", By::Model),
        ("route", By::Route),
        ("key", By::Key),
        ("team", By::Team),
        ("customer", By::Customer),
    ];
}

/// Which part of the requests is faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Quantile {
    P50,
    P90,
    #[default]
    P95,
    P99,
}

impl Quantile {
    pub const WORDS: &'static [(&'static str, Quantile)] =
        &[("p50", Quantile::P50), ("p90", Quantile::P90), ("p95", Quantile::P95), ("p99", Quantile::P99)];

    pub fn share(self) -> f64 {
        match self {
            Quantile::P50 => 0.5,
            Quantile::P90 => 0.9,
            Quantile::P95 => 0.95,
            Quantile::P99 => 0.99,
        }
    }
}

/// Which time of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Time {
    #[default]
    Total,
    FirstToken,
}

impl Time {
    pub const WORDS: &'static [(&'static str, Time)] = &[("total", Time::Total), ("first_token", Time::FirstToken)];
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Severity {
    Critical,
    Error,
    #[default]
    Warning,
    Info,
}

impl Severity {
    pub const WORDS: &'static [(&'static str, Severity)] =
        &[("critical", Severity::Critical), ("error", Severity::Error), ("warning", Severity::Warning), ("info", Severity::Info)];
}

/// The word of a value of a closed set.
pub fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

impl AlertConfig {
    pub fn is_enabled(&self) -> bool {
        self.enabled != Some(false)
    }

    /// A part, seconds or a factor, by what is watched.
    pub fn above(&self) -> f64 {
        self.above.as_ref().map_or(self.watch.above_default().unwrap_or(f64::INFINITY), |at| at.value)
    }

    pub fn over(&self) -> Duration {
        self.over.as_ref().map_or(OVER_DEFAULT, |at| at.value)
    }

    /// Requests, or nano-dollars where spend is watched.
    pub fn least(&self) -> u64 {
        let default = if self.watch == Watch::Spend { LEAST_NANO_USD_DEFAULT } else { LEAST_DEFAULT };
        self.least.as_ref().map_or(default, |at| at.value)
    }

    pub fn hold(&self) -> Duration {
        self.hold.as_ref().map_or(Duration::ZERO, |at| at.value)
    }

    pub fn cool_down(&self) -> Duration {
        self.cool_down.as_ref().map_or(COOL_DOWN_DEFAULT, |at| at.value)
    }
}

impl Watch {
    fn above_default(self) -> Option<f64> {
        match self {
            Watch::Budget => Some(0.8),
            Watch::Errors => Some(0.05),
            Watch::Spend => Some(3.0),
            Watch::Latency | Watch::Down => None,
        }
    }

    /// Fields that mean something beside those that all have.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Watch::Budget => &["above"],
            Watch::Errors => &["above", "over", "by", "least"],
            Watch::Down => &[],
            Watch::Latency => &["above", "over", "by", "least", "quantile", "measure"],
            Watch::Spend => &["above", "by", "least"],
        }
    }
}

/// Reads one channel.
pub(super) fn read_channel(node: &Node, problems: &mut Vec<Problem>) -> Option<ChannelConfig> {
    let mut fields = Fields::open(node, "a channel", problems)?;
    let mut url =
        |name: &'static str, problems: &mut Vec<Problem>| fields.take(name).and_then(|node| read::secret(node, name, problems, parse_url));
    let (webhook, slack) = (url("webhook", problems), url("slack", problems));
    let (teams, own) = (url("teams", problems), url("url", problems));
    let secret = fields.take("secret").and_then(|node| read::text(node, "secret", problems));
    let pagerduty = fields.take("pagerduty").and_then(|node| read::text(node, "pagerduty", problems));
    let had_kind = ["webhook", "slack", "teams", "pagerduty"].iter().any(|kind| fields.has(kind));
    fields.close(problems);
    let channel = ChannelConfig { webhook, secret, slack, teams, pagerduty, url: own };
    let kinds = channel.kinds().iter().filter(|(_, at)| at.is_some()).count();
    let wants = "a channel has one of webhook, slack, teams and pagerduty";
    match kinds {
        0 if !had_kind => note(problems, node.place, format!("{wants}; write {{webhook: \"https://…\"}}")),
        0 | 1 => {}
        _ => note(problems, node.place, format!("{wants}, not {kinds} of them; write one channel for each")),
    }
    if let Some(secret) = channel.secret.as_ref().filter(|_| channel.webhook.is_none()) {
        problems.push(secret.problem("secret signs what a webhook gets; leave it out here"));
    }
    if let Some(url) = channel.url.as_ref().filter(|_| channel.pagerduty.is_none()) {
        problems.push(url.problem("url says where pagerduty's events go; leave it out here"));
    }
    Some(channel)
}

fn parse_url(text: &str) -> Result<String, String> {
    let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && !text.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err("write https://HOST/PATH".to_owned()),
    }
}

/// Reads one alert.
pub(super) fn read_alert(node: &Node, problems: &mut Vec<Problem>) -> Option<AlertConfig> {
    let mut fields = Fields::open(node, "an alert", problems)?;
    let watch = match fields.take("watch") {
        Some(node) => read::choice(node, "watch", Watch::WORDS, problems),
        None => {
            let words: Vec<&str> = Watch::WORDS.iter().map(|(word, _)| *word).collect();
            note(problems, node.place, format!("an alert has no watch; write watch: and one of {}", words.join(", ")));
            None
        }
    };
    let watch = watch.map_or(Watch::Down, |at| at.value);
    let is_known = watch != Watch::Down || fields.has("watch");
    for name in ["above", "over", "by", "least", "quantile", "measure"] {
        if let Some(node) = fields.look(name).filter(|_| is_known && !watch.fields().contains(&name)) {
            note(problems, node.place, format!("{name} means nothing where {} is watched; leave it out", word(Watch::WORDS, watch)));
        }
    }
    let above = fields.take("above").and_then(|node| read_above(node, watch, problems));
    if watch == Watch::Latency && above.is_none() && !fields.has("above") {
        note(problems, node.place, "an alert that watches latency has no above; write above: 5s");
    }
    let quantile = fields.take("quantile").and_then(|node| read::choice(node, "quantile", Quantile::WORDS, problems));
    let measure = fields.take("measure").and_then(|node| read::choice(node, "measure", Time::WORDS, problems));
    let over = fields.take("over").and_then(|node| {
        let over = read::duration(node, "over", problems)?;
        if !(OVER_MIN..=OVER_MAX).contains(&over.value) {
            note(problems, node.place, format!("over is {} s; write 1m to 1h", over.value.as_secs()));
        }
        Some(over)
    });
    let by = fields.take("by").and_then(|node| read::choice(node, "by", By::WORDS, problems));
    let texts = |node: Option<&Node>, what: &str, problems: &mut Vec<Problem>| -> Vec<At<String>> {
        let Some(node) = node else { return Vec::new() };
        read::one_or_many(node).iter().filter_map(|node| read::text(node, what, problems)).collect()
    };
    let of = texts(fields.take("of"), "of", problems);
    let least = fields.take("least").and_then(|node| match watch {
        Watch::Spend => read::parsed(node, "least", problems, units::nano_dollars),
        _ => read::number(node, "least", 1, 1_000_000_000, problems),
    });
    let hold = fields.take("hold").and_then(|node| read::duration(node, "hold", problems));
    let cool_down = fields.take("cool_down").and_then(|node| read::duration(node, "cool_down", problems));
    let severity = fields.take("severity").and_then(|node| read::choice(node, "severity", Severity::WORDS, problems));
    let to = texts(fields.take("to"), "to", problems);
    let enabled = read::flag(&mut fields, "enabled", problems);
    fields.close(problems);
    Some(AlertConfig {
        watch,
        above,
        quantile: quantile.map(|at| at.value),
        measure: measure.map(|at| at.value),
        over,
        by: by.map(|at| at.value),
        of,
        least,
        hold,
        cool_down,
        severity: severity.map(|at| at.value),
        to,
        enabled,
    })
}

fn read_above(node: &Node, watch: Watch, problems: &mut Vec<Problem>) -> Option<At<f64>> {
    read::parsed(node, "above", problems, |text| match watch {
        Watch::Budget | Watch::Errors => {
            let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            let part = percent.map(|percent| percent / 100.0).filter(|part| *part > 0.0 && part.is_finite());
            let part = part.filter(|part| watch == Watch::Budget || *part < 1.0);
            part.ok_or_else(|| "write a percentage: 80%".to_owned())
        }
        Watch::Latency => units::duration(text).map(|duration| duration.as_secs_f64()),
        Watch::Spend | Watch::Down => {
            let factor = text.trim().trim_end_matches('x').trim().parse::<f64>().ok();
            factor.filter(|factor| *factor > 1.0 && factor.is_finite()).ok_or_else(|| "write a factor above 1: 3x".to_owned())
        }
    })
}

/// The channels that alerts name are there.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    for (_, alert) in config.alerts.iter() {
        for channel in alert.to.iter().filter(|channel| config.channels.get(&channel.value).is_none()) {
            problems.push(references::unknown("the channel", channel, config.channels.names(), "channels"));
        }
    }
}
