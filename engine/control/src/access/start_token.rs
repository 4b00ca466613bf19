//! The token of the start: `--admin-token`, or the one that the banner prints. Whoever has it is an owner.

use axum::http::{HeaderMap, header};

/// The admin token. Never printed by `Debug`.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// `value` is not empty: an empty token would let in whoever sends an empty one.
    ///
    /// # Errors
    /// What to write instead.
    pub fn new(value: &str) -> Result<Token, &'static str> {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("an admin token is at least one visible ASCII character, without spaces");
        }
        Ok(Token(value.into()))
    }

    /// Does `Authorization: Bearer` carry it? Compared in constant time; its length is no secret.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes) else { return false };
        match value.split_at_checked(7) {
            Some((scheme, token)) => scheme.eq_ignore_ascii_case(b"bearer ") && is_equal(token.trim_ascii(), self.0.as_bytes()),
            None => false,
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Looks at every byte, wherever the first difference is.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_the_whole_token_is_taken() {
        let token = Token::new("rw-secret").unwrap();
        assert!(token.is_in(&headers("authorization", "Bearer rw-secret")));
        assert!(token.is_in(&headers("authorization", "bearer rw-secret")));
        for value in ["Bearer rw-secre", "Bearer rw-secretX", "Bearer ", "Basic rw-secret", "rw-secret", ""] {
            assert!(!token.is_in(&headers("authorization", value)), "{value}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }

    #[test]
    fn an_empty_token_is_refused() {
        assert!(Token::new("").is_err());
        assert!(Token::new("a b").is_err());
    }
}
