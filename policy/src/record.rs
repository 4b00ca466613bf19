//! The record: the one line that an exchange leaves behind.

use std::sync::Arc;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Tariff, Usage};

use crate::money::NanoDollars;
use crate::quota::{Row, Rows, Spent};
use crate::spend::Charge;
use crate::trace::Trace;

pub use explanation::write_explanation;
pub use line::{write_hex, write_json, write_text, write_time};
pub use outbox::{Full, Outbox};
pub use trail::{Entry, Phases, Subject, Times, Trail, Why, write_trail};
pub use waits::{Before, Ended, Waited, write_waits};

mod explanation;
mod line;
mod outbox;
#[cfg(test)]
mod testing;
mod trail;
mod waits;

/// What happened, without bodies and secrets.
#[derive(Clone, Debug)]
pub struct Record {
    /// `x-ringway-request-id`.
    pub id: [u8; 16],
    /// Unix milliseconds at the request's first byte.
    pub at_ms: u64,
    pub shard: u16,
    pub operation: Operation,
    pub dialect: Option<DialectId>,
    pub mode: Mode,
    pub key: Option<Arc<str>>,
    pub team: Option<Arc<str>>,
    pub customer: Option<Arc<str>>,
    pub route: Option<Arc<str>>,
    /// The model as asked for, cut at `MODEL_BYTES_MAX`.
    pub asked: Box<str>,
    /// The provider and model that answered (or failed last).
    pub provider: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
    pub attempts: Vec<Attempt>,
    /// What the client got; 499 where it left before the head.
    pub status: u16,
    /// The fault that ended the exchange, also after a 200.
    pub fault: Option<Kind>,
    pub usage: Usage,
    pub provenance: Provenance,
    /// What the counts of `Provenance::Delivered` were made from; `None` where nothing was.
    pub delivered: Option<Box<Delivered>>,
    /// How the provider says that it processed the request.
    pub tier: Option<Tariff>,
    pub losses: u16,
    pub rescued: bool,
    pub request_bytes: u64,
    pub answer_bytes: u64,
    /// Gateway time: request read → handed to the kernel, plus the same for the answer.
    pub overhead_ns: u64,
    /// Request head read → first byte of the answer to the client.
    pub first_byte_ns: u64,
    /// Request head read → last byte of the answer.
    pub total_ns: u64,
    /// The client's `x-request-id`, cut at `CLIENT_ID_BYTES_MAX`.
    pub client_request_id: Option<Box<str>>,
    pub client: Option<std::net::IpAddr>,
    /// The key's own tags and those of `x-ringway-tags`: `k=v,k=v`.
    pub tags: Option<Box<str>>,
    /// Who uses the client's product, as the request says, for chargeback; cut at `END_USER_BYTES_MAX`.
    pub end_user: Option<Box<str>>,
    /// What all attempts cost together; `None` where a rate is not known.
    pub cost: Option<NanoDollars>,
    /// The limits and budgets that were asked, and what it came to on each.
    pub charges: Rows,
    /// The route or model that stood in, because a budget was used up.
    pub downgraded: Option<Box<Arc<str>>>,
    /// A budget was used up inside the stream, and ended it.
    pub cut: bool,
    /// What was passed over, and why.
    pub trail: Trail,
    /// The exchange whose request this is a copy of, sent to a shadow target; no client saw the answer.
    pub mirror_of: Option<Box<[u8; 16]>>,
    /// The trace that it belongs to, where tracing is on.
    pub trace: Option<Box<Trace>>,
}

/// What was delivered, so that others can count it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// UTF-8 bytes of generated text, thinking, names of called tools and arguments.
    pub bytes: u64,
    /// Events that held any of it.
    pub events: u64,
    /// The vocabulary: `o200k`.
    pub counter: &'static str,
}

pub const MODEL_BYTES_MAX: usize = 256;
pub const CLIENT_ID_BYTES_MAX: usize = 128;
pub const END_USER_BYTES_MAX: usize = 128;

/// One try on one target.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub provider: Arc<str>,
    pub model: Arc<str>,
    /// The provider's status, 0 where none came.
    pub status: u16,
    pub fault: Option<Kind>,
    pub total_ns: u64,
    /// Tokens that this attempt cost although another one answered.
    pub usage: Usage,
    /// What they were counted from, where they were counted.
    pub delivered: Option<Delivered>,
    /// What it cost, whether or not it answered; `None` where a rate is not known.
    pub cost: Option<NanoDollars>,
    pub times: Times,
    /// How the provider says that it processed it.
    pub tier: Option<Tariff>,
    /// Another attempt at the same time was faster; this one was cancelled.
    pub overtaken: bool,
    /// Its span in the exchange's trace; 0 where tracing is off.
    pub span: u64,
}

impl Record {
    /// What all attempts came to.
    pub fn spent(&self) -> Spent {
        let usages = || self.attempts.iter().map(|attempt| &attempt.usage).chain([&self.usage]);
        let sum = |read: fn(&Usage) -> u64| usages().fold(0u64, |sum, usage| sum.saturating_add(read(usage)));
        Spent { input: sum(|usage| usage.input), output: sum(|usage| usage.output), cost: self.cost }
    }

    /// What it adds to budgets, for a journal.
    pub fn budget_charges(&self) -> impl Iterator<Item = Charge> {
        self.charges.iter().filter_map(Row::charge)
    }
}
