//! Who may do what, over a real socket: the first owner, sessions, users, tokens, and every route for every role.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use ringway_control::access::{Right, Role};
use ringway_control::admin::rules;
use ringway_control::audit::{self, Audit};
use ringway_control::store::Database;
use serde_json::{Value, json};

use super::{Gateway, TOKEN, clock, gateway_with};

const PASSWORD: &str = "four unrelated words";

/// A gateway with a store and an audit log in a folder of its own, which goes with it.
struct Stored {
    gateway: Gateway,
    audit: Audit,
    folder: PathBuf,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.audit.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn stored() -> Stored {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("ringway-access-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let settings = audit::Settings { folder: folder.join("audit"), key_file: None, retention: None, syslog: None };
    let audit = Audit::new(settings, clock);
    let gateway = gateway_with(Database::lazy_sqlite(folder.join("ringway.db")), audit.clone());
    Stored { gateway, audit, folder }
}

/// What proves who asks: header lines.
fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn with_cookie(cookie: &str) -> String {
    format!("cookie: {cookie}\r\norigin: http://localhost\r\n")
}

impl Stored {
    fn ask(&self, method: &str, path: &str, headers: &str, body: Option<Value>) -> (u16, String, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let (status, head, text) = self.gateway.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        ));
        (status, head, serde_json::from_str(&text).unwrap_or_default())
    }

    fn log_in(&self, user: &str, password: &str) -> (u16, String, Value) {
        self.ask("POST", "/api/v1/session", "", Some(json!({"user": user, "password": password})))
    }

    /// A user with a password, and the cookie of his session.
    fn user(&self, name: &str, role: &str) -> String {
        let body = json!({"role": role, "password": PASSWORD});
        let (status, _, body) = self.ask("PUT", &format!("/api/v1/users/{name}"), &bearer(TOKEN), Some(body));
        assert_eq!(status, 201, "{body}");
        let (status, head, body) = self.log_in(name, PASSWORD);
        assert_eq!(status, 200, "{body}");
        cookie_of(&head)
    }

