//! Secrets within an object: found by the paths of its kind, sealed for the database, masked for everyone else.
//!
//! | where | what stands in the field |
//! |---|---|
//! | what a caller sends | the secret, a reference (`${NAME}`, `${file:/path}`), or the mask that an answer showed |
//! | the database | `{"sealed": "…"}`, or the reference |
//! | answers, exports, revisions | `{"secret": "…1234"}`, or the reference |

use ringway_policy::config::digest;
use serde_json::{Value, json};

use super::Kind;
use crate::seal::Sealer;

const SEALED: &str = "sealed";
const MASK: &str = "secret";
/// The last characters of a secret that a mask shows, and how long it must be for that.
const SHOWN: usize = 4;
const SHOWN_FROM: usize = 20;
/// Headers that hold no secret unless their name has one of these in it.
const SECRET_WORDS: &[&str] = &["auth", "key", "token", "secret", "cookie", "credential", "password"];

/// What a reference to a secret store begins with.
const ELSEWHERE: &[&str] = &["vault://", "aws-sm://", "gcp-sm://", "azure-kv://"];

/// Calls `each` with every secret field that is there, with the path that it is sealed for and the one that people read.
pub(super) fn each(kind: Kind, body: &mut Value, each: &mut dyn FnMut(&'static str, &str, &mut Value)) {
    for path in kind.secrets() {
        walk(body, path, path, &mut String::new(), each);
    }
}

fn walk(value: &mut Value, path: &'static str, rest: &str, at: &mut String, each: &mut dyn FnMut(&'static str, &str, &mut Value)) {
    let len = at.len();
    if rest.is_empty() {
        // A list or mapping is looked into by another path.
        if !value.is_null() && !value.is_array() && (!value.is_object() || marked(value).is_some()) {
            each(path, at, value);
        }
    } else if let Some(rest) = rest.strip_prefix("[]") {
        for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
            at.push_str(&format!("[{index}]"));
            walk(item, path, rest, at, each);
            at.truncate(len);
        }
    } else if let Some(rest) = rest.strip_prefix("[1]") {
        let Some([name, value]) = value.as_array_mut().map(Vec::as_mut_slice) else { return };
        let is_secret = name.as_str().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        });
        if is_secret {
            at.push_str("[1]");
            walk(value, path, rest, at, each);
            at.truncate(len);
        }
    } else if let Some(rest) = rest.strip_prefix("{}") {
        for (name, item) in value.as_object_mut().into_iter().flatten() {
            at.push_str(&format!(".{name}"));
            walk(item, path, rest, at, each);
            at.truncate(len);
        }
    } else {
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[', '{']).unwrap_or(rest.len());
        if let Some(field) = value.as_object_mut().and_then(|fields| fields.get_mut(&rest[..end])) {
            at.push_str(&format!(".{}", &rest[..end]));
            walk(field, path, &rest[end..], at, each);
            at.truncate(len);
        }
    }
}

/// What a field that stands for a secret says: `(SEALED, …)` or `(MASK, …)`.
fn marked(value: &Value) -> Option<(&'static str, &str)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let (name, text) = fields.iter().next()?;
    let mark = [SEALED, MASK].into_iter().find(|mark| mark == name)?;
    Some((mark, text.as_str()?))
}

/// A text that names a secret and is none.
fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['{', '}']) && !inner.contains(":-"))
}

/// Not secret where it says this.
fn is_word(path: &str, text: &str) -> bool {
    path == "credentials" && text == "caller"
}

fn mask(text: &str) -> Value {
    let shown = if text.len() >= SHOWN_FROM { text.char_indices().rev().nth(SHOWN - 1).map_or("", |(at, _)| &text[at..]) } else { "" };
    json!({ MASK: format!("…{shown}") })
}

fn context(kind: Kind, name: &str, path: &str) -> String {
    format!("{}/{name}/{path}", kind.plural())
}

/// Masks what a file or a caller wrote.
pub(super) fn masked(kind: Kind, mut body: Value) -> Value {
    each(kind, &mut body, &mut |path, _, value| {
        if let Some(text) = value.as_str().filter(|text| !is_reference(text) && !is_word(path, text)) {
            *value = mask(text);
        }
    });
    for path in kind.keys() {
        walk(&mut body, path, path, &mut String::new(), &mut |_, _, value| {
            if let Some(text) = value.as_str().filter(|text| !is_reference(text)) {
                *value = mask(text);
            }
        });
    }
    body
}

