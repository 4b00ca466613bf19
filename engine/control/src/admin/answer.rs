//! Answers: JSON, lists with a cursor, entity tags.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::problem::Problem;

/// A body of its type, which no cache keeps.
pub(crate) fn with_type(content_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// `200` with JSON.
pub(crate) fn json(body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => with_type("application/json", text + "\n"),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error.to_string()).into_response(),
    }
}

/// JSON with a status.
pub(crate) fn json_of(status: StatusCode, body: &Value) -> Response {
    let mut response = json(body);
    *response.status_mut() = status;
    response
}

/// A moment in RFC 3339, as records write it.
pub(crate) fn time(unix_ms: u64) -> String {
    let mut text = Vec::new();
    ringway_policy::record::write_time(unix_ms, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Adds the entity tag, which is no secret and has no quotes in it.
pub(crate) fn with_etag(mut response: Response, etag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// `304`: the caller has it already.
pub(crate) fn not_modified(etag: &str) -> Response {
    with_etag(StatusCode::NOT_MODIFIED.into_response(), etag)
}

/// What must be so for a change to be made (RFC 9110 §13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    None,
    /// `If-Match`: it stands as the caller has seen it.
    Matches(String),
    /// `If-Match: *`: it is there.
    Present,
    /// `If-None-Match: *`: it is not there.
    Absent,
}

impl Precondition {
    /// # Errors
    /// Where a header is of no form that a change can be held to.
    pub fn of(headers: &HeaderMap) -> Result<Precondition, Problem> {
        let text = |name: header::HeaderName| -> Result<Option<&str>, Problem> {
            let Some(value) = headers.get(&name) else { return Ok(None) };
            let text = value.to_str().map_err(|_| Problem::invalid(name.as_str(), "write an entity tag in visible ASCII characters"))?;
            Ok(Some(text.trim()))
        };
        match (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?) {
            (None, None) => Ok(Precondition::None),
            (Some("*"), None) => Ok(Precondition::Present),
            (Some(tag), None) => match unquoted(tag) {
                Some(tag) => Ok(Precondition::Matches(tag.to_owned())),
                None => Err(Problem::invalid("if-match", "write one entity tag as it was received, in double quotes")),
            },
            (None, Some("*")) => Ok(Precondition::Absent),
            (None, Some(_)) => Err(Problem::invalid("if-none-match", "of a change it can only be *: make it, if it is not there")),
            (Some(_), Some(_)) => Err(Problem::invalid("if-match", "send if-match or if-none-match, not both")),
        }
    }
}

/// Whether `If-None-Match` of a read names what is there.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || unquoted(tag.trim()) == Some(etag))
}

/// The opaque part of `"tag"` or `W/"tag"`.
fn unquoted(tag: &str) -> Option<&str> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
    Some(tag).filter(|tag| !tag.contains('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn preconditions_are_read_or_refused() {
        let read = |pairs: &[(&'static str, &str)]| Precondition::of(&headers(pairs)).ok();
        assert_eq!(read(&[]), Some(Precondition::None));
        assert_eq!(read(&[("if-match", "\"a1\"")]), Some(Precondition::Matches("a1".into())));
        assert_eq!(read(&[("if-match", "*")]), Some(Precondition::Present));
        assert_eq!(read(&[("if-none-match", "*")]), Some(Precondition::Absent));
        for bad in [&[("if-match", "a1")][..], &[("if-none-match", "\"a1\"")], &[("if-match", "*"), ("if-none-match", "*")]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_known_tag_is_found_in_a_list() {
        assert!(is_known(&headers(&[("if-none-match", "\"x\", W/\"a1\"")]), "a1"));
        assert!(!is_known(&headers(&[("if-none-match", "\"x\"")]), "a1"));
        assert!(!is_known(&HeaderMap::new(), "a1"));
    }
}
