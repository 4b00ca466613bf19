//! The record: the one line that an exchange leaves behind.

use std::sync::Arc;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};

pub use line::{write_hex, write_json, write_text, write_time};

mod line;

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
    /// `x-ringway-tags`.
    pub tags: Option<Box<str>>,
}

pub const MODEL_BYTES_MAX: usize = 256;
pub const CLIENT_ID_BYTES_MAX: usize = 128;

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
}
