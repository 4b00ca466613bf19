//! Framing of streamed answers: how one event is told from the next.
//!
//! A row of `ROWS` says all that the relay must know of a framing; what stands inside an event is its dialect's business.

pub mod event_stream;
pub mod json_array;
pub mod ndjson;
pub mod sse;
pub mod websocket;

/// How the events of a stream stand on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// A JSON value a line.
    Ndjson,
    /// AWS's binary messages: length, headers, payload, checksums.
    EventStream,
    /// One JSON array whose elements come one after the other.
    JsonArray,
}

/// One framing, as the relay sees it.
struct Row {
    framing: Framing,
    content_type: &'static str,
    /// Its media type is a stream's alone.
    is_telling: bool,
    ends_event: fn(&[u8]) -> bool,
    event_len: fn(&[u8]) -> Option<usize>,
    last_event_start: fn(&[u8]) -> usize,
    /// What ends a half-written event, so that another one may follow; `None` where nothing does.
    partial_end: Option<&'static [u8]>,
}

/// In the order of `Framing`.
const ROWS: &[Row] = &[
    Row {
        framing: Framing::Sse,
        content_type: sse::CONTENT_TYPE,
        is_telling: true,
        ends_event: sse::ends_event,
        event_len: sse::event_len,
        last_event_start: sse::last_event_start,
        partial_end: Some(sse::PARTIAL_END),
    },
    Row {
        framing: Framing::Ndjson,
        content_type: ndjson::CONTENT_TYPE,
        is_telling: true,
        ends_event: ndjson::ends_event,
        event_len: ndjson::event_len,
        last_event_start: ndjson::last_event_start,
        partial_end: Some(b"\n"),
    },
    Row {
        framing: Framing::EventStream,
        content_type: event_stream::CONTENT_TYPE,
        is_telling: true,
        ends_event: |bytes| is_whole(bytes, event_stream::event_len),
        event_len: event_stream::event_len,
        last_event_start: |bytes| last_start(bytes, event_stream::event_len),
        partial_end: None,
    },
    Row {
        framing: Framing::JsonArray,
        content_type: json_array::CONTENT_TYPE,
        is_telling: false,
        ends_event: |bytes| is_whole(bytes, json_array::event_len),
        event_len: json_array::event_len,
        last_event_start: |bytes| last_start(bytes, json_array::event_len),
        partial_end: None,
    },
];

impl Framing {
    /// The media type of such a stream.
    pub fn content_type(self) -> &'static str {
        self.row().content_type
    }

    /// The framing that a `content-type` tells. A JSON array looks like any JSON answer, so it is never told.
    pub fn of_content_type(value: &[u8]) -> Option<Framing> {
        ROWS.iter().find(|row| row.is_telling && is_type(value, row.content_type)).map(|row| row.framing)
    }

    /// A stream of this framing may have this `content-type`.
    pub fn fits(self, value: &[u8]) -> bool {
        is_type(value, self.content_type())
    }

    /// `bytes` end where an event ends. Those of `EventStream` and `JsonArray` must begin where one begins.
    pub fn ends_event(self, bytes: &[u8]) -> bool {
        (self.row().ends_event)(bytes)
    }

    /// The length of the first event in `bytes`, where all of it is there.
    pub fn event_len(self, bytes: &[u8]) -> Option<usize> {
        (self.row().event_len)(bytes)
    }

    /// Where the last event of `bytes` begins, as far as it is there. Those of `EventStream` and `JsonArray` must begin where
    /// one begins.
    pub fn last_event_start(self, bytes: &[u8]) -> usize {
        (self.row().last_event_start)(bytes)
    }

    /// What ends a half-written event, so that another one may follow. `None` where nothing does: of such a framing only whole
    /// events go out.
    pub fn partial_end(self) -> Option<&'static [u8]> {
        self.row().partial_end
    }

    fn row(self) -> &'static Row {
        let row = &ROWS[self as usize];
        debug_assert!(row.framing == self, "ROWS stands in the order of Framing");
        row
    }
}

/// The media type in `value`, whatever parameters stand behind it.
fn is_type(value: &[u8], content_type: &str) -> bool {
    let Some((head, rest)) = value.split_at_checked(content_type.len()) else { return false };
    head.eq_ignore_ascii_case(content_type.as_bytes()) && matches!(rest.first(), None | Some(b';' | b' ' | b'\t'))
}

/// `bytes` are whole events and nothing else.
fn is_whole(bytes: &[u8], event_len: fn(&[u8]) -> Option<usize>) -> bool {
    let mut rest = bytes;
    while let Some(len) = event_len(rest).filter(|len| *len > 0) {
        rest = &rest[len..];
    }
    rest.is_empty()
}

/// Where the event begins in which `bytes` end.
fn last_start(bytes: &[u8], event_len: fn(&[u8]) -> Option<usize>) -> usize {
    let mut at = 0;
    while let Some(len) = event_len(&bytes[at..]).filter(|len| *len > 0) {
        if at + len == bytes.len() {
            break;
        }
        at += len;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.framing as usize, index, "{:?}", row.framing);
        }
        assert_eq!(Framing::JsonArray as usize + 1, ROWS.len());
    }

    #[test]
    fn content_types_tell_the_framing_whatever_follows_them() {
        for (value, framing) in [
            ("text/event-stream", Some(Framing::Sse)),
            ("Text/Event-Stream; charset=utf-8", Some(Framing::Sse)),
            ("application/x-ndjson", Some(Framing::Ndjson)),
            ("application/vnd.amazon.eventstream", Some(Framing::EventStream)),
            ("application/json", None),
            ("text/event-streams", None),
            ("", None),
        ] {
            assert_eq!(Framing::of_content_type(value.as_bytes()), framing, "{value}");
        }
        assert!(Framing::JsonArray.fits(b"application/json; charset=UTF-8"));
    }
}
