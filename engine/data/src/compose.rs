//! The head of an upstream request.
//!
//! One buffer, no allocation per field.

use std::borrow::Cow;
use std::ops::Range;

use ringway_adapters::dialect::realtime;
use ringway_adapters::fault::Fault;
use ringway_adapters::provider::Auth;
use ringway_policy::snapshot::Upstream;
use ringway_policy::snapshot::credential::{Credential, Signing};
use ringway_policy::trace::Traceparent;

use crate::attempt::Outbound;
use crate::http1::names::{self, Names};
use crate::http1::write;
use crate::request::Request;
use crate::sign::{Unsigned, sign};

/// What is done with the body between client and provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Same dialect: the client's fields go along.
    Untouched,
    /// Another dialect: its fields would mean nothing there.
    Translated,
    /// Nothing of it is read here: it keeps its coding.
    Raw,
    /// There is none: the connection is to become a WebSocket.
    Upgrade,
}

/// What the client says of the WebSocket that the other hop is not to know: extensions would change frames that are read on their way,
/// and a page's origin is none of the gateway's.
static DROPPED_IN_UPGRADE: Names = Names::new(&["sec-websocket-extensions", "origin", realtime::PROTOCOL_FIELD]);

/// Fields that never go upstream, whatever their value: framing and routing of this hop, the caller's credentials and cookies,
/// and what the gateway decides itself. Hop-by-hop fields are marked by the parser.
static DROPPED: Names = Names::new(&[
    "host",
    "content-length",
    "content-encoding",
    "accept-encoding",
    "expect",
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "via",
]);

/// Fields that may hold a credential of the caller's own. They go along only to a provider with `credentials: caller`.
static CREDENTIALS: Names = Names::new(&["authorization", "x-api-key", "api-key", "x-goog-api-key"]);

/// Fields that go along even when the body is translated.
static KEPT_IN_TRANSLATION: Names = Names::new(&["user-agent", "traceparent", "tracestate"]);

/// What the head is made of. `query` is what the client wrote behind the `?`.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    pub(crate) upstream: &'a Upstream,
    pub(crate) path: Cow<'a, str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) credential: Option<&'a Credential>,
    /// The key by which the gateway knows the caller: it goes nowhere, whichever field holds it.
    pub(crate) virtual_key: Option<&'a str>,
    pub(crate) conversion: Conversion,
    pub(crate) body: &'a Outbound<'a>,
    /// For signatures.
    pub(crate) unix_ms: u64,
    /// Where tracing is on.
    pub(crate) tracing: Option<Tracing>,
}

/// The trace context of an attempt.
#[derive(Clone, Copy)]
pub(crate) struct Tracing {
    pub(crate) traceparent: Traceparent,
    pub(crate) state: State,
}

/// What becomes of the client's `tracestate`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The trace is the client's.
    GoesAlong,
    /// The trace begins here.
    Ends,
}

