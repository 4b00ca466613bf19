//! `routes`: a model name of the operator's own, its targets and its rules.

use std::time::Duration;

use schemars::JsonSchema;

use super::node::{Node, Value};
use super::read::{self, Fields, note};
use super::targets::{self, FallbackConfig, MirrorConfig, TargetConfig};
use super::when::read_when;
use super::{At, Audited, Problem, access, schema};
use crate::breaker;
use crate::condition::Condition;
use crate::plan::{Hedge, Losses, Rescue, Strategy, TARGETS_MAX, Trigger, Unpriced};
use crate::priority::Class;
use crate::retry::ATTEMPTS_PER_TARGET_MAX;

const NAME_BYTES_MAX: usize = 256;

/// One route.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// A condition in CEL; where it is false the route is not there, and the name means what it would mean without it.
    #[schemars(schema_with = "schema::text")]
    pub when: Option<At<Condition>>,
    /// Where requests go: `provider/model`, or `{model, weight, when}`. Each is tried at most once an exchange, in the order that `strategy` says.
    #[schemars(schema_with = "schema::targets")]
    pub targets: Vec<TargetConfig>,
    /// How the targets are put in order. `weighted` (default) draws by weight; `least_latency` takes the better of two by first-byte
    /// time and load; `least_busy` the one with the fewest requests under way; `cheapest` the lowest price, an unknown one last;
    /// `round_robin` each in turn; `{hash: user | session | key | header:NAME | tag:NAME}` keeps a user (session, key, …) on one
    /// target, with shares by weight: weights 90 and 10 are an A/B split that each user stays on. The user is whom the body names, the
    /// session what `x-ringway-session` says; a request without it is drawn by weight. Targets in bad health come last.
    #[schemars(schema_with = "schema::strategy")]
    pub strategy: Option<Strategy>,
    /// `provider/model`, or `{model, on, when}` with what alone it is taken for; tried in this order after the targets.
    #[schemars(schema_with = "schema::fallbacks")]
    pub fallbacks: Vec<FallbackConfig>,
    /// `{after, cost_share}`: where no byte of an answer has come after this time (`500ms`, or `p95`, the default: the target's own,
    /// once known) the next target is asked, too, for at most this share of the requests, `"5%"`. The first to answer is kept, the
    /// other cancelled; both are on the record.
    #[schemars(schema_with = "schema::hedge")]
    pub hedge: Option<Hedge>,
    /// `{model, share}`: a shadow target gets copies of this share of the requests, `"1%"`. Its answers are dropped; each leaves a
    /// record of its own, with `mirror_of`, and costs what it costs: no limit and no budget counts it.
    #[schemars(schema_with = "schema::mirror")]
    pub mirror: Option<MirrorConfig>,
    /// Further tries on the same target, 0 to 2. Default 2.
    #[schemars(schema_with = "schema::retries")]
    pub retries: Option<At<u64>>,
    /// How long to wait for what.
    pub timeouts: Option<TimeoutsConfig>,
    /// What happens when a stream breaks after its first byte: `off` (default), `restart` or `resume`.
    pub rescue: Option<Rescue>,
    /// When a failing target is left alone; `off` never leaves it alone.
    #[schemars(schema_with = "schema::breaker")]
    pub breaker: Option<BreakerConfig>,
    /// The longest request body: a number of bytes, or `64KiB`, `32MiB`.
    #[schemars(schema_with = "schema::size")]
    pub body_bytes_max: Option<At<usize>>,
    /// `requests`: the audit log holds each of its exchanges, with the hashes of both bodies; where it cannot be written, they are refused.
    #[schemars(schema_with = "schema::audit")]
    pub audit: Option<At<Audited>>,
    /// What the target's dialect cannot carry: `refuse` (default) what changes the meaning, or `warn` of all.
    pub losses: Option<Losses>,
    /// What the next target is taken for. Default: error, timeout, rate_limit, context_length.
    #[schemars(schema_with = "schema::triggers")]
    pub on: Option<Vec<Trigger>>,
    /// A model whose price is not known, where a budget counts money: `refuse` (default) or `allow`, which counts nothing.
    pub unpriced: Option<Unpriced>,
    /// Who goes first where a limit that many share is used up: of requests whose key has no priority. Default normal.
    pub priority: Option<At<Class>>,
}

