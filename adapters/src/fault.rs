//! A fault: anything that went wrong, classified by whose it is.

use std::borrow::Cow;
use std::time::Duration;

/// Whose fault it is. Exactly one party can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    Client,
    Policy,
    Upstream,
    Gateway,
}

/// What went wrong. A closed set: it labels metrics and picks the answer's status and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    InvalidRequest,
    HeadTooLarge,
    RequestTooLarge,
    UnsupportedEncoding,
    RequestTimeout,
    ClientGone,
    NotFound,
    ModelNotFound,

    InvalidKey,
    ModelNotAllowed,
    NetworkNotAllowed,
    RateLimited,
    BudgetExceeded,

    /// No connection: refused, unreachable, not resolved, TLS handshake failed.
    UpstreamConnect,
    /// The connection ended before a whole response head came.
    UpstreamReset,
    /// No byte within `connect`, `first_byte` or `total`.
    UpstreamTimeout,
    /// 429 that a later try can mend.
    UpstreamRateLimited,
    /// 429 or 402 because money or quota is used up: a repeat cannot help.
    UpstreamSpendCap,
    /// 401 or 403: our credential, ours to mend.
    UpstreamAuth,
    /// Any 5xx, 408 and 409.
    UpstreamError,
    /// 4xx that would repeat; the provider's reason goes to the client.
    UpstreamRefused,
    /// 400 because the prompt does not fit the model.
    ContextLength,
    /// 400 because the provider's filter refused the prompt.
    ContentFilter,
    /// 400 because the model takes no assistant prefill.
    PrefillRefused,
    /// Bytes that are not what the dialect says.
    MalformedResponse,
    /// The answer broke off after its first byte.
    UpstreamCut,
    /// No event within `idle` after the first byte.
    UpstreamStalled,
    /// The provider reported an error inside the stream.
    UpstreamInBand,

    Overloaded,
    Draining,
    /// The exchange must be in the audit log, and that cannot be written.
    AuditUnavailable,
    Internal,
}

impl Kind {
    /// Whose fault it is.
    pub fn blame(self) -> Blame {
        self.row().1
    }

    /// The status that the client gets when nothing was sent yet. 499 marks a client that left.
    pub fn status(self) -> u16 {
        self.row().2
    }

    /// The code in OpenAI's error shape, and the label in metrics and records.
    pub fn code(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static (Kind, Blame, u16, &'static str) {
        let row = &KINDS[self as usize];
        debug_assert!(row.0 == self, "KINDS stands in the order of Kind");
        row
    }
}

const KINDS: &[(Kind, Blame, u16, &str)] = &[
    (Kind::InvalidRequest, Blame::Client, 400, "invalid_request_error"),
    (Kind::HeadTooLarge, Blame::Client, 431, "invalid_request_error"),
    (Kind::RequestTooLarge, Blame::Client, 413, "request_too_large"),
    (Kind::UnsupportedEncoding, Blame::Client, 415, "invalid_request_error"),
    (Kind::RequestTimeout, Blame::Client, 408, "request_timeout"),
    (Kind::ClientGone, Blame::Client, 499, "client_gone"),
    (Kind::NotFound, Blame::Client, 404, "not_found"),
    (Kind::ModelNotFound, Blame::Client, 404, "model_not_found"),
    (Kind::InvalidKey, Blame::Policy, 401, "invalid_api_key"),
    (Kind::ModelNotAllowed, Blame::Policy, 403, "model_not_allowed"),
    (Kind::NetworkNotAllowed, Blame::Policy, 403, "network_not_allowed"),
    (Kind::RateLimited, Blame::Policy, 429, "rate_limit_exceeded"),
    (Kind::BudgetExceeded, Blame::Policy, 402, "budget_exceeded"),
    (Kind::UpstreamConnect, Blame::Upstream, 502, "upstream_error"),
    (Kind::UpstreamReset, Blame::Upstream, 502, "upstream_error"),
    (Kind::UpstreamTimeout, Blame::Upstream, 504, "upstream_timeout"),
    (Kind::UpstreamRateLimited, Blame::Upstream, 429, "rate_limit_exceeded"),
    (Kind::UpstreamSpendCap, Blame::Upstream, 429, "rate_limit_exceeded"),
    (Kind::UpstreamAuth, Blame::Upstream, 502, "upstream_error"),
    (Kind::UpstreamError, Blame::Upstream, 502, "upstream_error"),
    (Kind::UpstreamRefused, Blame::Client, 400, "invalid_request_error"),
    (Kind::ContextLength, Blame::Client, 400, "context_length_exceeded"),
    (Kind::ContentFilter, Blame::Client, 400, "content_filter"),
    (Kind::PrefillRefused, Blame::Upstream, 502, "upstream_error"),
    (Kind::MalformedResponse, Blame::Upstream, 502, "upstream_error"),
    (Kind::UpstreamCut, Blame::Upstream, 502, "upstream_error"),
    (Kind::UpstreamStalled, Blame::Upstream, 504, "upstream_timeout"),
    (Kind::UpstreamInBand, Blame::Upstream, 502, "upstream_error"),
    (Kind::Overloaded, Blame::Gateway, 503, "overloaded"),
    (Kind::Draining, Blame::Gateway, 503, "overloaded"),
    (Kind::AuditUnavailable, Blame::Gateway, 503, "audit_unavailable"),
    (Kind::Internal, Blame::Gateway, 500, "internal_error"),
];

/// One thing that went wrong. Holds no body and no secret.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    /// What happened, with the value, and what to do. Lower case, no full stop.
    pub message: Cow<'static, str>,
    /// The provider's own status, where it answered; a 4xx goes to the client as it is.
    pub upstream_status: Option<u16>,
    /// When a repeat may help.
    pub retry_after: Option<Duration>,
    /// The request field at fault, or the provider's own `param`.
    pub param: Option<Box<str>>,
    /// The provider's own code, kept for the client's error shape.
    pub code: Option<Box<str>>,
}

impl Fault {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { kind, message: message.into(), upstream_status: None, retry_after: None, param: None, code: None }
    }

    /// The status for the client: the provider's own for a 4xx that is the client's to mend, else the kind's.
    pub fn status(&self) -> u16 {
        match self.upstream_status {
            Some(status) if (400..500).contains(&status) && self.kind.blame() == Blame::Client => status,
            _ => self.kind.status(),
        }
    }

    /// The code for the client: the provider's own, else the kind's.
    pub fn code(&self) -> &str {
        self.code.as_deref().unwrap_or(self.kind.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_the_order_of_the_enum() {
        for (index, row) in KINDS.iter().enumerate() {
            assert_eq!(row.0 as usize, index, "{:?}", row.0);
        }
        assert_eq!(Kind::Internal as usize + 1, KINDS.len());
    }
}
