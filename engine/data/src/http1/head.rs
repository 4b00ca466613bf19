//! Request and response heads: bytes → spans, or a refusal.
//!
//! Cost of a head: one allocation for the spans of its fields (in place they would be copied with each move of the head, which
//! costs ten times as much), no copy. httparse (vectorised) reads each byte once; the checks behind it look at field names by
//! length, at the few values that frame a message, and at the two bytes in front of each name. A head that is not whole yet is read again from its start when more comes, at most `bytes_max` long.
//!
//! Requests: errors that httparse sees are reported where they stand, everything else when the head is whole; so the verdict
//! does not depend on how the bytes were cut. One empty line (CRLF) in front of a request is skipped (RFC 9112 §2.2:
//! "at least one"), a second one is refused.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{target, write};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Responses only: the body ends with the connection.
    UntilClose,
}

/// A request's head, by spans into the buffer that it was parsed from.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: http::Method,
    /// Path without query, ASCII without controls, beginning with `/`; of an absolute-form target the path alone (`/` where
    /// it has none). `*` for `OPTIONS *`.
    pub path: Range<usize>,
    /// Without the `?`.
    pub query: Option<Range<usize>>,
    pub minor_version: u8,
    pub fields: Fields,
    pub framing: Framing,
    pub keep_alive: bool,
    pub expects_continue: bool,
    /// Bytes of the head, the blank line included.
    pub len: usize,
}

/// A response's head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub status: u16,
    pub fields: Fields,
    pub framing: Framing,
    pub keep_alive: bool,
    pub len: usize,
}

/// Header fields in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pub list: Vec<Field>,
    /// Bit N: a field has a name of N bytes (the last bit: of 31 or more). Most names that are asked for are not there.
    lengths: u32,
}

/// One header field, by spans.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: (u32, u32),
    pub value: (u32, u32),
    /// Not forwarded: hop-by-hop (RFC 9110 §7.6.1), named in `Connection`, or `Expect`, which this hop answers itself.
    pub hop: bool,
}

impl Fields {
    /// The value of the first field of this name, compared without case.
    #[inline]
    pub fn get<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        self.find(bytes, name)
    }

    fn find<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.list.iter().find_map(|field| {
            let field_name = &bytes[field.name.0 as usize..field.name.1 as usize];
            field_name.eq_ignore_ascii_case(name.as_bytes()).then(|| &bytes[field.value.0 as usize..field.value.1 as usize])
        })
    }

    /// Appends the lines of the end-to-end fields that `goes_along` takes by their names. A line goes as it was written, together
    /// with its neighbours, where it is written as we write it.
    pub(crate) fn forward(&self, bytes: &[u8], out: &mut Vec<u8>, goes_along: impl Fn(&[u8]) -> bool) {
        let mut run = 0..0;
        for field in &self.list {
            let name = &bytes[field.name.0 as usize..field.name.1 as usize];
            if field.hop || !goes_along(name) {
                continue;
            }
            let line = field.name.0 as usize..field.value.1 as usize + 2;
            if !is_plain(field, bytes) {
                out.extend_from_slice(&bytes[std::mem::take(&mut run)]);
                write::line(out, name, &bytes[field.value.0 as usize..field.value.1 as usize]);
            } else if run.end == line.start {
                run.end = line.end;
            } else {
                out.extend_from_slice(&bytes[std::mem::replace(&mut run, line)]);
            }
        }
        out.extend_from_slice(&bytes[run]);
    }

    /// Names and values in their order, with the hop-by-hop mark.
    pub fn iter<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8], bool)> {
        self.list.iter().map(move |field| {
            (&bytes[field.name.0 as usize..field.name.1 as usize], &bytes[field.value.0 as usize..field.value.1 as usize], field.hop)
        })
    }
}

/// `NAME: VALUE` and a line end, with no other white space.
fn is_plain(field: &Field, bytes: &[u8]) -> bool {
    let (name_end, value, value_end) = (field.name.1 as usize, field.value.0 as usize, field.value.1 as usize);
    value == name_end + 2 && bytes.get(name_end..value) == Some(b": ") && bytes.get(value_end..value_end + 2) == Some(b"\r\n")
}

fn length_bit(len: usize) -> u32 {
    1 << len.min(31)
}

