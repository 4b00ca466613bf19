//! The table of every route of the admin listener and the right that it asks for. A route that is not in it lets nobody in.

use crate::access::{Right, Rule};

/// Every route, for those who hold it against the description.
pub fn rules() -> &'static [Rule] {
    RULES
}

pub(super) const RULES: &[Rule] = &[
    Rule { method: "GET", path: "/livez", right: Right::Open },
    Rule { method: "GET", path: "/readyz", right: Right::Open },
    Rule { method: "GET", path: "/metrics", right: Right::Local },
    Rule { method: "GET", path: "/api/v1/openapi.json", right: Right::Known },
    Rule { method: "GET", path: "/api/v1/status", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/settings", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/providers", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/providers/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/providers/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/providers/{name}", right: Right::Change },
    Rule { method: "POST", path: "/api/v1/providers/{name}/test", right: Right::Operate },
    Rule { method: "GET", path: "/api/v1/routes", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/routes/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/routes/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/routes/{name}", right: Right::Change },
    Rule { method: "POST", path: "/api/v1/routes/{name}/dry-run", right: Right::Operate },
    Rule { method: "GET", path: "/api/v1/aliases", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/aliases/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/aliases/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/aliases/{name}", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/keys", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/keys/{name}", right: Right::ReadOwnTeam },
    Rule { method: "PUT", path: "/api/v1/keys/{name}", right: Right::ChangeOwnTeam },
    Rule { method: "DELETE", path: "/api/v1/keys/{name}", right: Right::ChangeOwnTeam },
    Rule { method: "POST", path: "/api/v1/keys/{name}/rotate", right: Right::ChangeOwnTeam },
    Rule { method: "GET", path: "/api/v1/profiles", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/profiles/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/profiles/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/profiles/{name}", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/teams", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/teams/{name}", right: Right::ReadOwnTeam },
    Rule { method: "PUT", path: "/api/v1/teams/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/teams/{name}", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/customers", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/customers/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/customers/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/customers/{name}", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/models", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/provider-types", right: Right::Read },
    Rule { method: "POST", path: "/api/v1/explain", right: Right::Operate },
    Rule { method: "POST", path: "/api/v1/chat", right: Right::Operate },
    Rule { method: "GET", path: "/api/v1/budgets", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/records", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/records/tail", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/records/export", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/records/{id}", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/series", right: Right::ReadOwnTeam },
    Rule { method: "GET", path: "/api/v1/revisions", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/revisions/{number}", right: Right::Read },
    Rule { method: "POST", path: "/api/v1/revisions/{number}/revert", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/export", right: Right::Read },
    Rule { method: "POST", path: "/api/v1/apply", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/alerts", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/alerts/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/alerts/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/alerts/{name}", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/alerts/{name}/history", right: Right::Read },
    Rule { method: "POST", path: "/api/v1/alerts/{name}/test", right: Right::Operate },
    Rule { method: "GET", path: "/api/v1/channels", right: Right::Read },
    Rule { method: "GET", path: "/api/v1/channels/{name}", right: Right::Read },
    Rule { method: "PUT", path: "/api/v1/channels/{name}", right: Right::Change },
    Rule { method: "DELETE", path: "/api/v1/channels/{name}", right: Right::Change },
    Rule { method: "POST", path: "/api/v1/session", right: Right::Open },
    Rule { method: "GET", path: "/api/v1/session", right: Right::Known },
    Rule { method: "DELETE", path: "/api/v1/session", right: Right::Known },
    Rule { method: "POST", path: "/api/v1/session/password", right: Right::Known },
    Rule { method: "GET", path: "/api/v1/users", right: Right::Own },
    Rule { method: "GET", path: "/api/v1/users/{name}", right: Right::Own },
    Rule { method: "PUT", path: "/api/v1/users/{name}", right: Right::Own },
    Rule { method: "DELETE", path: "/api/v1/users/{name}", right: Right::Own },
    Rule { method: "GET", path: "/api/v1/tokens", right: Right::Own },
    Rule { method: "POST", path: "/api/v1/tokens", right: Right::Own },
    Rule { method: "DELETE", path: "/api/v1/tokens/{id}", right: Right::Own },
    Rule { method: "GET", path: "/api/v1/audit", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/audit/export", right: Right::Change },
    Rule { method: "GET", path: "/api/v1/audit/verify", right: Right::Change },
];

/// What stands right below `/api/v1/`, in the order of the table.
pub(super) fn collections() -> impl Iterator<Item = &'static str> {
    let names = RULES.iter().filter(|rule| rule.method == "GET").filter_map(|rule| rule.path.strip_prefix("/api/v1/"));
    names.filter(|name| !name.contains('/'))
}

/// The methods of a path.
pub(super) fn methods_of(path: &str) -> Vec<&'static str> {
    RULES.iter().filter(|rule| rule.path == path).map(|rule| rule.method).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the description of the API says that there is.
    fn described() -> Vec<(String, String)> {
        let document = serde_json::to_value(super::super::openapi::describe()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods =
                item.as_object().unwrap().keys().filter(|key| matches!(key.as_str(), "get" | "put" | "post" | "delete" | "patch"));
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        });
        operations.collect()
    }

    #[test]
    fn every_described_operation_has_a_rule_and_every_rule_is_described() {
        let described = described();
        for (method, path) in &described {
            assert!(RULES.iter().any(|rule| rule.method == method && rule.path == path), "{method} {path} is not in the table");
        }
        for rule in RULES.iter().filter(|rule| rule.path.starts_with("/api/")) {
            let has = described.iter().any(|(method, path)| rule.method == method && rule.path == path);
            assert!(has, "{} {} is not in the description of the API", rule.method, rule.path);
        }
    }

    #[test]
    fn no_rule_stands_twice() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(
                !RULES[..index].iter().any(|other| (other.method, other.path) == (rule.method, rule.path)),
                "{} {}",
                rule.method,
                rule.path
            );
        }
    }
}
