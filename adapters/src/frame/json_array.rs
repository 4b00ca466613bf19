//! A JSON array whose elements come one after the other: `[{…}`, `,{…}`, `]`.

/// The media type of such a stream, which is that of any JSON answer.
pub const CONTENT_TYPE: &str = "application/json";

/// The length of the first element, the bracket or comma before it included, or of the closing bracket with the white space around
/// it; `None` where it is not all there.
pub fn event_len(bytes: &[u8]) -> Option<usize> {
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',');
    let mut at = bytes.iter().take_while(|byte| is_between(byte)).count();
    if bytes.get(at) == Some(&b'[') {
        at += 1;
        at += bytes[at..].iter().take_while(|byte| is_between(byte)).count();
    }
    if bytes.get(at)? == &b']' {
        at += 1;
        return Some(at + bytes[at..].iter().take_while(|byte| is_between(byte)).count());
    }
    Some(at + element_len(&bytes[at..])?)
}

/// The length of an object. What is none ends where its structure does.
fn element_len(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (index, byte) in bytes.iter().enumerate() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (true, _) => {}
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            (false, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_events_and_so_is_the_end() {
        let stream = br#"[{"a":"]}\"","b":[{}]}
,
{"c":1}
]
"#;
        let mut rest = &stream[..];
        let mut events = Vec::new();
        while let Some(len) = event_len(rest) {
            events.push(std::str::from_utf8(&rest[..len]).unwrap());
            rest = &rest[len..];
        }
        assert_eq!(events, ["[{\"a\":\"]}\\\"\",\"b\":[{}]}", "\n,\n{\"c\":1}", "\n]\n"]);
        assert!(rest.is_empty());
        assert_eq!(event_len(b"[{\"a\":\"]}\\\""), None);
        assert_eq!(event_len(b""), None);
        assert_eq!(event_len(b"[]"), Some(2));
    }
}