/// How long to wait for what; each a number with its unit.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// For a connection. Default 2s.
    #[schemars(schema_with = "schema::duration")]
    pub connect: Option<At<Duration>>,
    /// From the request's last byte to the answer's first body byte. Default 120s.
    #[schemars(schema_with = "schema::duration")]
    pub first_byte: Option<At<Duration>>,
    /// Between two events of a stream. Default 60s.
    #[schemars(schema_with = "schema::duration")]
    pub idle: Option<At<Duration>>,
    /// For the whole exchange, all attempts together. Default 10m.
    #[schemars(schema_with = "schema::duration")]
    pub total: Option<At<Duration>>,
    /// For a realtime session, from its begin to its end. Default 1h.
    #[schemars(schema_with = "schema::duration")]
    pub session: Option<At<Duration>>,
    /// Without a byte from either side of a realtime session. Default 10m.
    #[schemars(schema_with = "schema::duration")]
    pub session_idle: Option<At<Duration>>,
}

/// When a failing target is left alone.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// `breaker: off`.
    #[schemars(skip)]
    pub off: Option<Off>,
    /// Opens after so many failures in a row. Default 5.
    #[schemars(schema_with = "schema::count")]
    pub consecutive: Option<At<u64>>,
    /// How far apart single probes are sent while it is open. Default 10s.
    #[schemars(schema_with = "schema::duration")]
    pub probe: Option<At<Duration>>,
    /// Opens where this share of at least 20 attempts in 10 s failed. Default 0.5.
    #[schemars(schema_with = "schema::ratio")]
    pub ratio: Option<At<f64>>,
}

/// Says that a breaker never opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Off;

impl RouteConfig {
    /// Every model that it names.
    pub fn models(&self) -> impl Iterator<Item = &At<String>> {
        let behind = self.fallbacks.iter().map(|fallback| &fallback.model).chain(self.mirror.iter().map(|mirror| &mirror.model));
        self.targets.iter().map(|target| &target.model).chain(behind)
    }
}

impl BreakerConfig {
    pub fn settings(&self) -> breaker::Settings {
        if self.off.is_some() {
            return breaker::Settings::OFF;
        }
        let default = breaker::Settings::default();
        breaker::Settings {
            consecutive: self.consecutive.as_ref().map_or(default.consecutive, |at| at.value as u32),
            probe: self.probe.as_ref().map_or(default.probe, |at| at.value),
            ratio: self.ratio.as_ref().map_or(default.ratio, |at| at.value),
        }
    }
}

/// A route's name is what clients write as `model`.
pub(super) fn check_name(name: &At<String>, problems: &mut Vec<Problem>) {
    let printable = name.value.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if name.value.is_empty() || name.value.len() > NAME_BYTES_MAX || !printable {
        let rule = format!("write up to {NAME_BYTES_MAX} bytes without spaces");
        note(problems, name.place(), format!("{:?} is no name of a route; {rule}", name.value));
    }
}

