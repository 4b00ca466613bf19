//! The request target and the Host field (RFC 9112 §3.2, RFC 9110 §7.2).

use std::ops::Range;

use super::head::Refusal;

const WRONG_TARGET: Refusal = Refusal::bad("the request target is not a path or an http URL");
const WRONG_HOST: Refusal = Refusal::bad("Host is not a host with an optional port");

/// Path and query of a request target, relative to its start. Of an absolute-form target the authority is checked and
/// then ignored, as is Host: nothing here is served by name (RFC 9112 §3.2.2).
///
/// # Errors
/// 400 for authority-form, for `*` without OPTIONS, for a fragment, for bytes beyond ASCII, for user information.
pub(super) fn split(method: &str, target: &[u8]) -> Result<(Range<usize>, Option<Range<usize>>), Refusal> {
    // httparse lets no control byte and no space through; a fragment has no place in a target (RFC 9112 §3.2).
    if !target.is_ascii() || memchr::memchr(b'#', target).is_some() {
        return Err(WRONG_TARGET);
    }
    match target {
        b"*" if method == "OPTIONS" => Ok((0..1, None)),
        [b'/', ..] => Ok(split_query(target, 0)),
        _ => split_absolute(target),
    }
}

fn split_query(target: &[u8], start: usize) -> (Range<usize>, Option<Range<usize>>) {
    match memchr::memchr(b'?', &target[start..]) {
        Some(at) => (start..start + at, Some(start + at + 1..target.len())),
        None => (start..target.len(), None),
    }
}

fn split_absolute(target: &[u8]) -> Result<(Range<usize>, Option<Range<usize>>), Refusal> {
    let scheme_len = ["http://", "https://"]
        .iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes())))
        .ok_or(WRONG_TARGET)?
        .len();
    let authority_end = target[scheme_len..].iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(target.len(), |at| scheme_len + at);
    check_host(&target[scheme_len..authority_end]).map_err(|_| WRONG_TARGET)?;
    if target.get(authority_end) == Some(&b'/') {
        return Ok(split_query(target, authority_end));
    }
    // No path: it is `/`, and the second slash of the scheme is one to point at.
    let slash = scheme_len - 1..scheme_len;
    Ok((slash, (authority_end < target.len()).then(|| authority_end + 1..target.len())))
}

/// Checks `uri-host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2.2); an empty host is refused, as http URLs have none.
///
/// # Errors
/// 400 where it is anything else: a list, user information, a path, an unbracketed IPv6 address.
pub(super) fn check_host(value: &[u8]) -> Result<(), Refusal> {
    let (host_is_good, rest) = match value {
        [b'[', inside @ ..] => {
            let end = memchr::memchr(b']', inside).ok_or(WRONG_HOST)?;
            (is_ip_literal(&inside[..end]), &inside[end + 1..])
        }
        _ => {
            let end = memchr::memchr(b':', value).unwrap_or(value.len());
            (is_reg_name(&value[..end]), &value[end..])
        }
    };
    let port_is_good = match rest {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    if host_is_good && port_is_good { Ok(()) } else { Err(WRONG_HOST) }
}

fn is_ip_literal(inside: &[u8]) -> bool {
    // The address in full is not our business, that no delimiter hides in it is. `%` begins a zone (RFC 6874).
    inside.len() >= 2 && inside.iter().all(|byte| byte.is_ascii_alphanumeric() || b":.%-_~".contains(byte))
}

fn is_reg_name(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte))
}

fn is_port(port: &[u8]) -> bool {
    let number = port
        .iter()
        .try_fold(0u32, |number, byte| byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u32::from(byte - b'0'))));
    number.is_some_and(|number| number <= u32::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, target: &str) -> Option<(String, Option<String>)> {
        let (path, query) = split(method, target.as_bytes()).ok()?;
        Some((target[path].to_owned(), query.map(|query| target[query].to_owned())))
    }

    #[test]
    fn origin_form_is_split_at_the_first_question_mark() {
        assert_eq!(parts("GET", "/v1/models"), Some(("/v1/models".into(), None)));
        assert_eq!(parts("GET", "/?"), Some(("/".into(), Some(String::new()))));
        assert_eq!(parts("GET", "/a?b?c=d"), Some(("/a".into(), Some("b?c=d".into()))));
    }

    #[test]
    fn absolute_form_gives_its_path() {
        assert_eq!(parts("GET", "http://h/p?q"), Some(("/p".into(), Some("q".into()))));
        assert_eq!(parts("GET", "HTTPS://h:80"), Some(("/".into(), None)));
        assert_eq!(parts("GET", "http://h?q"), Some(("/".into(), Some("q".into()))));
        assert_eq!(parts("GET", "http://u:p@h/p"), None);
        assert_eq!(parts("GET", "http:///p"), None);
        assert_eq!(parts("GET", "ftp://h/p"), None);
    }

    #[test]
    fn asterisk_is_for_options_alone() {
        assert_eq!(parts("OPTIONS", "*"), Some(("*".into(), None)));
        assert_eq!(parts("GET", "*"), None);
        assert_eq!(parts("GET", "host:80"), None);
        assert_eq!(parts("GET", "/a#b"), None);
        assert_eq!(parts("GET", "/é"), None);
    }

    #[test]
    fn hosts_are_told_from_lists_and_paths() {
        for good in ["h", "h:", "h:80", "127.0.0.1:8080", "[::1]", "[::1]:443", "a_b.example", "%2Fsock"] {
            assert!(check_host(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", ":80", "h:80:80", "h, h", "h h", "u@h", "h/p", "::1", "[::1", "[]", "[::1]x", "h:65536", "h:8a", "h?", "h\u{e9}"] {
            assert!(check_host(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
