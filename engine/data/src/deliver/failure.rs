//! A failed attempt, by what may follow it.

use ringway_adapters::fault::{Fault, Kind};

/// A failed attempt, by what may follow.
pub(super) enum Failure {
    /// Nothing reached the client yet.
    Before(Fault),
    /// The client holds the beginning of an answer, which broke.
    After(Fault),
    /// A rescuing attempt failed before it added anything: the next one may try.
    Again(Fault),
    /// A rescuing attempt failed because its target takes no prefill.
    WithoutPrefill(Fault),
}

impl Failure {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Failure::Before(fault) | Failure::After(fault) | Failure::Again(fault) | Failure::WithoutPrefill(fault) => fault.kind,
        }
    }

    pub(super) fn into_fault(self) -> Fault {
        match self {
            Failure::Before(fault) | Failure::After(fault) | Failure::Again(fault) | Failure::WithoutPrefill(fault) => fault,
        }
    }
}
