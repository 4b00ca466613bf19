//! Rules: which right a route asks for. One table holds them all, and what is not in it is refused.

use super::role::Right;

/// One route: a method, a path as the router writes it (`/api/v1/keys/{name}`), and the right that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub method: &'static str,
    pub path: &'static str,
    pub right: Right,
}

/// What the table says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Right(Right),
    /// The path is known, the method is not; these are.
    OtherMethods(Vec<&'static str>),
    Unknown,
}

/// Looks up a request by the path that the router matched. `HEAD` is `GET` without a body.
pub(super) fn rule_on(table: &'static [Rule], method: &str, path: &str) -> Ruling {
    let method = if method == "HEAD" { "GET" } else { method };
    let of_path = || table.iter().filter(|rule| rule.path == path);
    match of_path().find(|rule| rule.method == method) {
        Some(rule) => Ruling::Right(rule.right),
        None if of_path().next().is_none() => Ruling::Unknown,
        None => Ruling::OtherMethods(of_path().map(|rule| rule.method).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Rule] = &[
        Rule { method: "GET", path: "/api/v1/keys/{name}", right: Right::ReadOwnTeam },
        Rule { method: "PUT", path: "/api/v1/keys/{name}", right: Right::ChangeOwnTeam },
    ];

    #[test]
    fn what_is_not_in_the_table_is_unknown() {
        assert_eq!(rule_on(TABLE, "HEAD", "/api/v1/keys/{name}"), Ruling::Right(Right::ReadOwnTeam));
        assert_eq!(rule_on(TABLE, "PUT", "/api/v1/keys/{name}"), Ruling::Right(Right::ChangeOwnTeam));
        assert_eq!(rule_on(TABLE, "DELETE", "/api/v1/keys/{name}"), Ruling::OtherMethods(vec!["GET", "PUT"]));
        assert_eq!(rule_on(TABLE, "GET", "/api/v1/keys"), Ruling::Unknown);
    }
}
