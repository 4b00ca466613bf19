//! Exchanges that the audit log must hold: begun in it before anything is sent, ended in it with the hash of what went out.
//!
//! Costs nothing where nobody asks for it: one look at the key and the route, and one at an absent hash per write. Where
//! somebody does, two hashes and one wait for the disk.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, digest};
use ringway_adapters::fault::{Fault, Kind};
use ringway_policy::audit::Ticket;
use ringway_policy::key::Principal;
use ringway_policy::plan::Plan;
use ringway_policy::snapshot::Snapshot;

use crate::downstream::Downstream;
use crate::journal::{Journal, hex};
use crate::request::Request;
use crate::rt::Rt;

/// How long an exchange waits for its row.
const WAIT: Duration = Duration::from_secs(2);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(1);

/// The hash of what goes out, while it goes.
pub(crate) struct Outgoing {
    hash: Context,
    bytes: u64,
}

impl Outgoing {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

/// Does the key, its team or the route ask for it?
pub(crate) fn is_asked(snapshot: &Snapshot, principal: &Principal, plan: &Plan) -> bool {
    let of_team = || principal.team.as_ref().is_some_and(|team| snapshot.audited_teams.contains(team));
    principal.access.audited || plan.rules.audited || (!snapshot.audited_teams.is_empty() && of_team())
}

/// Notes that the exchange begins, and waits until that is on the disk.
///
/// # Errors
/// `AuditUnavailable` where it is not, or not in time: nothing is sent then.
pub(crate) async fn begin<R: Rt>(down: &mut Downstream<'_, R>, journal: &Journal, request: &Request<'_>) -> Result<(), Fault> {
    let shard = down.shard;
    let unavailable = |reason: &str| Fault::new(Kind::AuditUnavailable, format!("the audit log cannot hold this exchange: {reason}"));
    let Some(sink) = shard.audit.borrow().clone() else {
        return Err(unavailable("the gateway keeps none; it runs with --no-store"));
    };
    let mut row = open(journal);
    text(&mut row, "key", journal.record.key.as_deref());
    text(&mut row, "team", journal.record.team.as_deref());
    text(&mut row, "customer", journal.record.customer.as_deref());
    text(&mut row, "route", journal.record.route.as_deref());
    text(&mut row, "model", Some(&*journal.record.asked));
    let client = journal.record.client.map(|client| client.to_string());
    text(&mut row, "address", client.as_deref());
    text(&mut row, "path", Some(request.path()));
    // Of an upload only the beginning is there; its end is hashed by nobody.
    let request_sha256 = hex_of(digest(&SHA256, request.body).as_ref());
    text(&mut row, if request.upload.is_some() { "request_start_sha256" } else { "request_sha256" }, Some(&request_sha256));
    let _ = write!(row, ",\"request_bytes\":{}}}", request.body.len());
    let ticket = Arc::new(Ticket::default());
    sink.begin(row, ticket.clone());
    let until_ns = shard.now_ns().saturating_add(WAIT.as_nanos() as u64);
    loop {
        match ticket.outcome() {
            Some(Ok(())) => break,
            Some(Err(reason)) => return Err(unavailable(reason)),
            None if shard.now_ns() >= until_ns => return Err(unavailable("its disk is slow")),
            None => shard.wheel.sleep(LOOK).await,
        }
    }
    down.outgoing = Some(Box::new(Outgoing { hash: Context::new(&SHA256), bytes: 0 }));
    Ok(())
}

/// Notes how the exchange ended, if its begin was noted.
pub(crate) fn end<R: Rt>(down: &mut Downstream<'_, R>, journal: &Journal) {
    let Some(outgoing) = down.outgoing.take() else { return };
    let Outgoing { hash, bytes } = *outgoing;
    let record = &journal.record;
    let mut row = open(journal);
    text(&mut row, "provider", record.provider.as_deref());
    text(&mut row, "answered_by", record.model.as_deref());
    text(&mut row, "fault", record.fault.map(|fault| fault.code()));
    text(&mut row, "response_sha256", Some(&hex_of(hash.finish().as_ref())));
    let _ = write!(row, ",\"status\":{},\"response_bytes\":{}}}", record.status, bytes);
    if let Some(sink) = &*down.shard.audit.borrow() {
        sink.end(row);
    }
}

/// `{"id":"…"`: what follows begins with a comma.
fn open(journal: &Journal) -> String {
    let id = hex(journal.record.id);
    format!("{{\"id\":\"{}\"", std::str::from_utf8(&id).unwrap_or_default())
}

fn text(row: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let _ = write!(row, ",\"{name}\":\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => row.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(row, "\\u{:04x}", u32::from(character));
            }
            character => row.push(character),
        }
    }
    row.push('"');
}

fn hex_of(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
