//! Error answers: their class and reason are the same after a way through every dialect.

use ringway_adapters::dialect::{DIALECTS, Dialect};
use ringway_adapters::fault::{Fault, Kind};

use serde_json::Value;

use crate::Checks;
use crate::load::{Exchange, Reply};
use crate::table::Check;

pub fn check(exchange: &Exchange, checks: &mut Checks) {
    let Some(dialect) = exchange.row.dialect(exchange) else { return };
    let (body, reason) = match &exchange.reply {
        Reply::Json(value) => (value.to_string().into_bytes(), reason(value)),
        Reply::Stream { bytes, .. } => (bytes.clone(), None),
        Reply::Text(text) => (text.clone().into_bytes(), None),
        Reply::Events(_) | Reply::Empty => (Vec::new(), None),
    };
    let fault = (dialect.decode_error)(exchange.status, &body);
    checks.check(Check::Error, "status", || expect(Some(exchange.status), fault.upstream_status));
    // A refused credential is the gateway's own; what the provider says of it may name it.
    let reason = reason.filter(|_| fault.kind != Kind::UpstreamAuth);
    checks.check(Check::Error, "reason", || match &reason {
        // What it says stands in the fault, shortened or not.
        Some(reason) if !reason.contains(fault.message.trim_end_matches('…')) && !fault.message.contains(reason.as_str()) => {
            Err(format!("{:?} instead of {reason:?}", fault.message))
        }
        _ => Ok(()),
    });
    for row in DIALECTS {
        checks.check(Check::Error, &format!("by {}", row.name), || across(row, &fault));
    }
}

/// The provider's own words, wherever its errors have them.
fn reason(body: &Value) -> Option<String> {
    let inner = body.get("error").unwrap_or(body);
    let text = inner.get("message").or_else(|| inner.get("detail")).or(Some(inner)).and_then(Value::as_str);
    text.map(str::to_owned).filter(|text| !text.is_empty())
}

fn across(row: &Dialect, fault: &Fault) -> Result<(), String> {
    let mut out = Vec::new();
    (row.encode_error)(fault, &mut out);
    let again = (row.decode_error)(fault.status(), &out);
    expect(class(fault), class(&again))?;
    let message = serde_json::to_string(&fault.message).unwrap_or_default();
    let is_held = String::from_utf8_lossy(&out).contains(message.trim_matches('"'));
    if is_held { Ok(()) } else { Err(format!("its reason {message} is not in {}", String::from_utf8_lossy(&out))) }
}

/// What the client can act on. Our credential is ours to mend: the client is told of an upstream error.
fn class(fault: &Fault) -> (Kind, u16) {
    let kind = if fault.kind == Kind::UpstreamAuth { Kind::UpstreamError } else { fault.kind };
    (kind, fault.status())
}

fn expect<T: PartialEq + std::fmt::Debug>(expected: T, got: T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{got:?} instead of {expected:?}")) }
}
