//! The web UI: files that were built beforehand (`ui/dist`) and stand in the binary. They hold nothing of this gateway.
//!
//! What a browser shows comes from `/api/v1` alone, with whatever right its session or token has.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "ui/dist"]
struct Files;

/// The page that every client-side path loads.
const INDEX: &str = "index.html";
/// Files below it have a name that changes with their bytes.
const HASHED: &str = "assets/";
const TYPES: &[(&str, &str)] = &[
    (".html", "text/html; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".svg", "image/svg+xml"),
];

/// A file of the UI, or its page for a path that only the UI knows: one below no other name of this listener, without a dot.
/// `None` for all else.
pub(super) fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let path = path.strip_prefix('/')?;
    let name = match path {
        _ if path.starts_with(HASHED) => path,
        "livez" | "readyz" | "metrics" => return None,
        // Names below a page may hold dots; the page itself has none.
        _ if path.split('/').next().is_some_and(|first| first == "api" || first.contains('.')) => return None,
        _ => INDEX,
    };
    let plain = Files::get(name)?;
    let packed = Files::get(&format!("{name}.gz")).filter(|_| takes_gzip(headers));
    Some(match packed {
        Some(file) => send(name, &file, Some("gzip"), headers),
        None => send(name, &plain, None, headers),
    })
}

fn send(name: &str, file: &EmbeddedFile, encoding: Option<&'static str>, headers: &HeaderMap) -> Response {
    let digest = file.metadata.sha256_hash();
    let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let body = match (known, &file.data) {
        (true, _) => Body::empty(),
        (false, std::borrow::Cow::Borrowed(bytes)) => Body::from(*bytes),
        (false, std::borrow::Cow::Owned(bytes)) => Body::from(bytes.clone()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let cache = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let content_type = TYPES.iter().find(|(end, _)| name.ends_with(end)).map_or("application/octet-stream", |(_, is)| is);
    let fields = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, cache), (header::VARY, "accept-encoding")];
    for (field, value) in fields {
        response.headers_mut().insert(field, HeaderValue::from_static(value));
    }
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    // Hexadecimal digits between quotes are a field's value.
    response.headers_mut().extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
    response
}

/// `accept-encoding` names gzip, and not with `q=0` (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        is_gzip && !parts.any(|parameter| matches!(parameter.trim_end_matches('0'), "q=" | "q=0."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a browser loads, compressed.
    const GZIP_BYTES_MAX: usize = 150 << 10;

    fn get(path: &str, encodings: &str) -> Option<Response> {
        let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_str(encodings).unwrap())].into_iter().collect();
        answer(&Method::GET, path, &headers)
    }

    #[test]
    fn everything_together_is_small() {
        let total: usize = Files::iter().filter(|name| name.ends_with(".gz")).map(|name| Files::get(&name).unwrap().data.len()).sum();
        assert!((10_000..=GZIP_BYTES_MAX).contains(&total), "{total} bytes");
        for name in Files::iter().filter(|name| !name.ends_with(".gz")) {
            assert!(Files::get(&format!("{name}.gz")).is_some(), "{name} is not compressed: npm run build");
            assert!(TYPES.iter().any(|(end, _)| name.ends_with(end)), "{name} has no type in TYPES");
        }
    }

    #[test]
    fn the_page_has_no_inline_script_and_nothing_from_outside() {
        let index = String::from_utf8(Files::get(INDEX).unwrap().data.into_owned()).unwrap();
        assert!(!index.contains("style=") && !index.contains("<style") && !index.contains("://"), "{index}");
        for script in index.split("<script").skip(1) {
            assert!(script.contains("src=\"/assets/") && script.contains("></script>"), "{script}");
        }
    }

    #[test]
    fn pages_of_the_ui_load_it_and_other_names_do_not() {
        for path in ["/", "/overview", "/requests/abcd", "/providers/a.b", "/routes/gpt-4.1", "/keys/a.js", "/start"] {
            let response = get(path, "gzip, br").unwrap();
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        }
        for path in ["/api", "/api/v1/keys", "/api/v2", "/favicon.ico", "/assets/none.js", "/assets/../index.html", "/.env", "/metrics"] {
            assert!(get(path, "gzip").is_none(), "{path}");
        }
        assert!(answer(&Method::POST, "/", &HeaderMap::new()).is_none());
    }

    #[test]
    fn hashed_files_are_kept_for_good_and_a_known_page_is_not_sent_again() {
        let script = Files::iter().find(|name| name.ends_with(".js")).unwrap();
        let response = get(&format!("/{script}"), "identity").unwrap();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
        let first = get("/", "gzip").unwrap();
        let again =
            [(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")), (header::IF_NONE_MATCH, first.headers()[header::ETAG].clone())];
        assert_eq!(answer(&Method::GET, "/", &again.into_iter().collect()).unwrap().status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("br", false),
            ("", false),
        ] {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap())].into_iter().collect();
            assert_eq!(takes_gzip(&headers), takes, "{value}");
        }
    }
}
