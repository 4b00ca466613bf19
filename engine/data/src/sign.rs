//! Signatures of requests to providers that want one instead of a key: AWS Signature Version 4.
//!
//! docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, read 2026-11-20. The crate that does the
//! same would bring 24 others along; this is two hashes of the request and one HMAC. Pure but for a small memory of keys, which
//! change once a day: the time is passed in. Runs once an attempt, after all else of the request is known.

use std::cell::RefCell;

use aws_lc_rs::{digest, hmac};
use ringway_adapters::fault::{Fault, Kind};
use ringway_policy::snapshot::credential::Signing;

use crate::attempt::Outbound;

/// What a signature covers.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    /// As the Host field says it.
    pub(crate) authority: &'a str,
    /// Path and query as they stand in the request line.
    pub(crate) target: &'a str,
    pub(crate) body: &'a Outbound<'a>,
    pub(crate) unix_ms: u64,
}

/// Keys of the day that a shard remembers.
const KEYS_MAX: usize = 16;

/// A key that was derived for one day, region and service.
struct Derived {
    /// The secret itself is compared: two configurations may share an id while one of them is replaced.
    secret: Box<str>,
    scope: Box<str>,
    key: hmac::Key,
}

thread_local! {
    static KEYS: RefCell<Vec<Derived>> = const { RefCell::new(Vec::new()) };
}

/// Appends the header lines that sign the request, each with its line end. Other fields of the head are not signed, so they may change
/// on their way.
///
/// # Errors
/// `Internal` where the time is none that can be written, `RequestTooLarge` for a body that is not all there.
pub(crate) fn sign(signing: &Signing, request: &Unsigned<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if let Outbound::Upload { .. } = request.body {
        // The rest of it would have to be hashed before the head goes out.
        let message = "a signed request must be gathered whole, and this one streams through; send a shorter body, with its length";
        return Err(Fault::new(Kind::RequestTooLarge, message));
    }
    let stamp = stamp(request.unix_ms / 1_000).ok_or_else(|| Fault::new(Kind::Internal, "the clock is beyond the year 9999"))?;
    let day = &stamp[..8];
    let scope = format!("{day}/{}/{}/aws4_request", signing.region, signing.service);
    let token = signing.session_token.as_deref();
    let signed_fields = if token.is_some() { "host;x-amz-date;x-amz-security-token" } else { "host;x-amz-date" };
    let canonical = canonical(request, &stamp, token, signed_fields);
    let mut text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n");
    push_hex(&mut text, digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut signature = String::with_capacity(64);
    push_hex(&mut signature, with_key(signing, day, &scope, |key| hmac::sign(key, text.as_bytes())).as_ref());
    let id = &signing.access_key_id;
    let line = format!(
        "authorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed_fields}, Signature={signature}\r\nx-amz-date: {stamp}\r\n"
    );
    out.extend_from_slice(line.as_bytes());
    if let Some(token) = token {
        for piece in ["x-amz-security-token: ", token, "\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
    Ok(())
}

/// The canonical request: what both sides hash.
fn canonical(request: &Unsigned<'_>, stamp: &str, token: Option<&str>, signed_fields: &str) -> String {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let mut text = String::with_capacity(512 + request.target.len());
    text.push_str(request.method);
    text.push('\n');
    push_path(&mut text, path);
    text.push('\n');
    push_query(&mut text, query);
    for piece in ["\nhost:", request.authority, "\nx-amz-date:", stamp, "\n"] {
        text.push_str(piece);
    }
    if let Some(token) = token {
        for piece in ["x-amz-security-token:", token, "\n"] {
            text.push_str(piece);
        }
    }
    for piece in ["\n", signed_fields, "\n"] {
        text.push_str(piece);
    }
    let mut hash = digest::Context::new(&digest::SHA256);
    request.body.each_piece(|piece| hash.update(piece));
    push_hex(&mut text, hash.finish().as_ref());
    text
}

/// The path with its escapes escaped once more, as every service but S3 wants it; without `.`, `..` and empty segments.
fn push_path(text: &mut String, path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        text.push('/');
        for byte in segment.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte as char),
                _ => {
                    text.push('%');
                    push_byte(text, byte, b"0123456789ABCDEF");
                }
            }
        }
    }
    if segments.is_empty() || path.ends_with('/') {
        text.push('/');
    }
}

/// Pairs by name, then by value; they are percent-encoded as they stand.
fn push_query(text: &mut String, query: &str) {
    let mut pairs: Vec<(&str, &str)> =
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        for piece in [if index == 0 { "" } else { "&" }, name, "=", value] {
            text.push_str(piece);
        }
    }
}

/// Gives `then` the key of the day, derived once for each secret and scope.
fn with_key<T>(signing: &Signing, day: &str, scope: &str, then: impl FnOnce(&hmac::Key) -> T) -> T {
    KEYS.with_borrow_mut(|keys| {
        let found = keys.iter().position(|known| *known.scope == *scope && *known.secret == *signing.secret_access_key);
        let at = found.unwrap_or_else(|| {
            if keys.len() >= KEYS_MAX {
                keys.remove(0);
            }
            keys.push(Derived { secret: (*signing.secret_access_key).into(), scope: scope.into(), key: derive(signing, day) });
            keys.len() - 1
        });
        then(&keys[at].key)
    })
}

