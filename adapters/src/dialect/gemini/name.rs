//! Names of members: protobuf's JSON takes `camelCase` and `snake_case` alike.

use std::borrow::Cow;

use crate::json::tree::Json;

/// `camelCase` of either form. A leading underscore stays.
pub(super) fn camel(name: &str) -> Cow<'_, str> {
    if !name.as_bytes().get(1..).is_some_and(|rest| rest.contains(&b'_')) {
        return Cow::Borrowed(name);
    }
    let mut camel = String::with_capacity(name.len());
    let mut is_upper = false;
    for (index, letter) in name.chars().enumerate() {
        match letter {
            '_' if index > 0 => is_upper = true,
            _ if is_upper => {
                camel.extend(letter.to_uppercase());
                is_upper = false;
            }
            _ => camel.push(letter),
        }
    }
    Cow::Owned(camel)
}

/// The member that is called `name` (in `camelCase`) in either form; null counts as absent.
pub(super) fn get<'t, 'a>(json: Json<'t, 'a>, name: &str) -> Option<Json<'t, 'a>> {
    json.object()?.find(|(key, value)| is(key, name) && !value.is_null()).map(|(_, value)| value)
}

pub(super) fn get_str<'a>(json: Json<'_, 'a>, name: &str) -> Option<&'a str> {
    get(json, name)?.str()
}

/// `key` is the `camelCase` name or its `snake_case` form.
fn is(key: &str, name: &str) -> bool {
    let mut letters = key.bytes();
    let is_each = name.bytes().all(|wanted| match letters.next() {
        Some(b'_') if wanted.is_ascii_uppercase() => letters.next() == Some(wanted.to_ascii_lowercase()),
        found => found == Some(wanted),
    });
    is_each && letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one_name() {
        for (key, name) in [("function_declarations", "functionDeclarations"), ("topK", "topK"), ("top_k", "topK"), ("text", "text")] {
            assert_eq!(camel(key), name);
            assert!(is(key, name), "{key}");
        }
        assert_eq!(camel("_response_json_schema"), "_responseJsonSchema");
        for (key, name) in [("top_", "topK"), ("top_kk", "topK"), ("_", ""), ("", "a"), ("texts", "text")] {
            assert!(!is(key, name), "{key}");
        }
    }
}
