//! Sources on the web that one dialect told, for the clients of another.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::DialectId;
use crate::ir::Extra;

/// What all dialects tell of a page.
struct Page<'e> {
    url: &'e str,
    title: &'e str,
    /// Where in the text it is used; 0 where the dialect does not say.
    start: u64,
    end: u64,
}

/// OpenAI's chat nests it, Responses and Anthropic's web search have it flat. A place in a document is no page.
fn page(extra: &Extra) -> Option<Page<'_>> {
    let fields = extra.fields.get("url_citation").and_then(Value::as_object).unwrap_or(&extra.fields);
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let count = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
    Some(Page { url: text("url")?, title: text("title").unwrap_or_default(), start: count("start_index"), end: count("end_index") })
}

/// The citation in `dialect`'s form: its own as it came, a page of another one's. `None` where it has no form for it.
pub(super) fn of(extra: &Extra, dialect: DialectId) -> Option<Cow<'_, Map<String, Value>>> {
    if let Some(own) = extra.of(dialect) {
        return Some(Cow::Borrowed(own));
    }
    let Page { url, title, start, end } = page(extra)?;
    let value = match dialect {
        DialectId::OpenaiChat => {
            json!({"type": "url_citation", "url_citation": {"start_index": start, "end_index": end, "title": title, "url": url}})
        }
        DialectId::OpenaiResponses => {
            json!({"type": "url_citation", "start_index": start, "end_index": end, "title": title, "url": url})
        }
        // The index is opaque and of Anthropic's own searches: an empty one says that it was none of these.
        DialectId::Anthropic => {
            json!({"type": "web_search_result_location", "cited_text": "", "encrypted_index": "", "title": title, "url": url})
        }
        #[allow(unreachable_patterns)]
        _ => return None,
    };
    if let Value::Object(fields) = value { Some(Cow::Owned(fields)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(dialect: DialectId, fields: Value) -> Extra {
        Extra { dialect: Some(dialect), fields: fields.as_object().cloned().unwrap_or_default() }
    }

    #[test]
    fn a_page_is_told_in_every_dialect() {
        let chat = json!({"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 9, "title": "t", "url": "u"}});
        let responses = json!({"type": "url_citation", "start_index": 3, "end_index": 9, "title": "t", "url": "u"});
        let told = |from: DialectId, fields: &Value, to: DialectId| {
            of(&extra(from, fields.clone()), to).map(|fields| Value::Object(fields.into_owned()))
        };
        assert_eq!(told(DialectId::OpenaiChat, &chat, DialectId::OpenaiResponses).as_ref(), Some(&responses));
        assert_eq!(told(DialectId::OpenaiResponses, &responses, DialectId::OpenaiChat).as_ref(), Some(&chat));
        let anthropic = told(DialectId::OpenaiChat, &chat, DialectId::Anthropic).unwrap();
        assert_eq!((&anthropic["url"], &anthropic["title"]), (&json!("u"), &json!("t")));
        assert_eq!(told(DialectId::Anthropic, &anthropic, DialectId::OpenaiChat).unwrap()["url_citation"]["url"], "u");
    }

    #[test]
    fn a_place_in_a_document_stays_with_its_dialect() {
        let place = extra(DialectId::Anthropic, json!({"type": "char_location", "cited_text": "c", "document_index": 0}));
        assert!(of(&place, DialectId::Anthropic).is_some() && of(&place, DialectId::OpenaiChat).is_none());
    }
}
