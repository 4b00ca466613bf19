//! What a request asks for: its model, how the answer is to come, and the bounds that it names.
//!
//! A body is read as far as its operation says: JSON by its spans, a form by its fields, what is carried untouched not at all but for
//! the model that prices it.

use std::borrow::Cow;
use std::time::Duration;

use ringway_adapters::dialect::{AsksIn, realtime};
use ringway_adapters::door::{self, Door};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::json::peek::{self, Peek};
use ringway_adapters::multipart::{Form, FormReader};
use ringway_adapters::operation::Operation;

use crate::request::Request;

/// What the client asks for, read from its path and its body.
pub(crate) struct Asked<'a> {
    /// Empty where none is named.
    pub(crate) model: Cow<'a, str>,
    pub(crate) fallbacks: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) timeout: Option<Duration>,
    pub(crate) peek: Peek,
    pub(crate) body: BodyForm,
    /// Why the model is not known, though one may be asked.
    pub(crate) unread: Option<&'static str>,
}

/// What the body is to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// An object whose spans are in `Asked::peek`.
    Json,
    Form(Form),
    /// Passed on as it is.
    Carried,
}

impl Asked<'_> {
    pub(crate) fn is_json(&self) -> bool {
        self.body == BodyForm::Json
    }
}

/// Characters of a wrong name that the refusal quotes.
const NAME_SHOWN_MAX: usize = 128;

/// # Errors
/// `InvalidRequest` with what is wrong, `NotFound` where the method is none of this path.
pub(crate) fn classify<'a>(request: &Request<'_>, door: &Door<'a>, body: &'a [u8]) -> Result<Asked<'a>, Fault> {
    match door.operation {
        Operation::Passthrough | Operation::Files | Operation::Batch => return carried(request, door, body),
        Operation::Realtime => return session(request, door),
        _ => {}
    }
    if request.head.method != http::Method::POST {
        let message = format!("{} {} is not served; use POST", request.head.method, request.path());
        return Err(Fault::new(Kind::NotFound, message));
    }
    if matches!(door.operation, Operation::Image | Operation::Transcribe)
        && let Some(form) = request.field("content-type").and_then(FormReader::of_content_type)
    {
        return of_form(request, door, body, form);
    }
    let peek = peek::peek(body)?;
    let model = match (door.model(), &peek.model) {
        (Some(id), _) => door::decode(id)?,
        (None, Some(span)) => peek::string(body, span.clone())?,
        (None, None) => return Err(missing_model()),
    };
    let fallbacks = peek::fallbacks(body, &peek)?;
    check_name("model", &model)?;
    fallbacks.iter().try_for_each(|name| check_name("fallbacks", name))?;
    let mode = door.mode.unwrap_or_else(|| mode_of(door, &peek));
    Ok(Asked { model, fallbacks, mode, timeout: timeout(request)?, peek, body: BodyForm::Json, unread: None })
}

/// How a body wants its answer.
fn mode_of(door: &Door<'_>, peek: &Peek) -> Mode {
    let generates = matches!(door.operation, Operation::Chat | Operation::Complete);
    let by_default = generates && peek.stream.is_none() && door.dialect.row().asks_in == AsksIn::BodyElseStream;
    if peek.is_stream || by_default { Mode::Stream } else { Mode::Whole }
}

fn of_form<'a>(request: &Request<'_>, door: &Door<'a>, body: &'a [u8], mut reader: FormReader) -> Result<Asked<'a>, Fault> {
    reader.read(body);
    let form = reader.form().clone();
    let model = match (door.model(), &form.model) {
        (Some(id), _) => door::decode(id)?,
        (None, Some(span)) => String::from_utf8_lossy(&body[span.clone()]),
        (None, None) => return Err(missing_model()),
    };
    check_name("model", &model)?;
    let mode = if form.is_stream { Mode::Stream } else { Mode::Whole };
    let mut peek = Peek::default();
    peek.n = form.n;
    Ok(Asked { model, fallbacks: Vec::new(), mode, timeout: timeout(request)?, peek, body: BodyForm::Form(form), unread: None })
}

