//! CORS of the admin listener: pages of listed sites may call the API, with a token of their own and never with a cookie.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Most sites that may be listed.
pub const ORIGINS_MAX: usize = 64;
/// How long a browser remembers what it was told.
const MAX_AGE_S: &str = "600";
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
const HEADERS: &str = "authorization, content-type, if-match, if-none-match";
const EXPOSED: &str = "etag, retry-after";

/// The sites of the list: `https://host` or `https://host:port`, exactly as browsers write them.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    list: Vec<String>,
}

impl Origins {
    pub fn new(list: impl IntoIterator<Item = String>) -> Origins {
        Origins { list: list.into_iter().take(ORIGINS_MAX).collect() }
    }

    /// The field `Origin`, where it is of the list.
    fn listed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.list.iter().any(|known| known.as_bytes() == origin.as_bytes()).then_some(origin)
    }

    /// Answers a browser's question before the real request; `None` where it is none. A site that is not listed is told
    /// nothing, which its browser takes for a no.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        self.allow(headers, response.headers_mut());
        if self.listed(headers).is_some() {
            let fields = response.headers_mut();
            fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            fields.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_S));
        }
        Some(response)
    }

    /// Adds to an answer what lets a listed site read it.
    pub(super) fn allow(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.list.is_empty() {
            return;
        }
        answer.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.listed(request) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preflight(origins: &Origins, origin: &str) -> HeaderMap {
        let fields = [("origin", origin), ("access-control-request-method", "PUT")];
        let headers = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
        let response = origins.preflight(&Method::OPTIONS, &headers).unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        response.headers().clone()
    }

    #[test]
    fn a_listed_site_is_let_in_and_no_other() {
        let origins = Origins::new(["https://a.example".to_owned()]);
        let told = preflight(&origins, "https://a.example");
        assert_eq!(told["access-control-allow-origin"], "https://a.example");
        assert_eq!(told["vary"], "origin");
        assert!(!told.contains_key("access-control-allow-credentials"));
        for other in ["https://a.example.evil", "http://a.example", "null", "https://A.example"] {
            assert!(!preflight(&origins, other).contains_key("access-control-allow-origin"), "{other}");
        }
        assert!(preflight(&Origins::default(), "https://a.example").is_empty());
    }

    #[test]
    fn an_options_request_of_no_browser_is_no_preflight() {
        assert!(Origins::default().preflight(&Method::OPTIONS, &HeaderMap::new()).is_none());
        assert!(Origins::default().preflight(&Method::GET, &HeaderMap::new()).is_none());
    }
}
