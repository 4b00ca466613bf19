//! Spellings of a request's path that another server may read as a different one.
//!
//! Estimate: one look at each byte of a path without escapes and dot segments, which is the rule; no allocation for those.

/// Times that an escape is undone: a proxy before the provider may undo one, the provider the next.
const ROUNDS_MAX: usize = 3;

/// A segment is `.` or `..` (RFC 3986 §5.2.4), also behind escapes: read so, the path leads elsewhere than it says.
pub fn climbs(path: &str) -> bool {
    let bytes = path.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'\\')) && !bytes.windows(2).any(|pair| pair == b"/.") {
        return false;
    }
    let is_dots = |segment: &[u8]| matches!(segment.split(|byte| *byte == b';').next(), Some(b"." | b".."));
    unescaped(path).split(|byte| matches!(byte, b'/' | b'\\')).any(is_dots)
}

/// The path as the most lenient server reads it: without escapes, parameters of segments, doubled and inverted slashes, in small letters.
/// `None` where `path` is that already.
pub(crate) fn plain(path: &str) -> Option<String> {
    let is_plain = |byte: u8| !matches!(byte, b'%' | b'\\' | b';' | b'A'..=b'Z');
    if path.bytes().all(is_plain) && !path.contains("//") {
        return None;
    }
    let text = String::from_utf8_lossy(&unescaped(path)).to_ascii_lowercase();
    let mut plain = String::with_capacity(text.len());
    for segment in text.split(['/', '\\']).filter(|segment| !segment.is_empty()) {
        plain.push('/');
        plain.push_str(segment.split(';').next().unwrap_or_default());
    }
    Some(plain)
}

/// Calls `each` with every segment of `path`, as it stands and, where it has escapes, as the most lenient server reads it.
pub fn each_segment(path: &str, each: &mut dyn FnMut(&str)) {
    path.split('/').filter(|segment| !segment.is_empty()).for_each(&mut *each);
    if path.bytes().any(|byte| matches!(byte, b'%' | b'\\' | b';')) {
        let text = String::from_utf8_lossy(&unescaped(path)).into_owned();
        text.split(['/', '\\', ';']).filter(|segment| !segment.is_empty()).for_each(each);
    }
}

/// Without its escapes, nor those that they hide. A broken one stays as it is.
fn unescaped(path: &str) -> Vec<u8> {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..ROUNDS_MAX {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some((&byte, behind)) = rest.split_first() {
            let digit = |at: usize| behind.get(at).and_then(|digit| (*digit as char).to_digit(16));
            match (byte, digit(0), digit(1)) {
                (b'%', Some(high), Some(low)) => {
                    out.push((high << 4 | low) as u8);
                    rest = &behind[2..];
                }
                _ => {
                    out.push(byte);
                    rest = behind;
                }
            }
        }
        if out.len() == bytes.len() {
            break;
        }
        bytes = out;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_climb_in_every_spelling() {
        for path in ["/a/..", "/a/./b", "/a/%2e%2E/b", "/a/.%2e", "/a%2F..%2Fb", "/a/%252e%252e/b", "/a\\..\\b", "/a/..;x=1/b"] {
            assert!(climbs(path), "{path}");
        }
        for path in ["/a", "/a/.b", "/a/...", "/v1/models/a%2Fb.c", "/a/b..", "/%zz/%", ""] {
            assert!(!climbs(path), "{path}");
        }
    }

    #[test]
    fn segments_are_told_behind_their_escapes_too() {
        let segments = |path: &str| {
            let mut all = Vec::new();
            each_segment(path, &mut |segment| all.push(segment.to_owned()));
            all
        };
        assert_eq!(segments("/v1//files/file-Ab"), ["v1", "files", "file-Ab"]);
        assert!(segments("/v1%2Ffiles/%66ile-Ab;x=1").contains(&"file-Ab".to_owned()));
        assert!(segments("/a%255cfile-1").contains(&"file-1".to_owned()));
        assert!(segments("/").is_empty());
    }

    #[test]
    fn a_plain_path_is_its_own() {
        for path in ["/v1/responses/resp_1", "/", ""] {
            assert_eq!(plain(path), None, "{path}");
        }
        for (path, expected) in [
            ("/v1/%72esponses/x", "/v1/responses/x"),
            ("/v1/%2572esponses/x", "/v1/responses/x"),
            ("/v1%2F%2Fresponses//x", "/v1/responses/x"),
            ("/V1/Responses;p/x", "/v1/responses/x"),
            ("/%zz/%", "/%zz/%"),
            ("/%ff", "/\u{fffd}"),
        ] {
            assert_eq!(plain(path).as_deref(), Some(expected), "{path}");
        }
    }
}