/// Why a head is refused. After it no byte of the connection is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 417, 431, 501 or 505.
    pub status: u16,
    /// What is wrong, for the error answer.
    pub reason: &'static str,
}

impl Refusal {
    pub(super) const fn bad(reason: &'static str) -> Refusal {
        Refusal { status: 400, reason }
    }

    const fn new(status: u16, reason: &'static str) -> Refusal {
        Refusal { status, reason }
    }
}

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    pub bytes_max: usize,
    /// At most `FIELDS_CAPACITY` counts.
    pub fields_max: usize,
}

/// The most fields that any `HeadLimits` can allow: the scratch space for them lies on the stack.
pub const FIELDS_CAPACITY: usize = 256;

/// Most elements of all `Connection` fields of a head together.
pub const CONNECTION_OPTIONS_MAX: usize = 32;

/// Longest method name; none that is registered comes near it.
pub const METHOD_BYTES_MAX: usize = 32;

type Scratch<'a> = [MaybeUninit<httparse::Header<'a>>; FIELDS_CAPACITY];

/// Parses a request head at the start of `buf`. `Ok(None)`: more bytes are needed.
///
/// # Errors
/// A `Refusal` for everything in the smuggling table.
pub fn parse_request(buf: &[u8], limits: HeadLimits) -> Result<Option<RequestHead>, Refusal> {
    let view = view(buf, limits);
    let Some(skipped) = skip_empty_line(view)? else { return Ok(None) };
    let head = &view[skipped..];
    let mut scratch: Scratch<'_> = [const { MaybeUninit::uninit() }; FIELDS_CAPACITY];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(head, &mut scratch[..limits.fields_max.min(FIELDS_CAPACITY)]) {
        Ok(httparse::Status::Complete(len)) => skipped + len,
        Ok(httparse::Status::Partial) => return unfinished(head, view.len(), limits),
        Err(error) => return Err(refusal(error, head, limits)),
    };
    let (Some(method), Some(wanted), Some(minor_version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::bad("the request line is not METHOD TARGET VERSION"));
    };
    check_line_ends(view, request.headers, len)?;
    let (fields, found) = scan(view, request.headers, Side::Request)?;
    if method.len() > METHOD_BYTES_MAX || method == "CONNECT" {
        return Err(Refusal::new(501, "this method is not offered here"));
    }
    let (path, query) = target::split(method, wanted.as_bytes())?;
    let start = span(view, wanted.as_bytes()).0 as usize;
    if minor_version == 1 && !found.host {
        return Err(Refusal::bad("an HTTP/1.1 request must have one Host field"));
    }
    Ok(Some(RequestHead {
        method: http::Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("the method is not a token"))?,
        path: start + path.start..start + path.end,
        query: query.map(|query| start + query.start..start + query.end),
        minor_version,
        framing: framing(&found, minor_version)?.unwrap_or(Framing::None),
        keep_alive: found.keeps_alive(minor_version),
        expects_continue: expects_continue(&found, minor_version)?,
        fields,
        len,
    }))
}

/// Parses a response head at the start of `buf`; 1xx heads are the caller's to skip. `head_only`: the request was HEAD.
///
/// # Errors
/// A `Refusal` (its status means nothing here).
pub fn parse_response(buf: &[u8], limits: HeadLimits, head_only: bool) -> Result<Option<ResponseHead>, Refusal> {
    let view = view(buf, limits);
    if matches!(view.first(), Some(b'\r' | b'\n')) {
        return Err(Refusal::bad("an empty line stands before the status line"));
    }
    let mut scratch: Scratch<'_> = [const { MaybeUninit::uninit() }; FIELDS_CAPACITY];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let allowed = &mut scratch[..limits.fields_max.min(FIELDS_CAPACITY)];
    let len = match config.parse_response_with_uninit_headers(&mut response, view, allowed) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return unfinished(view, view.len(), limits),
        Err(error) => return Err(refusal(error, view, limits)),
    };
    let (Some(status), Some(minor_version)) = (response.code, response.version) else {
        return Err(Refusal::bad("the status line is not VERSION STATUS"));
    };
    if !(100..600).contains(&status) {
        return Err(Refusal::bad("the status is not between 100 and 599"));
    }
    check_line_ends(view, response.headers, len)?;
    let (fields, found) = scan(view, response.headers, Side::Response)?;
    // RFC 9112 §6.3: these never have a body, whatever their fields say. The fields must make sense all the same.
    let declared = framing(&found, minor_version)?;
    let bodiless = head_only || status < 200 || status == 204 || status == 304;
    let framing = if bodiless { Framing::None } else { declared.unwrap_or(Framing::UntilClose) };
    let keep_alive = found.keeps_alive(minor_version) && framing != Framing::UntilClose;
    Ok(Some(ResponseHead { status, fields, framing, keep_alive, len }))
}

