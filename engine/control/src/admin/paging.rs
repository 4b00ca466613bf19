//! Lists in pages: a bounded number of entries, and a cursor for the next ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// Entries of a page where `?limit=` does not say.
pub(crate) const LIMIT_DEFAULT: usize = 100;
/// Most entries of a page.
pub(crate) const LIMIT_MAX: usize = 1000;
/// Longer cursors are none of ours.
const CURSOR_BYTES_MAX: usize = 1024;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Entries of a page; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List {
    #[schema(value_type = Vec<Object>)]
    pub data: Vec<Value>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
    /// Counts published configurations.
    pub revision: u64,
}

impl PageQuery {
    /// # Errors
    /// Where it is not between 1 and `LIMIT_MAX`.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            limit => Err(Problem::invalid("limit", format!("{limit} is not between 1 and {LIMIT_MAX}"))),
        }
    }

    /// What the cursor stands for.
    ///
    /// # Errors
    /// Where it is no cursor.
    pub fn position(&self) -> Result<Option<String>, Problem> {
        self.cursor.as_deref().filter(|cursor| !cursor.is_empty()).map(decode).transpose()
    }

    /// The page of a list that is in the order of its names.
    ///
    /// # Errors
    /// Where limit or cursor are wrong.
    pub fn cut<T>(&self, all: Vec<T>, name: impl Fn(&T) -> &str) -> Result<(Vec<T>, Option<String>), Problem> {
        let (limit, position) = (self.limit()?, self.position()?);
        let mut page: Vec<T> =
            all.into_iter().filter(|entry| position.as_deref().is_none_or(|after| name(entry) > after)).take(limit + 1).collect();
        let has_more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| has_more).map(|last| encode(name(last)));
        Ok((page, next))
    }
}

/// A cursor is opaque to callers: what it holds may change.
pub(crate) fn encode(position: &str) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

/// # Errors
/// Where it is no cursor.
pub(crate) fn decode(cursor: &str) -> Result<String, Problem> {
    let bytes = Some(cursor).filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX).and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Problem::invalid("cursor", "it is not one of this list; take next of the page before, or leave it out"))
}

/// The page as the API answers it.
pub(crate) fn list(data: Vec<Value>, next: Option<String>, revision: u64) -> Value {
    json!({"data": data, "next": next, "revision": revision})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let names: Vec<String> = (0..25).map(|number| format!("n{number:02}")).collect();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let query = PageQuery { limit: Some(10), cursor };
            let (page, next) = query.cut(names.clone(), |name| name).unwrap();
            seen.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, names);
    }

    #[test]
    fn wrong_limits_and_cursors_are_told() {
        let page = |limit, cursor: Option<&str>| PageQuery { limit, cursor: cursor.map(str::to_owned) }.cut(vec!["a"], |name| name).is_ok();
        assert!(page(None, None) && page(Some(1000), None) && page(None, Some("")));
        assert!(!page(Some(0), None) && !page(Some(1001), None) && !page(None, Some("a b")) && !page(None, Some(&"A".repeat(2000))));
    }
}
