//! What an exchange notes of itself while it runs: it becomes the record, and the `x-ringway-*` fields of the answer.

use std::sync::Arc;

use ringway_adapters::dialect::{DialectId, Seen};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::{Loss, Mode};
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};
use ringway_policy::record::{Attempt, CLIENT_ID_BYTES_MAX, MODEL_BYTES_MAX, Record};

use crate::forwarded;
use crate::http1::write;
use crate::listener::Peer;
use crate::request::Request;
use crate::rt::Rt;
use crate::shard::Shard;

/// Generated text per token, where a provider reports no usage: an estimate, marked `delivered`.
const BYTES_PER_TOKEN: u64 = 4;

pub(crate) struct Journal {
    pub(crate) record: Record,
    pub(crate) losses: Vec<Loss>,
    begun_ns: u64,
    /// When the gateway last got something to work on; `None` while it waits for others.
    working_since_ns: Option<u64>,
}

impl Journal {
    /// Begins with the request whole.
    pub(crate) fn begin<R: Rt>(shard: &Shard<R>, peer: &Peer, request: Option<&Request<'_>>) -> Journal {
        let now_ns = shard.rt.now_ns();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&shard.rt.random().to_be_bytes());
        id[8..].copy_from_slice(&shard.rt.random().to_be_bytes());
        let cut = |name: &str| request.and_then(|request| request.field(name)).map(|value| Box::from(cut(value, CLIENT_ID_BYTES_MAX)));
        let record = Record {
            id,
            at_ms: shard.rt.unix_ms(),
            shard: shard.index,
            operation: Operation::Passthrough,
            dialect: None,
            mode: Mode::Whole,
            key: None,
            team: None,
            route: None,
            asked: Box::default(),
            provider: None,
            model: None,
            attempts: Vec::new(),
            status: 0,
            fault: None,
            usage: Usage::default(),
            provenance: Provenance::Delivered,
            losses: 0,
            rescued: false,
            request_bytes: request.map_or(0, |request| (request.bytes.len() + request.body.len()) as u64),
            answer_bytes: 0,
            overhead_ns: 0,
            first_byte_ns: 0,
            total_ns: 0,
            client_request_id: cut("x-request-id"),
            client: forwarded::client_of(peer, &shard.trusted, request),
            tags: cut("x-ringway-tags"),
        };
        Journal { record, losses: Vec::new(), begun_ns: now_ns, working_since_ns: Some(now_ns) }
    }

    pub(crate) fn begun_ns(&self) -> u64 {
        self.begun_ns
    }

    pub(crate) fn asked(&mut self, model: &str) {
        self.record.asked = Box::from(cut(model, MODEL_BYTES_MAX));
    }

    /// The gateway has something to do from now on.
    pub(crate) fn works(&mut self, now_ns: u64) {
        self.working_since_ns.get_or_insert(now_ns);
    }

    /// What came since `works` was not all there was to wait for: the work begins now.
    pub(crate) fn works_anew(&mut self, now_ns: u64) {
        self.working_since_ns = Some(now_ns);
    }

    /// From now on it waits for someone else; the work since `works` is overhead.
    pub(crate) fn waits(&mut self, now_ns: u64) {
        if let Some(since_ns) = self.working_since_ns.take() {
            self.record.overhead_ns += now_ns.saturating_sub(since_ns);
        }
    }

    /// The answer's head goes out now.
    pub(crate) fn first_byte(&mut self, status: u16, now_ns: u64) {
        self.waits(now_ns);
        self.record.status = status;
        self.record.first_byte_ns = now_ns.saturating_sub(self.begun_ns);
    }

    pub(crate) fn attempt(&mut self, provider: &Arc<str>, model: &Arc<str>, status: u16, fault: Option<Kind>, total_ns: u64, usage: Usage) {
        self.record.provider = Some(provider.clone());
        self.record.model = Some(model.clone());
        self.record.attempts.push(Attempt { provider: provider.clone(), model: model.clone(), status, fault, total_ns, usage });
    }

    /// Takes the usage that a tap saw, or counts what was delivered.
    pub(crate) fn usage(&mut self, seen: &Seen) {
        (self.record.usage, self.record.provenance) = match seen.usage {
            Some(usage) => (usage, Provenance::Provider),
            None => (estimate(self.record.request_bytes, seen.text_bytes), Provenance::Delivered),
        };
    }

    pub(crate) fn dialect(&mut self, operation: Operation, dialect: DialectId) {
        self.record.operation = operation;
        self.record.dialect = Some(dialect);
    }

    /// The `x-ringway-*` fields of an answer that begins at `now_ns`.
    pub(crate) fn fields(&self, out: &mut Vec<u8>, now_ns: u64) {
        let mut number = itoa::Buffer::new();
        write::field(out, "x-ringway-request-id", &hex(self.record.id));
        if let (Some(provider), Some(model)) = (&self.record.provider, &self.record.model) {
            write::field(out, "x-ringway-provider", provider.as_bytes());
            write::field(out, "x-ringway-model", model.as_bytes());
            write::field(out, "x-ringway-attempts", number.format(self.record.attempts.len()).as_bytes());
        }
        let open_ns = self.working_since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns));
        write::field(out, "x-ringway-overhead-us", number.format((self.record.overhead_ns + open_ns + 500) / 1000).as_bytes());
        if !self.losses.is_empty() {
            let fields: Vec<&str> = self.losses.iter().map(|loss| loss.field.as_ref()).take(LOSSES_LISTED_MAX).collect();
            // Some are named by the client: a line end in one must not begin another field.
            let text = fields.join(", ").replace(|letter: char| !matches!(letter, ' '..='~'), "?");
            write::field(out, "x-ringway-losses", text.as_bytes());
        }
    }

    /// Ends the record.
    pub(crate) fn end(mut self, fault: Option<&Fault>, answer_bytes: u64, now_ns: u64) -> Record {
        self.waits(now_ns);
        self.record.losses = self.losses.len().min(u16::MAX as usize) as u16;
        self.record.fault = fault.map(|fault| fault.kind);
        self.record.answer_bytes = answer_bytes;
        self.record.total_ns = now_ns.saturating_sub(self.begun_ns);
        if self.record.status == 0 {
            self.record.status = fault.map_or(499, Fault::status);
        }
        self.record
    }
}

/// Losses that the answer's field names; the record counts all.
const LOSSES_LISTED_MAX: usize = 16;

/// Tokens by length, where nobody counted them.
pub(crate) fn estimate(request_bytes: u64, text_bytes: u64) -> Usage {
    let output = text_bytes.div_ceil(BYTES_PER_TOKEN);
    let input = if output == 0 { 0 } else { request_bytes.div_ceil(BYTES_PER_TOKEN) };
    Usage { input, output, ..Usage::default() }
}

/// The first `bytes_max` bytes, cut at a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

pub(crate) fn hex(id: [u8; 16]) -> [u8; 32] {
    let mut text = [0; 32];
    for (index, byte) in id.iter().enumerate() {
        text[2 * index] = b"0123456789abcdef"[usize::from(byte >> 4)];
        text[2 * index + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}