/// What may be looked at: spans are `u32`, and beyond `bytes_max` nothing counts.
fn view(buf: &[u8], limits: HeadLimits) -> &[u8] {
    &buf[..buf.len().min(limits.bytes_max).min(u32::MAX as usize)]
}

/// Bytes of the one empty line that may stand before a request; `None`: more bytes are needed to tell.
fn skip_empty_line(view: &[u8]) -> Result<Option<usize>, Refusal> {
    let skipped = match view {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n'] => return Ok(None),
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    match view[skipped] {
        b'\r' | b'\n' => Err(Refusal::bad("an empty line stands before the request line")),
        _ => Ok(Some(skipped)),
    }
}

/// The verdict on a head that has no end yet.
fn unfinished<T>(head: &[u8], view_len: usize, limits: HeadLimits) -> Result<Option<T>, Refusal> {
    match first_wrong_line(head, limits) {
        Some(refusal) => Err(refusal),
        None if view_len >= limits.bytes_max => Err(Refusal::new(431, "the head is too large")),
        None => Ok(None),
    }
}

/// httparse's error as a refusal.
#[cold]
fn refusal(error: httparse::Error, head: &[u8], limits: HeadLimits) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => first_wrong_line(head, limits).unwrap_or(Refusal::new(431, "the head has too many fields")),
        httparse::Error::Version => wrong_version(head),
        httparse::Error::Token => Refusal::bad("the request line is not METHOD TARGET VERSION"),
        httparse::Error::HeaderName => Refusal::bad("a field name holds a byte that is not allowed, or no colon follows it"),
        httparse::Error::HeaderValue => Refusal::bad("a field value holds a control byte"),
        httparse::Error::NewLine => Refusal::bad("a line does not end with CRLF"),
        httparse::Error::Status => Refusal::bad("the status line is not VERSION STATUS"),
    }
}

/// The first line that ends without CR, or that is one too many. httparse lets a bare LF pass.
#[cold]
fn first_wrong_line(head: &[u8], limits: HeadLimits) -> Option<Refusal> {
    for (line_index, at) in memchr::memchr_iter(b'\n', head).enumerate() {
        if !head[..at].ends_with(b"\r") {
            return Some(BARE_LF);
        }
        if line_index > limits.fields_max.min(FIELDS_CAPACITY) {
            return Some(Refusal::new(431, "the head has too many fields"));
        }
    }
    None
}

const BARE_LF: Refusal = Refusal::bad("a line does not end with CRLF");

