//! Fields of every answer of the admin listener: what a browser may do with it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Scripts and styles come from our own files alone, never from the page's text (what a script sets through an element's
/// `style` object is no text). Nothing is framed, nothing is loaded from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), usb=()";

/// Set where the handler said nothing else.
const FIELDS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", PERMISSIONS),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Adds them. Answers of the API are kept by nobody, whatever their handler says.
pub(super) fn add(path: &str, answer: &mut HeaderMap) {
    for (name, value) in FIELDS {
        answer.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    if is_api(path) {
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

pub(super) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_inline_script_and_no_frame_is_allowed() {
        let mut answer = HeaderMap::new();
        add("/api/v1/keys", &mut answer);
        let policy = answer[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn assets_may_be_cached_and_answers_of_the_api_may_not() {
        let cached = || [(header::CACHE_CONTROL, HeaderValue::from_static("max-age=9"))].into_iter().collect::<HeaderMap>();
        let (mut asset, mut answer) = (cached(), cached());
        add("/assets/a.js", &mut asset);
        add("/api/v1/keys", &mut answer);
        assert!(asset[header::CACHE_CONTROL] == "max-age=9" && answer[header::CACHE_CONTROL] == "no-store");
    }
}
