//! What policy knows of one request before it is sent anywhere.

use std::net::IpAddr;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;

/// What the request says, by reference into its bytes.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub operation: Operation,
    pub dialect: DialectId,
    /// The model as asked for, decoded. Empty where the operation has none.
    pub model: &'a str,
    /// The request's own `fallbacks`.
    pub fallbacks: &'a [String],
    /// The virtual key as sent, if any.
    pub key: Option<&'a str>,
    pub mode: Mode,
    /// Bytes of the body: the bound of its input tokens.
    pub body_bytes: usize,
    pub max_tokens: Option<u64>,
    pub client: Option<IpAddr>,
}
