//! What policy knows of one request before it is sent anywhere.

use std::borrow::Cow;
use std::fmt::Debug;
use std::net::IpAddr;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::needs::Has;
use ringway_adapters::operation::Operation;

use crate::tags::Tags;

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
    /// Bound of each choice's tokens.
    pub max_tokens: Option<u64>,
    /// Answers that were asked for (`n`).
    pub choices: u64,
    pub client: Option<IpAddr>,
    /// The key's own tags and those that the request sends.
    pub tags: Tags<'a>,
    /// The rest, looked up where a rule asks for it.
    pub says: &'a dyn Says,
}

/// Bytes of a request per input token, where nobody has counted them.
const BYTES_PER_TOKEN: u64 = 4;
/// In smaller bodies media that are written as text cannot mislead an estimate by much, and no second look is taken.
const SMALL_BYTES: usize = 8 * 1024;

impl Facts<'_> {
    /// Input tokens by length. Media that a body of more than 8 KiB holds as text are left out: their bytes are no tokens.
    pub fn input_tokens(&self) -> u64 {
        let media = if self.body_bytes > SMALL_BYTES { self.says.media_bytes() } else { 0 };
        (self.body_bytes.saturating_sub(media) as u64).div_ceil(BYTES_PER_TOKEN)
    }
}

/// What only some rules ask of a request. Every answer is looked up when it is asked for.
pub trait Says: Debug {
    /// The end user whom the body names.
    fn user(&self) -> Option<Cow<'_, str>>;
    /// A field of the head, by its name in any case. Never a credential.
    fn header(&self, name: &str) -> Option<&str>;
    /// The value of a tag.
    fn tag(&self, name: &str) -> Option<&str>;
    /// The name of the virtual key.
    fn key(&self) -> Option<&str>;

    fn team(&self) -> Option<&str> {
        None
    }

    fn customer(&self) -> Option<&str> {
        None
    }

    /// All fields of the head but credentials, lower-case names first seen first.
    fn each_header(&self, _each: &mut dyn FnMut(&str, &str)) {}

    fn each_tag(&self, _each: &mut dyn FnMut(&str, &str)) {}

    /// What the body needs of a model.
    fn has(&self) -> Has {
        Has::default()
    }

    /// Bytes of media that the body holds as text.
    fn media_bytes(&self) -> usize {
        0
    }

    /// The share that is used of the budget that is nearest to its end, 0 where there is none.
    fn budget_share(&self) -> f64 {
        0.0
    }

    /// Unix seconds.
    fn unix_s(&self) -> u64 {
        0
    }

    /// Why it is not known which model is asked, though one may be: a body that is not read.
    fn unread(&self) -> Option<&str> {
        None
    }
}

/// A request that says nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Says for Silent {
    fn user(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn header(&self, _: &str) -> Option<&str> {
        None
    }

    fn tag(&self, _: &str) -> Option<&str> {
        None
    }

    fn key(&self) -> Option<&str> {
        None
    }
}

/// Fields of a head that hold credentials: no rule reads them and no explanation shows them.
pub const CREDENTIALS: &[&str] = &["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];