impl Head<'_> {
    /// The head of an attempt with this trace context.
    pub(crate) fn traced(mut self, tracing: Option<Tracing>) -> Self {
        self.tracing = tracing;
        self
    }

    /// Appends the whole head.
    ///
    /// # Errors
    /// As `sign`.
    pub(crate) fn write(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let endpoint = &self.upstream.endpoint;
        for piece in [self.method, " "] {
            out.extend_from_slice(piece.as_bytes());
        }
        let target_start = out.len();
        for piece in [&*endpoint.prefix, &*self.path] {
            out.extend_from_slice(piece.as_bytes());
        }
        self.write_query(out);
        let target = target_start..out.len();
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write::field(out, "host", endpoint.authority.as_bytes());
        if let Some(credential) = self.credential {
            out.extend_from_slice(&credential.header_line);
        }
        if self.upstream.caller_credentials {
            self.write_callers(request, out);
        }
        request.head.fields.forward(request.bytes, out, |name| self.goes_along(name));
        if self.conversion == Conversion::Translated {
            write::field(out, "content-type", b"application/json");
        }
        for (name, value) in &self.upstream.provider.headers {
            let sent = self.conversion != Conversion::Translated && request.head.fields.get(request.bytes, name).is_some();
            if !sent {
                write::field(out, name, value.as_bytes());
            }
        }
        if self.conversion == Conversion::Upgrade {
            out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
            let protocols = request.field(realtime::PROTOCOL_FIELD).map(realtime::without_key).unwrap_or_default();
            if !protocols.is_empty() {
                write::field(out, realtime::PROTOCOL_FIELD, protocols.as_bytes());
            }
        }
        write::field(out, "accept-encoding", b"identity");
        if let Some(tracing) = &self.tracing {
            write::field(out, "traceparent", &tracing.traceparent);
        }
        match self.body.len() {
            None => write::field(out, "transfer-encoding", b"chunked"),
            Some(0) if matches!(self.method, "GET" | "HEAD") => {}
            Some(len) => write::field(out, "content-length", itoa::Buffer::new().format(len).as_bytes()),
        }
        if let Some(signing) = self.credential.and_then(|credential| credential.signing.as_deref()) {
            self.sign(signing, target, out)?;
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn sign(&self, signing: &Signing, target: Range<usize>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let target = String::from_utf8_lossy(&out[target]).into_owned();
        let authority = &self.upstream.endpoint.authority;
        let unsigned = Unsigned { method: self.method, authority, target: &target, body: self.body, unix_ms: self.unix_ms };
        sign(signing, &unsigned, out)
    }

    /// The caller's own credential: as it came within one dialect, else its first one in the provider's own form.
    fn write_callers(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let is_virtual = |value: &[u8]| self.virtual_key.is_some_and(|key| memchr::memmem::find(value, key.as_bytes()).is_some());
        let fields = request.head.fields.iter(request.bytes);
        let mut own = fields.filter(|(name, value, hop)| !hop && CREDENTIALS.contains(name) && !is_virtual(value));
        if self.conversion != Conversion::Translated {
            for (name, value, _) in own {
                for piece in [name, b": ", value, b"\r\n"] {
                    out.extend_from_slice(piece);
                }
            }
        } else if let Some((_, value, _)) = own.next() {
            let is_bearer = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
            let bare = if is_bearer { &value[7..] } else { value };
            match &self.upstream.provider.auth {
                Auth::Bearer => write::field(out, "authorization", &[b"Bearer ", bare].concat()),
                Auth::Scheme(scheme) => write::field(out, "authorization", &[scheme.as_bytes(), b" ", bare].concat()),
                Auth::Header(name) => write::field(out, name, bare),
                Auth::Query(_) | Auth::None | Auth::Sigv4 { .. } => {}
            }
        }
    }

    /// The client's parameters but for its key and those that the provider's path has, then the provider's own.
    fn write_query(&self, out: &mut Vec<u8>) {
        let set = self.path.split_once('?').map(|(_, query)| query);
        let name = |pair: &str| pair.split_once('=').map_or(pair.len(), |(name, _)| name.len());
        let is_set = |pair: &str| set.is_some_and(|set| set.split('&').any(|other| other[..name(other)] == pair[..name(pair)]));
        // The path names the model in the provider's way.
        let is_named = |pair: &str| self.conversion == Conversion::Upgrade && realtime::MODEL_PARAMETERS.contains(&&pair[..name(pair)]);
        let clients = self.query.unwrap_or("").split('&');
        let clients = clients.filter(|pair| !pair.is_empty() && !pair.starts_with("key=") && !is_set(pair) && !is_named(pair));
        let credential = self.credential.map(|credential| &*credential.query_pair).filter(|pair| !pair.is_empty());
        let mut mark = if set.is_some() { b'&' } else { b'?' };
        for pair in clients.chain(credential) {
            out.push(std::mem::replace(&mut mark, b'&'));
            out.extend_from_slice(pair.as_bytes());
        }
    }

    fn goes_along(&self, name: &[u8]) -> bool {
        if let Some(tracing) = &self.tracing {
            let is_parent = name.eq_ignore_ascii_case(b"traceparent");
            if is_parent || (tracing.state == State::Ends && name.eq_ignore_ascii_case(b"tracestate")) {
                return false;
            }
        }
        match self.conversion {
            Conversion::Translated => KEPT_IN_TRANSLATION.contains(name),
            Conversion::Raw if name.eq_ignore_ascii_case(b"content-encoding") => true,
            Conversion::Upgrade if DROPPED_IN_UPGRADE.contains(name) => false,
            Conversion::Untouched | Conversion::Raw | Conversion::Upgrade => !DROPPED.contains(name) && !names::is_ours(name),
        }
    }
}
