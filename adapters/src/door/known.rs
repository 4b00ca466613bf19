//! The doors of whole paths without an id in them, by hash: most requests come to one of them.
//!
//! Estimate: one hash and one comparison of the path, some 100 instructions where trying the rows takes 3,000. The table has some 150
//! rows, 20 KiB, and is made for the first request.

use std::sync::OnceLock;

use ahash::AHashMap;

use super::{Door, by_rows};
use crate::dialect::DialectId;
use crate::dialect::doors::{Opens, PREFIXES};
use crate::ir::Mode;
use crate::operation::Operation;

/// A door that has neither provider, id nor tail.
#[derive(Clone, Copy)]
struct Known {
    operation: Operation,
    dialect: DialectId,
    mode: Option<Mode>,
    /// Where the upstream's path begins.
    upstream_at: u8,
}

/// As `by_rows` finds it; `None` where the path is to be looked for there.
pub(super) fn find(path: &str) -> Option<Door<'_>> {
    static TABLE: OnceLock<AHashMap<Box<str>, Known>> = OnceLock::new();
    let Known { operation, dialect, mode, upstream_at } = *TABLE.get_or_init(table).get(path)?;
    let upstream_path = &path[usize::from(upstream_at)..];
    Some(Door { operation, dialect, provider: None, id: None, mode, upstream_path, tail: "", is_deployment: false, passes: None })
}

fn table() -> AHashMap<Box<str>, Known> {
    let tables = PREFIXES.iter().filter_map(|prefix| match prefix.opens {
        Opens::Rows(rows) => Some((prefix.path, rows)),
        _ => None,
    });
    let paths = tables.flat_map(|(prefix, rows)| rows.iter().filter(|row| !row.0.contains('*')).map(move |row| [prefix, row.0].concat()));
    paths.filter_map(|path| Some((path.as_str().into(), known(&path)?))).collect()
}

/// `None` where header fields decide whose path it is.
fn known(path: &str) -> Option<Known> {
    let door = by_rows(path, &|_| false).filter(|door| by_rows(path, &|_| true).as_ref() == Some(door))?;
    let is_bare = door.provider.is_none() && door.id.is_none() && door.tail.is_empty() && !door.is_deployment;
    let upstream_at = u8::try_from(path.len() - door.upstream_path.len()).ok().filter(|_| is_bare)?;
    Some(Known { operation: door.operation, dialect: door.dialect, mode: door.mode, upstream_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_has_is_what_the_rows_say() {
        let table = table();
        assert!(table.len() > 80);
        for path in table.keys() {
            for name in ["", "anthropic-version", "x-goog-api-key"] {
                assert_eq!(find(path), by_rows(path, &|field| field == name), "{path} {name}");
            }
        }
        assert!(["/v1/chat/completions", "/v1/messages", "/v1/responses", "/openai/v1/embeddings"].iter().all(|path| find(path).is_some()));
        assert!(
            ["/v1/models/a", "/v1/models", "/v1/chat/completions/", "//v1/chat/completions", ""].iter().all(|path| find(path).is_none())
        );
    }
}
