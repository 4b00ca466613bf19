//! Waiting in line: where a limit that many share, or the shard's own bound, is used up, a request waits for room.
//!
//! `lobby` is the process's book of who waits (policy's `Queue` says who goes next), `standing` one request's place in it,
//! `line` what an exchange does with it. Nothing polls: whoever gives room back calls the next one, a rate's refill comes by
//! the shard's wheel.
//!
//! Estimate: where nobody waits, a load and a compare twice an attempt and twice an exchange, some 15 instructions in all; no
//! allocation, no lock. Who waits takes the lobby's lock a few times, for a microsecond at most; nobody holds it across an await.

mod line;
mod lobby;
mod standing;

pub(crate) use line::{NoRoom, Who, until_room, until_uncrowded};
pub use lobby::Lobby;
pub(crate) use standing::Seated;
