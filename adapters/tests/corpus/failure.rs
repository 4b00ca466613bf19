//! Error answers: their class is the same after a translation.

use ringway_adapters::dialect::{DIALECTS, Dialect};
use ringway_adapters::fault::{Fault, Kind};

use crate::Checks;
use crate::load::{Exchange, Reply};

pub fn check(exchange: &Exchange, checks: &mut Checks) {
    let Some(dialect) = exchange.dialect else { return };
    let body = match &exchange.reply {
        Reply::Json(value) => value.to_string().into_bytes(),
        Reply::Stream { text, .. } => text.clone().into_bytes(),
        Reply::Empty => Vec::new(),
    };
    let fault = (dialect.row().decode_error)(exchange.status, &body);
    checks.check("error has the provider's status", expect(Some(exchange.status), fault.upstream_status));
    for row in DIALECTS {
        checks.group(&format!("error through {}", row.name), |checks| check_translation(row, &fault, checks));
    }
}

fn check_translation(row: &Dialect, fault: &Fault, checks: &mut Checks) {
    let mut out = Vec::new();
    (row.encode_error)(fault, &mut out);
    let again = (row.decode_error)(fault.status(), &out);
    checks.check(&format!("error through {}", row.name), expect(class(fault), class(&again)));
    let message = serde_json::to_string(&fault.message).unwrap_or_default();
    let is_held = String::from_utf8_lossy(&out).contains(message.trim_matches('"'));
    checks.check(&format!("reason through {}", row.name), expect(true, is_held));
}

/// What the client can act on. Our credential is ours to mend: the client is told of an upstream error.
fn class(fault: &Fault) -> (Kind, u16) {
    let kind = if fault.kind == Kind::UpstreamAuth { Kind::UpstreamError } else { fault.kind };
    (kind, fault.status())
}

fn expect<T: PartialEq + std::fmt::Debug>(expected: T, got: T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{got:?} instead of {expected:?}")) }
}