/// A realtime session: a WebSocket (RFC 6455 §4.2.1), whose model stands in the query.
fn session<'a>(request: &Request<'_>, door: &Door<'_>) -> Result<Asked<'a>, Fault> {
    let is = |name: &str, wanted: &str| {
        let list = request.field(name).unwrap_or_default();
        list.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let is_upgrade = is("upgrade", "websocket") && is("connection", "upgrade");
    if !door.tail.is_empty() || request.head.method != http::Method::GET || !is_upgrade {
        let message = "a realtime session begins with a WebSocket upgrade: GET /v1/realtime?model=MODEL";
        return Err(Fault::new(Kind::NotFound, message));
    }
    if request.field("sec-websocket-key").is_none() || !is("sec-websocket-version", "13") || request.head.minor_version == 0 {
        let message = "the WebSocket upgrade needs Sec-WebSocket-Key and Sec-WebSocket-Version: 13 (RFC 6455), over HTTP/1.1";
        return Err(Fault::new(Kind::InvalidRequest, message));
    }
    let pairs = || request.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
    let named = realtime::MODEL_PARAMETERS.iter().find_map(|wanted| pairs().find(|(name, _)| name == wanted));
    let model = match named {
        Some((_, model)) => door::decode(model)?.into_owned(),
        None => return Err(missing_model()),
    };
    check_name("model", &model)?;
    let (model, body) = (Cow::Owned(model), BodyForm::Carried);
    Ok(Asked { model, fallbacks: Vec::new(), mode: Mode::Stream, timeout: None, peek: Peek::default(), body, unread: None })
}

/// What goes by untouched. A model that its body names prices it and is checked against the key's.
fn carried<'a>(request: &Request<'_>, door: &Door<'a>, body: &'a [u8]) -> Result<Asked<'a>, Fault> {
    let readable = request.upload.is_none() && request.field("content-encoding").is_none();
    // A server that takes names in any case would take the one that was not looked at.
    let peek = Some(body).filter(|body| readable && body.trim_ascii_start().first() == Some(&b'{'));
    let peek = peek.filter(|body| peek::spellings(body, "model") <= 1).and_then(|body| peek::peek(body).ok());
    let unread = unread(request, door, peek.as_ref());
    let peek = peek.unwrap_or_default();
    let named = match (door.id.filter(|_| door.mode.is_some()), &peek.model) {
        (Some(id), _) => door::decode(id).unwrap_or_default(),
        (None, Some(span)) if door.operation == Operation::Passthrough => peek::string(body, span.clone()).unwrap_or_default(),
        (None, _) => Cow::Borrowed(""),
    };
    let model = match door.provider {
        Some(provider) if !named.is_empty() => Cow::Owned(format!("{provider}/{named}")),
        _ => named,
    };
    if !model.is_empty() {
        check_name("model", &model)?;
    }
    let mode = door.mode.unwrap_or(if peek.is_stream { Mode::Stream } else { Mode::Whole });
    Ok(Asked { model, fallbacks: Vec::new(), mode, timeout: timeout(request)?, peek, body: BodyForm::Carried, unread })
}

/// Why nobody can tell which model a request that goes by untouched asks for. `None` where it asks for none, or says so.
fn unread(request: &Request<'_>, door: &Door<'_>, peek: Option<&Peek>) -> Option<&'static str> {
    let is_silent = matches!(request.head.method, http::Method::GET | http::Method::HEAD | http::Method::OPTIONS | http::Method::DELETE)
        && request.body.is_empty();
    let is_form = || request.field("content-type").is_some_and(|value| FormReader::of_content_type(value).is_some());
    match (door.operation, peek) {
        _ if is_silent || door.binds_to_key() => None,
        (Operation::Batch, _) if request.head.method == http::Method::POST && door.id.is_none() => {
            Some("the models of a batch stand in its requests, which are not read; send them one by one")
        }
        (Operation::Passthrough, Some(peek)) if peek.model.is_some() || door.provider.is_none() => None,
        (Operation::Passthrough, Some(_)) => {
            Some("the body has no `model`; ask under a path of the gateway's own, as /v1/chat/completions")
        }
        // Parts of a file.
        (Operation::Passthrough, None) if door.provider.is_none() && is_form() => None,
        (Operation::Passthrough, None) => Some("of a body only a json object of at most 64 KiB, uncompressed, with one `model` is read"),
        _ => None,
    }
}

fn timeout(request: &Request<'_>) -> Result<Option<Duration>, Fault> {
    let Some(value) = request.field("x-ringway-timeout-ms") else { return Ok(None) };
    match value.parse() {
        Ok(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Fault::new(Kind::InvalidRequest, format!("x-ringway-timeout-ms: {value:?} is no count of milliseconds; write 1 or more"))),
    }
}

/// Names of models stand in header fields and log lines, where a line end would begin another one, and in paths, where `..` leads out.
fn check_name(field: &str, name: &str) -> Result<(), Fault> {
    let is_clean = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
    if is_clean(name) && !name.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    let message = format!(
        "{field}: {shown:?} is no name of a model; leave out control characters and the segments `.` and `..`, known models: GET /v1/models"
    );
    let mut fault = Fault::new(Kind::InvalidRequest, message);
    fault.param = Some(field.to_owned().into());
    Err(fault)
}

fn missing_model() -> Fault {
    let mut fault = Fault::new(Kind::InvalidRequest, "model is missing; name one, known models: GET /v1/models");
    fault.param = Some("model".into());
    fault
}