    fn token(&self, role: &str, team: Option<&str>) -> String {
        let name = format!("{role}-{}", team.unwrap_or("all"));
        let (status, _, body) = self.ask("POST", "/api/v1/tokens", &bearer(TOKEN), Some(json!({"name": name, "role": role, "team": team})));
        assert_eq!(status, 201, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }

    fn link(&self) -> String {
        self.gateway.runtime.block_on(self.gateway.access.first_link()).unwrap().unwrap()
    }
}

/// `NAME=VALUE` of the field that sets it.
fn cookie_of(head: &str) -> String {
    let field = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    for part in ["httponly", "samesite=strict", "path=/"] {
        assert!(field.contains(part), "{part} in {field}");
    }
    field.split(';').next().unwrap().to_owned()
}

#[test]
fn the_link_of_the_start_makes_one_owner() {
    let stored = stored();
    let link = stored.link();
    let open = |link: &str| stored.ask("POST", "/api/v1/session", "", Some(json!({"link": link})));
    assert_eq!(open(&"0".repeat(64)).0, 401);
    let (status, head, body) = open(&link);
    assert_eq!((status, &body["role"], &body["has_password"]), (200, &"owner".into(), &false.into()), "{body}");
    let cookie = cookie_of(&head);
    assert_eq!(open(&link).0, 401, "it works once");
    assert_eq!(stored.gateway.runtime.block_on(stored.gateway.access.first_link()), Ok(None), "there is a user now");

    let new = json!({"password": PASSWORD});
    let (status, head, body) = stored.ask("POST", "/api/v1/session/password", &with_cookie(&cookie), Some(new));
    assert_eq!((status, &body["has_password"]), (200, &true.into()), "{body}");
    let fresh = cookie_of(&head);
    assert_eq!(stored.ask("GET", "/api/v1/session", &with_cookie(&cookie), None).0, 401, "the session before has ended");
    assert_eq!(stored.ask("GET", "/api/v1/session", &with_cookie(&fresh), None).2["name"], "owner");
    assert_eq!(stored.log_in("owner", PASSWORD).0, 200);
}

#[test]
fn a_link_with_a_name_and_a_bad_password_is_not_used_up() {
    let stored = stored();
    let link = stored.link();
    let open = |password: &str| stored.ask("POST", "/api/v1/session", "", Some(json!({"link": link, "user": "ann", "password": password})));
    let (status, _, body) = open("short");
    assert_eq!((status, &body["errors"][0]["path"]), (400, &"password".into()), "{body}");
    let (status, _, body) = open(PASSWORD);
    assert_eq!((status, &body["name"]), (200, &"ann".into()), "{body}");
}

#[test]
fn failed_logins_look_alike_and_wait() {
    let stored = stored();
    stored.user("ann", "viewer");
    let (wrong, unknown) = (stored.log_in("ann", "another password"), stored.log_in("nobody", "another password"));
    assert_eq!((wrong.0, &wrong.2), (401, &unknown.2));
    for _ in 0..4 {
        assert_eq!(stored.log_in("ann", "another password").0, 401);
    }
    let (status, head, body) = stored.log_in("ann", PASSWORD);
    assert!(status == 429 && head.contains("retry-after: 30\r\n"), "{head} {body}");
}

#[test]
fn a_session_acts_from_our_own_pages_alone() {
    let stored = stored();
    let cookie = stored.user("ann", "owner");
    let body = || Some(json!({"name": "t", "role": "viewer"}));
    let make = |headers: &str| stored.ask("POST", "/api/v1/tokens", &format!("cookie: {cookie}\r\n{headers}"), body()).0;
    for foreign in [
        "",
        "origin: http://localhost:3000\r\n",
        "origin: null\r\n",
        "sec-fetch-site: same-site\r\n",
        "sec-fetch-site: cross-site\r\norigin: http://localhost\r\n",
    ] {
        assert_eq!(make(foreign), 403, "{foreign}");
    }
    assert_eq!(make("origin: http://localhost\r\n"), 201);
    assert_eq!(make("sec-fetch-site: same-origin\r\n"), 201);
    let look = |headers: &str| stored.ask("GET", "/api/v1/users", &format!("cookie: {cookie}\r\n{headers}"), None).0;
    assert_eq!((look(""), look("sec-fetch-site: same-site\r\n"), look("sec-fetch-site: none\r\n")), (200, 403, 200));
    // Nor does another page log this browser in as somebody else.
    let login = json!({"user": "ann", "password": PASSWORD});
    assert_eq!(stored.ask("POST", "/api/v1/session", "origin: http://evil.example\r\n", Some(login)).0, 403);
}

#[test]
fn sessions_end_with_the_role_the_password_and_the_user() {
    let stored = stored();
    stored.user("root", "owner");
    let cookie = stored.user("ann", "admin");
    let is_in = |cookie: &str| stored.ask("GET", "/api/v1/session", &with_cookie(cookie), None).0 == 200;
    let put = |body: Value| stored.ask("PUT", "/api/v1/users/ann", &bearer(TOKEN), Some(body)).0;
    assert!(is_in(&cookie));
    assert_eq!(put(json!({"role": "viewer"})), 200);
    assert!(!is_in(&cookie));
    let cookie = cookie_of(&stored.log_in("ann", PASSWORD).1);
    assert_eq!(put(json!({"role": "viewer", "password": "quite another phrase"})), 200);
    assert!(!is_in(&cookie) && stored.log_in("ann", PASSWORD).0 == 401);
    let cookie = cookie_of(&stored.log_in("ann", "quite another phrase").1);
    assert_eq!(stored.ask("DELETE", "/api/v1/users/ann", &bearer(TOKEN), None).0, 204);
    assert!(!is_in(&cookie));
    let cookie = cookie_of(&stored.log_in("root", PASSWORD).1);
    let (status, head, _) = stored.ask("DELETE", "/api/v1/session", &with_cookie(&cookie), None);
    assert!(status == 204 && head.contains("max-age=0"), "{head}");
    assert!(!is_in(&cookie));
}

#[test]
fn an_owner_is_always_left() {
    let stored = stored();
    stored.user("ann", "owner");
    let demote = || stored.ask("PUT", "/api/v1/users/ann", &bearer(TOKEN), Some(json!({"role": "admin"}))).0;
    assert_eq!((demote(), stored.ask("DELETE", "/api/v1/users/ann", &bearer(TOKEN), None).0), (409, 409));
    stored.user("bob", "owner");
    assert_eq!(demote(), 200);
}

#[test]
fn a_token_is_shown_once_and_ends() {
    let stored = stored();
    let token = stored.token("admin", None);
    assert!(token.starts_with("rw-admin-"));
    let (status, _, who) = stored.ask("GET", "/api/v1/session", &bearer(&token), None);
    assert_eq!((status, &who["role"], &who["how"]), (200, &"admin".into(), &"token".into()));
    let (_, _, list) = stored.ask("GET", "/api/v1/tokens", &bearer(TOKEN), None);
    assert!(!list.to_string().contains(&token) && list["data"][0]["last4"] == token[token.len() - 4..], "{list}");
    let id = list["data"][0]["id"].as_str().unwrap();
    assert_eq!(stored.ask("DELETE", &format!("/api/v1/tokens/{id}"), &bearer(TOKEN), None).0, 204);
    assert_eq!(stored.ask("GET", "/api/v1/session", &bearer(&token), None).0, 401);
    assert_eq!(stored.ask("DELETE", &format!("/api/v1/tokens/{id}"), &bearer(TOKEN), None).0, 404);
}

#[test]
fn wrong_bodies_are_told_and_change_nothing() {
    let stored = stored();
    for (method, path, body) in [
        ("PUT", "/api/v1/users/a%20b", json!({"role": "viewer"})),
        ("PUT", "/api/v1/users/ann", json!({"role": "root"})),
        ("PUT", "/api/v1/users/ann", json!({"role": "owner", "team": "apps"})),
        ("PUT", "/api/v1/users/ann", json!({"role": "viewer", "password": "short"})),
        ("PUT", "/api/v1/users/ann", json!({"role": "viewer", "rank": 1})),
        ("POST", "/api/v1/tokens", json!({"name": "a", "role": "viewer", "days": 0})),
        ("POST", "/api/v1/session", json!({"user": "ann"})),
    ] {
        let (status, _, answer) = stored.ask(method, path, &bearer(TOKEN), Some(body.clone()));
        assert!(status == 400 && answer["errors"][0]["message"].is_string(), "{path} {body}: {status} {answer}");
    }
    assert_eq!(stored.ask("GET", "/api/v1/users", &bearer(TOKEN), None).2["data"], json!([]));
}

#[test]
fn without_a_store_there_are_no_users_and_the_token_works() {
    let gateway = gateway_with(Database::none(), Audit::none());
    assert_eq!(gateway.runtime.block_on(gateway.access.first_link()), Ok(None));
    let put =
        format!("PUT /api/v1/users/ann HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 17\r\n{}\r\n", bearer(TOKEN));
    let (status, _, body) = gateway.send(&(put + "{\"role\":\"viewer\"}"));
    assert!(status == 409 && body.contains("--no-store"), "{body}");
}

/// The roles that have each right, written once more by hand; the last is a viewer, an operator, an admin of a team.
fn given(right: Right) -> ([bool; 4], [bool; 3]) {
    match right {
        Right::Open | Right::Known => ([true; 4], [true; 3]),
        Right::Local | Right::Read => ([true; 4], [false; 3]),
        Right::ReadOwnTeam => ([true; 4], [true; 3]),
        Right::Operate => ([false, true, true, true], [false; 3]),
        Right::OperateOwnTeam => ([false, true, true, true], [false, true, true]),
        Right::Change => ([false, false, true, true], [false; 3]),
        Right::ChangeOwnTeam => ([false, false, true, true], [false, false, true]),
        Right::Own => ([false, false, false, true], [false; 3]),
    }
}

#[test]
fn every_route_takes_exactly_the_roles_of_its_right() {
    let stored = stored();
    let (_, _, document) = stored.ask("GET", "/api/v1/openapi.json", &bearer(TOKEN), None);
    let described = document["paths"].as_object().unwrap();
    for (path, item) in described {
        for method in item.as_object().unwrap().keys().filter(|key| matches!(key.as_str(), "get" | "put" | "post" | "delete" | "patch")) {
            let has = rules().iter().any(|rule| rule.path == path && rule.method.eq_ignore_ascii_case(method));
            assert!(has, "{method} {path} has no rule");
        }
    }
    let all: Vec<String> = Role::ALL.iter().map(|role| stored.token(role.name(), None)).collect();
    let of_team: Vec<String> = ["viewer", "operator", "admin"].iter().map(|role| stored.token(role, Some("apps"))).collect();
    let mut count = 0;
    for rule in rules() {
        let (expected_all, expected_team) = given(rule.right);
        let path = rule.path.replace("{name}", "none").replace("{id}", "none").replace("{n}", "999999").replace("{number}", "999999");
        let ask = |headers: &str| stored.gateway.answer_status(rule.method, &path, headers);
        for (token, is_given) in all.iter().zip(expected_all).chain(of_team.iter().zip(expected_team)) {
            let (status, is_refused) = ask(&bearer(token));
            assert_eq!(is_refused, !is_given, "{} {path} for {token}: {status}", rule.method);
            count += 1;
        }
        let (status, is_refused) = ask("x-forwarded-for: 203.0.113.9\r\n");
        assert_eq!(is_refused, rule.right != Right::Open, "{} {path} for a stranger: {status}", rule.method);
    }
    assert!(count >= 7 * rules().len());
}

#[test]
fn acts_and_refusals_are_in_the_audit_log_and_secrets_are_not() {
    let stored = stored();
    let token = stored.token("viewer", None);
    let cookie = stored.user("ann", "operator");
    assert_eq!(stored.ask("DELETE", "/api/v1/users/ann", &bearer(&token), None).0, 403);
    assert_eq!(stored.ask("GET", "/api/v1/users", "", None).0, 401);
    assert_eq!(stored.log_in("ann", "another password").0, 401);
    assert_eq!(stored.ask("GET", "/api/v1/providers", &bearer(&token), None).0, 200);
    let (status, _, page) = stored.ask("GET", "/api/v1/audit", &bearer(TOKEN), None);
    assert_eq!(status, 200, "{page}");
    let seen: Vec<String> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {} {}",
                row["kind"].as_str().unwrap(),
                row["who"].as_str().unwrap(),
                row["method"].as_str().unwrap(),
                row["path"].as_str().unwrap(),
                row["status"]
            )
        })
        .collect();
    let expected = [
        "denied local POST /api/v1/session 401",
        "denied local GET /api/v1/users 401",
        "denied viewer-all DELETE /api/v1/users/ann 403",
        "act local POST /api/v1/session 200",
        "act start token PUT /api/v1/users/ann 201",
        "act start token POST /api/v1/tokens 201",
    ];
    assert_eq!(seen, expected);
    assert!(page["data"][0]["detail"].as_str().unwrap().contains("ann") && page["data"][0]["address"] == "127.0.0.1", "{page}");
    let (_, _, proof) = stored.ask("GET", "/api/v1/audit/verify", &bearer(TOKEN), None);
    assert_eq!((&proof["whole"], &proof["findings"]), (&true.into(), &json!([])), "{proof}");
    let folder = stored.audit.folder().unwrap();
    for format in ["jsonl", "syslog"] {
        let (_, _, export) = stored.gateway.get(&format!("/api/v1/audit/export?format={format}"), &bearer(TOKEN));
        assert!(export.contains("viewer-all"), "{export}");
        for secret in [TOKEN, &token, PASSWORD, "another password", cookie.split_once('=').unwrap().1] {
            assert!(!export.contains(secret), "{secret}");
        }
    }
    let bytes: Vec<u8> =
        std::fs::read_dir(&stored.folder).unwrap().flatten().filter_map(|entry| std::fs::read(entry.path()).ok()).flatten().collect();
    for secret in [&token, PASSWORD, cookie.split_once('=').unwrap().1] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in the store");
    }
    assert!(audit::verify(&folder, None).unwrap().is_whole());
}

#[test]
fn what_cannot_be_noted_is_not_done() {
    let stored = stored();
    std::fs::write(stored.folder.join("audit"), "a file where the folder should be").unwrap();
    let (status, _, body) = stored.ask("PUT", "/api/v1/users/ann", &bearer(TOKEN), Some(json!({"role": "viewer"})));
    assert_eq!((status, &body["code"]), (503, &"audit_unavailable".into()), "{body}");
    assert_eq!(stored.ask("GET", "/api/v1/users", &bearer(TOKEN), None).2["data"], json!([]));
    std::fs::remove_file(stored.folder.join("audit")).unwrap();
    assert_eq!(stored.ask("PUT", "/api/v1/users/ann", &bearer(TOKEN), Some(json!({"role": "viewer"}))).0, 201);
}
