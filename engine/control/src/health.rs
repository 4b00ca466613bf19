//! Health: is the process ready for traffic, and what is it missing while it is.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process stands. It only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// No snapshot is served yet.
    Starting = 0,
    Serving = 1,
    /// Readiness is false, so that load balancers leave before the drain begins.
    Draining = 2,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Draining => "draining",
        }
    }
}

/// A part that can be out of order while traffic goes on. A closed set: it bounds the list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Configuration,
    Certificates,
    AccessLog,
    Names,
    RequestLog,
    SharedState,
    SpendStore,
    Store,
    Tokens,
    Telemetry,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Part::Configuration => "configuration",
            Part::Certificates => "certificates",
            Part::AccessLog => "access log",
            Part::Names => "name resolution",
            Part::RequestLog => "request log",
            Part::SharedState => "shared state",
            Part::SpendStore => "spend store",
            Part::Store => "store",
            Part::Tokens => "provider tokens",
            Part::Telemetry => "telemetry",
        }
    }
}

/// Shared by everything in the control plane that knows how things stand.
#[derive(Debug, Default)]
pub struct Health {
    phase: AtomicU8,
    degraded: Mutex<BTreeMap<Part, String>>,
}

impl Health {
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// Moves forward to `phase`; a step back is ignored.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// `part` is out of order; the last reason stands. Traffic goes on and readiness says degraded.
    pub fn degrade(&self, part: Part, reason: impl Into<String>) {
        self.degraded().insert(part, reason.into());
    }

    /// `part` works again.
    pub fn recover(&self, part: Part) {
        self.degraded().remove(&part);
    }

    /// What is out of order, by part.
    pub fn reasons(&self) -> Vec<(Part, String)> {
        self.degraded().iter().map(|(part, reason)| (*part, reason.clone())).collect()
    }

    fn degraded(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, String>> {
        self.degraded.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_never_undone() {
        let health = Health::default();
        assert_eq!(health.phase(), Phase::Starting);
        health.enter(Phase::Serving);
        health.enter(Phase::Draining);
        health.enter(Phase::Serving);
        assert_eq!(health.phase(), Phase::Draining);
    }

    #[test]
    fn a_recovered_part_leaves_no_reason() {
        let health = Health::default();
        health.degrade(Part::AccessLog, "broken pipe");
        health.degrade(Part::AccessLog, "stalled");
        assert_eq!(health.reasons(), vec![(Part::AccessLog, "stalled".to_owned())]);
        health.recover(Part::AccessLog);
        assert!(health.reasons().is_empty());
    }
}