/// Masks what the database holds.
pub(super) fn masked_from_sealed(kind: Kind, name: &str, body: Value, sealer: &Sealer) -> Value {
    let mut body = body;
    each(kind, &mut body, &mut |path, _, value| {
        if let Some((SEALED, sealed)) = marked(value) {
            *value = sealer.unseal(&context(kind, name, path), sealed).map_or_else(|_| json!({ MASK: "…" }), |plain| mask(&plain));
        }
    });
    body
}

/// The body with its secrets as they are.
///
/// # Errors
/// The path of one that cannot be unsealed, and why.
pub(super) fn unsealed(kind: Kind, name: &str, body: Value, sealer: &Sealer) -> Result<Value, String> {
    let (mut body, mut problem) = (body, None);
    each(kind, &mut body, &mut |path, at, value| {
        let Some((SEALED, sealed)) = marked(value) else { return };
        match sealer.unseal(&context(kind, name, path), sealed) {
            Ok(plain) => *value = Value::String(plain),
            Err(reason) => problem = Some(format!("{}.{name}{at} cannot be unsealed: {reason}", kind.section().word())),
        }
    });
    problem.map_or(Ok(body), Err)
}

/// The body for the database; `body` is plain.
///
/// # Errors
/// Where nothing can be sealed.
pub(super) fn sealed(kind: Kind, name: &str, body: Value, sealer: &Sealer) -> Result<(Value, Sealing), String> {
    let (mut body, mut problem, mut sealing) = (body, None, Sealing::None);
    each(kind, &mut body, &mut |path, _, value| {
        let Some(text) = value.as_str().filter(|text| !is_reference(text) && !is_word(path, text)) else { return };
        match sealer.seal(&context(kind, name, path), text) {
            Ok(sealed) => (*value, sealing) = (json!({ SEALED: sealed }), Sealing::Some),
            Err(reason) => problem = Some(reason),
        }
    });
    problem.map_or(Ok((body, sealing)), Err)
}

/// Whether something was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealing {
    None,
    Some,
}

