//! Heads to bytes. Nothing here allocates once `out` has its size.

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Ends a chunked body. Stands behind the CRLF of the last chunk.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends `METHOD TARGET HTTP/1.1` and a line end. The caller vouches that neither holds a space or a control byte.
pub fn request_line(out: &mut Vec<u8>, method: &str, target: &[&[u8]]) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    for piece in target {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends `NAME: VALUE` and a line end. The caller vouches that neither holds a control byte.
///
/// Inlined, so that a literal name is a few stores and no call of `memcpy`.
#[inline(always)]
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    line(out, name.as_bytes(), value);
}

/// `field`, with a name that is bytes.
#[inline(always)]
pub(super) fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `NAME: NUMBER` and a line end.
pub fn field_number(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a status line with the canonical reason, which is empty where none is registered.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk head: the size in hex and a line end. A chunk of no bytes would end the body, so `len` is not 0.
pub fn chunk_head(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len != 0, "a chunk of no bytes ends the body");
    let digit_count = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digit_count).rev().map(|place| HEX[len >> (place * 4) & 0xf]));
    out.extend_from_slice(b"\r\n");
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn heads_are_lines_that_end_with_crlf() {
        assert_eq!(written(|out| request_line(out, "GET", &[b"/v1", b"/models"])), "GET /v1/models HTTP/1.1\r\n");
        assert_eq!(written(|out| status_line(out, 404)), "HTTP/1.1 404 Not Found\r\n");
        assert_eq!(written(|out| status_line(out, 599)), "HTTP/1.1 599 \r\n");
        assert_eq!(written(|out| field_number(out, "content-length", 0)), "content-length: 0\r\n");
    }

    #[test]
    fn chunk_heads_are_plain_hex() {
        for len in (1..70_000).step_by(7).chain([15, 16, 255, 256, usize::MAX]) {
            assert_eq!(written(|out| chunk_head(out, len)), format!("{len:x}\r\n"));
        }
    }
}
