//! `queue`: how many requests wait where there is not room for all, and how long.

use std::time::Duration;

use schemars::JsonSchema;

use super::node::Node;
use super::read::{self, Fields, note};
use super::{At, Config, Problem, schema};
use crate::queue::{Bounds, ENTRIES_MAX, WAIT_MAX};

/// The bounds of the queues before limits that many share, and before the gateway's own bound.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Most requests that wait for one limit, 1 to 4096; each holds its body in memory. Default 64.
    #[schemars(schema_with = "schema::count")]
    pub entries: Option<At<u64>>,
    /// The longest that a request waits before it is refused, up to 60s. Default 1s.
    #[schemars(schema_with = "schema::duration")]
    pub wait: Option<At<Duration>>,
}

/// Reads the section.
pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Option<QueueConfig> {
    let mut fields = Fields::open(node, "queue", problems)?;
    let entries = fields.take("entries").and_then(|node| read::number(node, "entries", 1, ENTRIES_MAX, problems));
    let wait = fields.take("wait").and_then(|node| {
        let wait = read::duration(node, "wait", problems)?;
        if wait.value > WAIT_MAX {
            note(problems, node.place, format!("wait is {} s; write at most {} s", wait.value.as_secs(), WAIT_MAX.as_secs()));
        }
        Some(wait)
    });
    fields.close(problems);
    Some(QueueConfig { entries, wait })
}

impl Config {
    /// The bounds of all queues. `None` where nothing in the file asks for one: neither `queue` nor any `priority`.
    pub fn queue_bounds(&self) -> Option<Bounds> {
        if self.queue.is_none() && !self.has_priorities() {
            return None;
        }
        let (default, queue) = (Bounds::default(), self.queue.as_ref());
        let entries = queue.and_then(|queue| queue.entries.as_ref());
        let wait = queue.and_then(|queue| queue.wait.as_ref());
        Some(Bounds {
            entries_max: entries.map_or(default.entries_max, |at| at.value as usize),
            wait: wait.map_or(default.wait, |at| at.value),
        })
    }

    fn has_priorities(&self) -> bool {
        let of_keys = self.virtual_keys.iter().filter_map(|(_, key)| key.access.as_ref()).any(|access| access.priority.is_some());
        let of_profiles = self.profiles.iter().any(|(_, profile)| profile.access.priority.is_some());
        of_keys || of_profiles || self.routes.iter().any(|(_, route)| route.priority.is_some())
    }
}
