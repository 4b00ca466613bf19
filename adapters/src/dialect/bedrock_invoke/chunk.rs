//! Chunks of an InvokeModelWithResponseStream: JSON in base64 in JSON in a frame.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fault::{Fault, Kind};
use crate::frame::event_stream::{begin_event, end_frame};
use crate::json::scan::Cursor;

/// Decodes the JSON that the payload of a `chunk` holds into `scratch`, which is emptied first.
///
/// # Errors
/// `Kind::MalformedResponse`.
pub(super) fn read(payload: &[u8], scratch: &mut Vec<u8>) -> Result<(), Fault> {
    let malformed = |what: &'static str| Fault::new(Kind::MalformedResponse, what);
    let mut bytes = None;
    let mut cursor = Cursor::new(payload);
    let read = cursor.object(|key, value| {
        if key == b"bytes" {
            bytes = value.raw_string()?;
        }
        Ok(())
    });
    read.and_then(|()| cursor.end()).map_err(|fault| fault.in_response())?;
    scratch.clear();
    let bytes = bytes.ok_or_else(|| malformed("upstream sent a chunk without bytes"))?;
    STANDARD.decode_vec(bytes, scratch).map_err(|_| malformed("upstream sent a chunk that is no base64"))
}

/// Appends the frame that holds `json`.
pub(super) fn write(json: &[u8], out: &mut Vec<u8>) {
    let start = begin_event(out, "chunk");
    out.extend_from_slice(b"{\"bytes\":\"");
    let at = out.len();
    // Four bytes for each three that have begun.
    out.resize(at + json.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(json, &mut out[at..]).unwrap_or_default();
    out.truncate(at + written);
    out.extend_from_slice(b"\"}");
    end_frame(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::event_stream::EventStreamSplitter;

    #[test]
    fn a_chunk_reads_back() {
        for len in 0..20 {
            let json = "x".repeat(len);
            let (mut out, mut scratch) = (Vec::new(), b"old".to_vec());
            write(json.as_bytes(), &mut out);
            EventStreamSplitter::default().feed(&out, |frame| read(frame.payload, &mut scratch)).unwrap();
            assert_eq!(scratch, json.as_bytes());
        }
    }

    #[test]
    fn what_is_no_chunk_is_malformed() {
        for payload in [&b"{}"[..], b"", b"{\"bytes\":7}", b"{\"bytes\":\"*\"}", b"{\"bytes\":\"YQ==\"} x", b"[]"] {
            assert!(read(payload, &mut Vec::new()).is_err(), "{}", payload.escape_ascii());
        }
    }
}