/// 505 where the version is one that exists or may come to exist, 400 where it is none. Decided by the first byte that
/// differs from `HTTP/1.0` and `HTTP/1.1`, so that a cut cannot change it.
#[cold]
fn wrong_version(head: &[u8]) -> Refusal {
    let line = head.strip_prefix(b"HTTP/").map(|_| head).or_else(|| head.splitn(3, |byte| *byte == b' ').nth(2));
    match line.and_then(|version| version.strip_prefix(b"HTTP/")) {
        Some([b'1', b'.', minor, ..]) if minor.is_ascii_digit() => Refusal::new(505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        Some([b'1', ..]) => Refusal::bad("the version is not HTTP/DIGIT.DIGIT"),
        Some([major, ..]) if major.is_ascii_digit() => Refusal::new(505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        _ => Refusal::bad("the version is not HTTP/DIGIT.DIGIT"),
    }
}

/// Every line ends with CRLF. httparse saw to it that no CR stands elsewhere, so a look before each name is enough.
fn check_line_ends(view: &[u8], headers: &[httparse::Header<'_>], len: usize) -> Result<(), Refusal> {
    let whole = |header: &httparse::Header<'_>| view[..span(view, header.name.as_bytes()).0 as usize].ends_with(b"\r\n");
    if headers.iter().all(whole) && view[..len].ends_with(b"\r\n\r\n") { Ok(()) } else { Err(BARE_LF) }
}

/// Where `part`, a slice of `whole`, stands in it.
fn span(whole: &[u8], part: &[u8]) -> (u32, u32) {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    debug_assert!(start + part.len() <= whole.len(), "httparse returns slices of its input");
    let start = start.min(whole.len());
    let end = (start + part.len()).min(whole.len());
    (start as u32, end as u32)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// What the fields say about the message as a whole.
#[derive(Default)]
struct Found<'a> {
    length: Option<u64>,
    coding: Option<&'a [u8]>,
    host: bool,
    expect: Option<&'a [u8]>,
    connection: bool,
    close: bool,
    keep_alive: bool,
}

impl Found<'_> {
    /// RFC 9112 §9.3: 1.1 stays open unless told to close, 1.0 closes unless told to stay.
    fn keeps_alive(&self, minor_version: u8) -> bool {
        !self.close && (minor_version == 1 || self.keep_alive)
    }
}

/// What a field is to this hop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    EndToEnd,
    Hop,
    Connection,
    ContentLength,
    TransferEncoding,
    Host,
    Expect,
    /// A framing field spelt with `_`, which some servers behind us read as `-`.
    Disguised,
}

const NAMES: &[(&[u8], Name)] = &[
    (b"te", Name::Hop),
    (b"host", Name::Host),
    (b"expect", Name::Expect),
    (b"trailer", Name::Hop),
    (b"upgrade", Name::Hop),
    (b"connection", Name::Connection),
    (b"keep-alive", Name::Hop),
    (b"content-length", Name::ContentLength),
    (b"content_length", Name::Disguised),
    (b"proxy-connection", Name::Hop),
    (b"transfer-encoding", Name::TransferEncoding),
    (b"transfer_encoding", Name::Disguised),
    (b"proxy-authenticate", Name::Hop),
    (b"proxy-authorization", Name::Hop),
];

/// Fields that naming them in `Connection` does not drop: they say what the message is, or who sent it.
const NEVER_DROPPED: &[&[u8]] =
    &[b"content-length", b"content-type", b"content-encoding", b"host", b"authorization", b"forwarded", b"x-forwarded-for"];

/// Entry N has the bits of the letters with which `NAMES` of N bytes begin: most fields are done with one test.
const FIRST_LETTERS: [u32; 32] = {
    let mut letters = [0; 32];
    let mut index = 0;
    while index < NAMES.len() {
        letters[NAMES[index].0.len()] |= letter_bit(NAMES[index].0[0]);
        index += 1;
    }
    letters
};

/// One bit for each letter, whatever its case; bytes that are no letters share some.
const fn letter_bit(byte: u8) -> u32 {
    1 << (byte & 0x1f)
}

fn classify(name: &[u8]) -> Name {
    let first = name.first().map_or(0, |first| letter_bit(*first));
    if FIRST_LETTERS.get(name.len()).is_none_or(|letters| letters & first == 0) {
        return Name::EndToEnd;
    }
    NAMES.iter().find(|(known, _)| is_named(name, known)).map_or(Name::EndToEnd, |(_, what)| *what)
}

/// Compared byte by byte, in lower case: names are short and differ early.
#[inline]
fn is_named(name: &[u8], lower: &[u8]) -> bool {
    name.len() == lower.len() && name.iter().zip(lower).all(|(byte, lower)| byte.to_ascii_lowercase() == *lower)
}

/// Spans of all fields, and what they say together.
fn scan<'a>(view: &'a [u8], headers: &[httparse::Header<'a>], side: Side) -> Result<(Fields, Found<'a>), Refusal> {
    let mut found = Found::default();
    let mut list = Vec::with_capacity(headers.len());
    let mut lengths = 0;
    for header in headers {
        let name = classify(header.name.as_bytes());
        note(&mut found, name, header.value, side)?;
        lengths |= length_bit(header.name.len());
        list.push(Field {
            name: span(view, header.name.as_bytes()),
            value: span(view, header.value),
            hop: matches!(name, Name::Hop | Name::Connection | Name::TransferEncoding) || name == Name::Expect && side == Side::Request,
        });
    }
    let mut fields = Fields { list, lengths };
    if found.connection {
        apply_connection(view, &mut fields, &mut found)?;
    }
    Ok((fields, found))
}

fn note<'a>(found: &mut Found<'a>, name: Name, value: &'a [u8], side: Side) -> Result<(), Refusal> {
    match name {
        Name::EndToEnd | Name::Hop => {}
        Name::Connection => found.connection = true,
        Name::ContentLength => {
            let length = parse_length(value).ok_or(Refusal::bad("Content-Length is not one plain number"))?;
            if found.length.replace(length).is_some() {
                return Err(Refusal::bad("Content-Length stands twice"));
            }
        }
        Name::TransferEncoding => {
            if found.coding.replace(value).is_some() {
                return Err(Refusal::bad("Transfer-Encoding stands twice"));
            }
        }
        Name::Host if side == Side::Request => {
            target::check_host(value)?;
            if std::mem::replace(&mut found.host, true) {
                return Err(Refusal::bad("Host stands twice"));
            }
        }
        Name::Host => {}
        Name::Expect => {
            // The first one that asks for something else is the one that counts.
            if found.expect.is_none_or(|expect| expect.eq_ignore_ascii_case(b"100-continue")) {
                found.expect = Some(value);
            }
        }
        Name::Disguised => return Err(Refusal::bad("a framing field is spelt with an underscore")),
    }
    Ok(())
}

