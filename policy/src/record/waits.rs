//! Waits in a queue: before what, with which priority, how long, and how each ended. They become `queue` of the record's line.

use std::sync::Arc;

use super::line::{number, quoted, string};
use crate::priority::Class;
use crate::quota::Quota;

/// One wait.
#[derive(Clone, Debug)]
pub struct Waited {
    pub before: Before,
    pub class: Class,
    pub waited_ns: u64,
    pub ended: Ended,
}

/// What there was not enough of.
#[derive(Clone, Debug)]
pub enum Before {
    /// The gateway's own bound of requests under way.
    InFlight,
    Quota(Arc<Quota>),
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There was room.
    Admitted,
    /// The longest wait was over, or there will be no room before it is.
    TimedOut,
    /// The queue was full.
    Full,
    /// Another one took its place.
    Displaced,
    /// The client left, or the process ends.
    Left,
}

impl Ended {
    pub const ALL: [Ended; 5] = [Ended::Admitted, Ended::TimedOut, Ended::Full, Ended::Displaced, Ended::Left];

    /// Its word in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Ended::Admitted => "admitted",
            Ended::TimedOut => "timed_out",
            Ended::Full => "full",
            Ended::Displaced => "displaced",
            Ended::Left => "left",
        }
    }
}

impl Before {
    /// `in_flight`, or the id of a limit.
    pub fn name(&self) -> &str {
        match self {
            Before::InFlight => "in_flight",
            Before::Quota(quota) => &quota.id,
        }
    }
}

/// Appends them as a JSON list: `[{"before":"provider/a/concurrent","priority":"low","waited_us":9,"ended":"admitted"}]`.
pub fn write_waits(waits: &[Waited], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, wait) in waits.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"before\":" } else { b"{\"before\":" });
        quoted(out, wait.before.name());
        string(out, "priority", wait.class.name());
        number(out, "waited_us", wait.waited_ns / 1_000);
        string(out, "ended", wait.ended.name());
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_one_object() {
        let wait = |ended| Waited { before: Before::InFlight, class: Class::Low, waited_ns: 9_999, ended };
        let mut out = Vec::new();
        write_waits(&Ended::ALL.map(wait), &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value[0], serde_json::json!({"before": "in_flight", "priority": "low", "waited_us": 9, "ended": "admitted"}));
        let words: Vec<&str> = value.as_array().unwrap().iter().filter_map(|wait| wait["ended"].as_str()).collect();
        assert_eq!(words, Ended::ALL.map(Ended::name));
    }
}