fn derive(signing: &Signing, day: &str) -> hmac::Key {
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", signing.secret_access_key).as_bytes());
    [day, &signing.region, &signing.service, "aws4_request"]
        .iter()
        .fold(first, |key, text| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, text.as_bytes()).as_ref()))
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| push_byte(text, *byte, b"0123456789abcdef"));
}

fn push_byte(text: &mut String, byte: u8, digits: &[u8; 16]) {
    text.push(digits[usize::from(byte >> 4)] as char);
    text.push(digits[usize::from(byte & 15)] as char);
}

/// `YYYYMMDDThhmmssZ`. `None` beyond the year 9999.
fn stamp(unix_s: u64) -> Option<String> {
    // H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = unix_s / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (unix_s / 3_600 % 24, unix_s / 60 % 60, unix_s % 60);
    (year <= 9_999).then(|| format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signing(service: &str, token: Option<&str>) -> Signing {
        Signing {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: token.map(Into::into),
            region: "us-east-1".into(),
            service: service.into(),
        }
    }

    fn signature(signing: &Signing, method: &str, authority: &str, target: &str, body: &[u8], unix_s: u64) -> String {
        let body = &Outbound::Encoded(body);
        let mut out = Vec::new();
        sign(signing, &Unsigned { method, authority, target, body, unix_ms: unix_s * 1_000 }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.split_once("Signature=").unwrap().1.split_once('\r').unwrap().0.to_owned()
    }

    /// 2015-08-30T12:36:00Z.
    const SUITE_S: u64 = 1_440_938_160;

    #[test]
    fn awss_own_test_vectors_hold() {
        // aws-sig-v4-test-suite (docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html), by the names of its cases.
        let own = signing("service", None);
        for (case, method, target, expected) in [
            ("get-vanilla", "GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            ("post-vanilla", "POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            ("get-relative", "GET", "/example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("get-slash", "GET", "//", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ] {
            assert_eq!(signature(&own, method, "example.amazonaws.com", target, b"", SUITE_S), expected, "{case}");
        }
    }

    #[test]
    fn botocores_signer_agrees() {
        // Made with botocore 1.44.5, `SigV4Auth.add_auth`, at 2026-11-20T17:00:00Z (1,795,194,000).
        let aws = "bedrock-runtime.us-east-1.amazonaws.com";
        let profile =
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2F1arbu5hu2sjr/converse-stream";
        for (token, authority, target, body, expected) in [
            (
                None,
                aws,
                "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
                &b"{\"messages\":[]}"[..],
                "09e9eb63b9b4533bcab403129fbdb4a79d1e189b9b0738c0f95502bad91ed596",
            ),
            (Some("TOKEN/+="), aws, profile, b"{\"messages\":[]}", "7e0971581b3c490b99b3721107436dd7a9f2371124fe0f2af784ffbfe586081a"),
            (
                None,
                "127.0.0.1:9100",
                "/prefix/model/a:b~c/invoke?b=2&a=1&c",
                b"",
                "375a8f15e34af4ca33468c7eef254ddbeed9be18519245ddc3e2cae2b568b955",
            ),
        ] {
            assert_eq!(signature(&signing("bedrock", token), "POST", authority, target, body, 1_795_194_000), expected, "{target}");
        }
    }

    #[test]
    fn a_request_in_pieces_is_signed_as_a_whole() {
        let own = signing("bedrock", None);
        let mut out = Vec::new();
        let request = |body| Unsigned { method: "POST", authority: "h", target: "/m", body, unix_ms: 0 };
        sign(&own, &request(&Outbound::Encoded(b"abc")), &mut out).unwrap();
        let mut again = Vec::new();
        sign(&own, &request(&Outbound::Patched { body: b"abc", edits: &[] }), &mut again).unwrap();
        assert_eq!(out, again);
        assert!(out.ends_with(b"x-amz-date: 19700101T000000Z\r\n"));
    }

    #[test]
    fn a_new_day_and_a_new_secret_are_new_keys() {
        let own = signing("bedrock", None);
        let other = Signing { secret_access_key: "other".into(), ..own.clone() };
        let sign = |signing: &Signing, unix_s| signature(signing, "POST", "h", "/", b"", unix_s);
        let all = [sign(&own, 0), sign(&own, 86_400), sign(&other, 0), sign(&other, 86_400)];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        for day in 0..2 * KEYS_MAX as u64 {
            sign(&own, day * 86_400);
        }
        assert_eq!(sign(&own, 0), all[0]);
        assert!(KEYS.with_borrow(Vec::len) <= KEYS_MAX);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (unix_s, expected) in [
            (0, Some("19700101T000000Z")),
            (951_782_399, Some("20000228T235959Z")),
            (951_782_400, Some("20000229T000000Z")),
            (SUITE_S, Some("20150830T123600Z")),
            (4_102_444_800, Some("21000101T000000Z")),
            (253_402_300_799, Some("99991231T235959Z")),
            (253_402_300_800, None),
        ] {
            assert_eq!(stamp(unix_s).as_deref(), expected);
        }
    }
}