/// Puts the secrets of `before`, which is plain, where the caller sent back what answers show in their place.
///
/// # Errors
/// The paths of masks that stand for no secret of `before`, and of what only the database may hold.
pub(super) fn unmask(kind: Kind, body: &mut Value, before: Option<&Value>) -> Result<(), Vec<(String, String)>> {
    let mut old: Vec<(&'static str, String, String)> = Vec::new();
    if let Some(before) = before {
        each(kind, &mut before.clone(), &mut |path, at, value| {
            if let Some(text) = value.as_str() {
                old.push((path, at.to_owned(), text.to_owned()));
            }
        });
    }
    let mut problems = Vec::new();
    each(kind, body, &mut |path, at, value| match marked(value) {
        // Taken as it stands it would be sent to the provider as a key.
        None if value.as_str().is_some_and(|text| ELSEWHERE.iter().any(|scheme| text.starts_with(scheme))) => {
            let message = "a secret that is kept elsewhere is not fetched from here; write the secret, ${NAME} or ${file:/path}";
            problems.push((at.to_owned(), message.to_owned()));
        }
        None => {}
        Some((MASK, shown)) => {
            let fits = |old: &&(&str, String, String)| old.0.split('.').next() == path.split('.').next() && is_mask_of(&old.2, shown);
            // At its old place, else the only one that looks so.
            let here = old.iter().find(|old| old.1 == at && is_mask_of(&old.2, shown));
            let mut others = old.iter().filter(fits);
            let found = here.or_else(|| others.next().filter(|first| others.all(|other| other.2 == first.2)));
            match found {
                Some((_, _, text)) => *value = Value::String(text.clone()),
                None => problems.push((at.to_owned(), "a mask stands here, and no such secret is kept; write the secret".to_owned())),
            }
        }
        Some(_) => problems.push((at.to_owned(), "write the secret itself, or a reference to it".to_owned())),
    });
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn is_mask_of(text: &str, shown: &str) -> bool {
    marked(&mask(text)).is_some_and(|(_, mask)| mask == shown)
}

/// Replaces each virtual key that is written out by its SHA-256; one that cannot be a key stays, for the readers to refuse.
pub(super) fn hash_keys(kind: Kind, body: &mut Value) {
    let hash = |fields: &mut serde_json::Map<String, Value>| {
        let Some(text) = fields.get("key").and_then(Value::as_str) else { return };
        let is_key = (16..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if is_key && !fields.contains_key("key_sha256") {
            let sha256 = hex(&digest(text));
            fields.shift_remove("key");
            fields.insert("key_sha256".to_owned(), Value::String(sha256));
        }
    };
    if kind.keys().is_empty() {
        return;
    }
    let Some(fields) = body.as_object_mut() else { return };
    hash(fields);
    for former in fields.get_mut("previous").and_then(Value::as_array_mut).into_iter().flatten() {
        former.as_object_mut().into_iter().for_each(hash);
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::MasterPlace;

    fn body() -> Value {
        json!({
            "keys": ["sk-aaaaaaaaaaaaaaaaaaaaaa1111", {"name": "b", "value": "sk-short"}, "${OPENAI_API_KEY}"],
            "client_secret": "${file:/run/secrets/x}",
            "headers": [["x-version", "7"], ["Authorization", "Basic dXNlcjpwYXNz"]],
            "credentials": "caller",
            "base_url": "http://127.0.0.1:1/v1",
        })
    }

    #[test]
    fn secrets_are_sealed_and_masked_and_references_stay() {
        let sealer = Sealer::new(MasterPlace::Given("07".repeat(32)));
        let (kept, sealing) = sealed(Kind::Provider, "openai", body(), &sealer).unwrap();
        assert_eq!(sealing, Sealing::Some);
        let shown = masked_from_sealed(Kind::Provider, "openai", kept.clone(), &sealer);
        assert_eq!(shown, masked(Kind::Provider, body()));
        assert_eq!(
            shown,
            json!({
                "keys": [{"secret": "…1111"}, {"name": "b", "value": {"secret": "…"}}, "${OPENAI_API_KEY}"],
                "client_secret": "${file:/run/secrets/x}",
                "headers": [["x-version", "7"], ["Authorization", {"secret": "…"}]],
                "credentials": "caller",
                "base_url": "http://127.0.0.1:1/v1",
            })
        );
        for secret in ["sk-", "dXNl"] {
            assert!(!kept.to_string().contains(secret) && !shown.to_string().contains(secret), "{kept} {shown}");
        }
        assert_eq!(unsealed(Kind::Provider, "openai", kept.clone(), &sealer), Ok(body()));
        let error = unsealed(Kind::Provider, "other", kept, &sealer).unwrap_err();
        assert!(error.starts_with("providers.other."), "{error}");
    }

    #[test]
    fn a_mask_that_comes_back_keeps_the_secret_wherever_it_moved() {
        let before = body();
        let mut back = masked(Kind::Provider, body());
        unmask(Kind::Provider, &mut back, Some(&before)).unwrap();
        assert_eq!(back, before);
        let mut moved = json!({"keys": [{"name": "a", "value": {"secret": "…1111"}}]});
        unmask(Kind::Provider, &mut moved, Some(&before)).unwrap();
        assert_eq!(moved["keys"][0]["value"], "sk-aaaaaaaaaaaaaaaaaaaaaa1111");
        let mut unknown = json!({"keys": [{"secret": "…9999"}, {"sealed": "x:y"}]});
        let problems = unmask(Kind::Provider, &mut unknown, Some(&before)).unwrap_err();
        assert_eq!(problems.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), [".keys[0]", ".keys[1]"]);
        assert!(unmask(Kind::Provider, &mut json!({"keys": [{"secret": "…"}]}), None).is_err());
        let elsewhere = unmask(Kind::Provider, &mut json!({"client_secret": "vault://kv/x#y"}), None).unwrap_err();
        assert_eq!(elsewhere[0].0, ".client_secret");
    }

    #[test]
    fn virtual_keys_are_kept_as_their_digests() {
        let mut body = json!({"key": "rw-0123456789abcdef", "previous": [{"key": "rw-0123456789abcdee", "until": "2027-01-31"}]});
        hash_keys(Kind::VirtualKey, &mut body);
        let text = body.to_string();
        assert!(!text.contains("rw-") && body["key_sha256"].as_str().unwrap().len() == 64, "{text}");
        assert_eq!(body["previous"][0]["key_sha256"].as_str().unwrap().len(), 64);
        let mut reference = json!({"key": "${MOBILE_KEY}"});
        hash_keys(Kind::VirtualKey, &mut reference);
        assert_eq!(reference, json!({"key": "${MOBILE_KEY}"}));
    }
}