/// Digits alone, within 63 bits: sums with it cannot overflow.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let length = value.iter().try_fold(0u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })?;
    (length <= i64::MAX as u64).then_some(length)
}

/// RFC 9112 §6.1, §6.3, without the repairs that they permit.
fn framing(found: &Found<'_>, minor_version: u8) -> Result<Option<Framing>, Refusal> {
    match (found.coding, found.length) {
        (Some(_), Some(_)) => Err(Refusal::bad("Content-Length and Transfer-Encoding exclude each other")),
        (Some(_), None) if minor_version == 0 => Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding")),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        (Some(_), None) => Err(Refusal::bad("the only Transfer-Encoding taken is chunked, alone")),
        (None, length) => Ok(length.map(Framing::Length)),
    }
}

/// RFC 9110 §10.1.1: HTTP/1.0 has no expectations, and there is only one to have.
fn expects_continue(found: &Found<'_>, minor_version: u8) -> Result<bool, Refusal> {
    match found.expect {
        Some(expect) if minor_version == 1 && !expect.eq_ignore_ascii_case(b"100-continue") => {
            Err(Refusal::new(417, "the only expectation that can be met is 100-continue"))
        }
        expect => Ok(expect.is_some() && minor_version == 1),
    }
}

/// Reads the `Connection` fields: the two options that concern the connection, and names of fields not to forward.
fn apply_connection(view: &[u8], fields: &mut Fields, found: &mut Found<'_>) -> Result<(), Refusal> {
    let mut option_count = 0;
    for index in 0..fields.list.len() {
        let field = fields.list[index];
        if !is_named(&view[field.name.0 as usize..field.name.1 as usize], b"connection") {
            continue;
        }
        for option in view[field.value.0 as usize..field.value.1 as usize].split(|byte| *byte == b',') {
            option_count += 1;
            let option = option.trim_ascii();
            if option_count > CONNECTION_OPTIONS_MAX || !option.iter().copied().all(is_token_byte) {
                return Err(Refusal::bad("Connection is not a short list of names"));
            }
            found.close |= option.eq_ignore_ascii_case(b"close");
            found.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            mark_hop(view, fields, option);
        }
    }
    Ok(())
}

fn mark_hop(view: &[u8], fields: &mut Fields, option: &[u8]) {
    if NEVER_DROPPED.iter().any(|kept| kept.eq_ignore_ascii_case(option)) {
        return;
    }
    for field in &mut fields.list {
        field.hop |= view[field.name.0 as usize..field.name.1 as usize].eq_ignore_ascii_case(option);
    }
}

/// RFC 9110 §5.6.2: tchar.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