/// Reads one route.
pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Option<RouteConfig> {
    let mut fields = Fields::open(node, "a route", problems)?;
    let mut config = RouteConfig { when: read_when(fields.take("when"), problems), ..RouteConfig::default() };
    match fields.take("targets") {
        Some(node) => {
            let nodes = read::items(node, "targets", problems);
            if nodes.is_empty() && matches!(node.value, Value::List(_)) {
                note(problems, node.place, "a route needs at least one target; write targets: [provider/model]");
            }
            config.targets = nodes.iter().filter_map(|node| targets::read_target(node, problems)).collect();
        }
        None => note(problems, fields.place, "a route has no targets; write targets: [provider/model]"),
    }
    config.strategy = fields.take("strategy").and_then(|node| targets::read_strategy(node, problems));
    if let Some(node) = fields.take("fallbacks") {
        let nodes = read::items(node, "fallbacks", problems);
        config.fallbacks = nodes.iter().filter_map(|node| targets::read_fallback(node, problems)).collect();
    }
    if config.targets.len() + config.fallbacks.len() > TARGETS_MAX {
        note(problems, fields.place, format!("a route has at most {TARGETS_MAX} targets and fallbacks together"));
    }
    config.hedge = fields.take("hedge").and_then(|node| targets::read_hedge(node, problems));
    config.mirror = fields.take("mirror").and_then(|node| targets::read_mirror(node, problems));
    let retries_max = u64::from(ATTEMPTS_PER_TARGET_MAX) - 1;
    config.retries = fields.take("retries").and_then(|node| read::number(node, "retries", 0, retries_max, problems));
    config.timeouts = fields.take("timeouts").and_then(|node| read_timeouts(node, problems));
    let rescues = [("off", Rescue::Off), ("restart", Rescue::Restart), ("resume", Rescue::Resume)];
    config.rescue = fields.take("rescue").and_then(|node| read::choice(node, "rescue", &rescues, problems)).map(|at| at.value);
    config.breaker = fields.take("breaker").and_then(|node| read_breaker(node, problems));
    config.body_bytes_max = fields.take("body_bytes_max").and_then(|node| read::size(node, "body_bytes_max", problems));
    let losses = [("refuse", Losses::Refuse), ("warn", Losses::Warn)];
    config.losses = fields.take("losses").and_then(|node| read::choice(node, "losses", &losses, problems)).map(|at| at.value);
    let unpriced = [("refuse", Unpriced::Refuse), ("allow", Unpriced::Allow)];
    config.unpriced = fields.take("unpriced").and_then(|node| read::choice(node, "unpriced", &unpriced, problems)).map(|at| at.value);
    config.on = fields.take("on").map(|node| targets::read_triggers(node, problems));
    config.priority = fields.take("priority").and_then(|node| read::choice(node, "priority", Class::WORDS, problems));
    config.audit = access::read_audited(&mut fields, problems);
    fields.close(problems);
    Some(config)
}

fn read_timeouts(node: &Node, problems: &mut Vec<Problem>) -> Option<TimeoutsConfig> {
    let mut fields = Fields::open(node, "timeouts", problems)?;
    let mut field = |name, problems: &mut Vec<Problem>| fields.take(name).and_then(|node| read::duration(node, name, problems));
    let config = TimeoutsConfig {
        connect: field("connect", problems),
        first_byte: field("first_byte", problems),
        idle: field("idle", problems),
        total: field("total", problems),
        session: field("session", problems),
        session_idle: field("session_idle", problems),
    };
    fields.close(problems);
    Some(config)
}

fn read_breaker(node: &Node, problems: &mut Vec<Problem>) -> Option<BreakerConfig> {
    if let Value::Scalar { .. } = node.value {
        let off = read::choice(node, "breaker", &[("off", Off)], problems)?;
        return Some(BreakerConfig { off: Some(off.value), ..BreakerConfig::default() });
    }
    let mut fields = Fields::open(node, "breaker", problems)?;
    let config = BreakerConfig {
        off: None,
        consecutive: fields.take("consecutive").and_then(|node| read::number(node, "consecutive", 1, 1_000_000, problems)),
        probe: fields.take("probe").and_then(|node| read::duration(node, "probe", problems)),
        ratio: fields.take("ratio").and_then(|node| {
            read::parsed(node, "ratio", problems, |text| match text.parse::<f64>() {
                Ok(ratio) if ratio > 0.0 && ratio <= 1.0 => Ok(ratio),
                _ => Err("write a share above 0 and up to 1, like 0.5".to_owned()),
            })
        }),
    };
    fields.close(problems);
    Some(config)
}
