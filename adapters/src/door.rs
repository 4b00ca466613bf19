//! Doors: the paths that clients speak to, and which dialect and operation each one is.
//!
//! Estimate: a chat path is found with about ten short comparisons; nothing is allocated.

use std::borrow::Cow;

use crate::dialect::DialectId;
use crate::dialect::doors::{Header, Opens, PREFIXES, Row, UNKNOWN};
use crate::fault::{Fault, Kind};
use crate::operation::Operation;

/// The dialect in which requests are answered that no door takes.
pub const DIALECT_WITHOUT_DOOR: DialectId = DialectId::OpenaiChat;

/// What a request's path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door<'a> {
    pub operation: Operation,
    /// The client's dialect; errors are written in it.
    pub dialect: DialectId,
    /// The provider that the path names (`/passthrough/PROVIDER/…`).
    pub provider: Option<&'a str>,
    /// A model or object id in the path, percent-encoded as it came; see `decode`.
    pub id: Option<&'a str>,
    /// What goes below the provider's base URL on a same-dialect target: the path without the door's own prefix,
    /// always with a leading slash (`/chat/completions`, `/v1/messages`).
    pub upstream_path: &'a str,
    /// What follows the operation's own path, with its slash (`/file-1/content`); mostly empty. It goes behind the path
    /// under which a provider serves the operation.
    pub tail: &'a str,
}

/// Finds the door of `path` (no query). `anthropic_version` says that the request carries `anthropic-version`, which makes
/// `/v1/models` and `/v1/files` Anthropic's. `None` is a 404 in OpenAI's shape.
pub fn find(path: &str, anthropic_version: bool) -> Option<Door<'_>> {
    // A base URL with a trailing slash makes two of them.
    let path = if path.starts_with("//") { &path[1..] } else { path };
    PREFIXES.iter().find_map(|prefix| {
        if prefix.header == Header::AnthropicVersion && !anthropic_version {
            return None;
        }
        let rest = after(path, prefix.path.as_bytes()).filter(|rest| rest.starts_with('/'))?;
        match prefix.opens {
            Opens::Rows(table) => rows(table, rest),
            Opens::Deployment(table) => deployment(table, rest),
            Opens::Provider(tables) => passthrough(tables, rest),
        }
    })
}

/// Text of a percent-encoded `id`.
///
/// # Errors
/// `Kind::InvalidRequest` where an escape is broken or the text is not UTF-8.
pub fn decode(id: &str) -> Result<Cow<'_, str>, Fault> {
    if !id.contains('%') {
        return Ok(Cow::Borrowed(id));
    }
    let broken = || Fault::new(Kind::InvalidRequest, "path: broken percent-encoding; write a percent sign as %25");
    let mut text = Vec::with_capacity(id.len());
    let mut bytes = id.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            text.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| (digit as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(broken()) };
        text.push((high << 4 | low) as u8);
    }
    String::from_utf8(text).map(Cow::Owned).map_err(|_| broken())
}

fn rows<'a>(rows: &[Row], path: &'a str) -> Option<Door<'a>> {
    rows.iter().find_map(|&(pattern, operation, dialect)| {
        let (id, tail) = matches(pattern, path)?;
        Some(Door { operation, dialect, provider: None, id, upstream_path: path, tail })
    })
}

/// The id in `path` and what follows the pattern's stem, if it fits.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<(Option<&'a str>, &'a str)> {
    // Bytes, not characters: this runs for each row until one fits.
    let Some((b'*', stem)) = pattern.as_bytes().split_last() else {
        return after(path, pattern.as_bytes()).filter(|rest| rest.is_empty()).map(|rest| (None, rest));
    };
    let (stem, whole) = stem.strip_suffix(b"*").map_or((stem, false), |stem| (stem, true));
    let rest = after(path, stem).filter(|rest| !rest.is_empty())?;
    let id = if whole { rest } else { rest.split('/').next().unwrap_or(rest) };
    Some((Some(id).filter(|id| !id.is_empty()), &path[stem.len() - 1..]))
}

/// What follows `stem` in `path`. Compared byte by byte: most rows differ early, and a call of `memcmp` costs more.
#[inline]
fn after<'a>(path: &'a str, stem: &[u8]) -> Option<&'a str> {
    let is_prefix = path.len() >= stem.len() && path.bytes().zip(stem).all(|(a, b)| a == *b);
    path.get(stem.len()..).filter(|_| is_prefix)
}

/// `/ID/chat/completions`. An id may hold slashes (`provider/model`): it ends where a known operation begins.
fn deployment<'a>(table: &[Row], path: &'a str) -> Option<Door<'a>> {
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|&at| at > 1);
    ends.into_iter().find_map(|at| {
        let door = rows(table, &path[at..])?;
        (door.operation != Operation::Models).then_some(Door { id: Some(&path[1..at]), ..door })
    })
}

/// `/PROVIDER/…`. The dialect is that of the path, if it is a known one, so that usage can be read.
fn passthrough<'a>(tables: &[&[Row]], path: &'a str) -> Option<Door<'a>> {
    let path = path.strip_prefix('/')?;
    let (provider, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    if provider.is_empty() || has_dots(rest) {
        return None;
    }
    let known = tables.iter().find_map(|table| rows(table, rest).or_else(|| rows(table, rest.strip_prefix("/v1")?)));
    Some(Door {
        operation: Operation::Passthrough,
        dialect: known.map_or(UNKNOWN, |door| door.dialect),
        provider: Some(provider),
        id: None,
        upstream_path: if rest.is_empty() { "/" } else { rest },
        tail: "",
    })
}

/// A segment `.` or `..`, which would climb out of the provider's base URL.
fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = decode(segment).unwrap_or_default();
        segment.len() <= "%2e%2e".len() && matches!(plain.as_ref(), "." | "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use DialectId::{Anthropic, OpenaiChat, OpenaiResponses};

    #[test]
    fn every_path_of_the_contract_has_its_door() {
        for (path, operation, dialect, id, upstream_path) in [
            ("/v1/chat/completions", Operation::Chat, OpenaiChat, None, "/chat/completions"),
            ("/chat/completions", Operation::Chat, OpenaiChat, None, "/chat/completions"),
            ("/openai/chat/completions", Operation::Chat, OpenaiChat, None, "/chat/completions"),
            ("/openai/v1/chat/completions", Operation::Chat, OpenaiChat, None, "/chat/completions"),
            ("//v1/chat/completions", Operation::Chat, OpenaiChat, None, "/chat/completions"),
            ("/v1/responses", Operation::Chat, OpenaiResponses, None, "/responses"),
            ("/openai/responses", Operation::Chat, OpenaiResponses, None, "/responses"),
            ("/v1/responses/resp_1/cancel", Operation::Passthrough, OpenaiResponses, Some("resp_1"), "/responses/resp_1/cancel"),
            ("/v1/responses/input_tokens", Operation::CountTokens, OpenaiResponses, None, "/responses/input_tokens"),
            ("/v1/completions", Operation::Complete, OpenaiChat, None, "/completions"),
            ("/v1/embeddings", Operation::Embed, OpenaiChat, None, "/embeddings"),
            ("/v1/models", Operation::Models, OpenaiChat, None, "/models"),
            ("/v1/key", Operation::Key, OpenaiChat, None, "/key"),
            ("/v1/models/openai/gpt-4.1", Operation::Models, OpenaiChat, Some("openai/gpt-4.1"), "/models/openai/gpt-4.1"),
            ("/v1/moderations", Operation::Moderate, OpenaiChat, None, "/moderations"),
            ("/v1/images/generations", Operation::Image, OpenaiChat, Some("generations"), "/images/generations"),
            ("/v1/audio/speech", Operation::Speech, OpenaiChat, None, "/audio/speech"),
            ("/v1/audio/transcriptions", Operation::Transcribe, OpenaiChat, None, "/audio/transcriptions"),
            ("/v1/files", Operation::Files, OpenaiChat, None, "/files"),
            ("/v1/files/file-1/content", Operation::Files, OpenaiChat, Some("file-1"), "/files/file-1/content"),
            ("/v1/batches/batch_1", Operation::Batch, OpenaiChat, Some("batch_1"), "/batches/batch_1"),
            ("/v1/realtime", Operation::Realtime, OpenaiChat, None, "/realtime"),
            ("/v1/rerank", Operation::Rerank, OpenaiChat, None, "/rerank"),
            ("/openai/deployments/gpt%204o/chat/completions", Operation::Chat, OpenaiChat, Some("gpt%204o"), "/chat/completions"),
            ("/openai/deployments/openai/gpt-4o/embeddings", Operation::Embed, OpenaiChat, Some("openai/gpt-4o"), "/embeddings"),
            ("/openai/deployments/d/completions", Operation::Complete, OpenaiChat, Some("d"), "/completions"),
            ("/models/chat/completions", Operation::Chat, OpenaiChat, None, "/chat/completions"),
            ("/v1/messages", Operation::Chat, Anthropic, None, "/v1/messages"),
            ("/anthropic/v1/messages", Operation::Chat, Anthropic, None, "/v1/messages"),
            ("/v1/messages/count_tokens", Operation::CountTokens, Anthropic, None, "/v1/messages/count_tokens"),
            ("/v1/messages/batches/b/results", Operation::Batch, Anthropic, Some("b"), "/v1/messages/batches/b/results"),
            ("/anthropic/v1/models", Operation::Models, Anthropic, None, "/v1/models"),
        ] {
            let door = find(path, false).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((door.operation, door.dialect, door.id, door.upstream_path), (operation, dialect, id, upstream_path), "{path}");
            assert_eq!(door.provider, None);
        }
    }

    #[test]
    fn tails_follow_the_operations_own_path() {
        for (path, tail) in [
            ("/v1/chat/completions", ""),
            ("/v1/images/edits", "/edits"),
            ("/v1/files/file-1/content", "/file-1/content"),
            ("/v1/models/openai/gpt-4.1", "/openai/gpt-4.1"),
            ("/v1/messages/batches/b/results", "/b/results"),
        ] {
            assert_eq!(find(path, false).unwrap().tail, tail, "{path}");
        }
    }

    #[test]
    fn the_version_header_makes_models_and_files_anthropics() {
        for path in ["/v1/models", "/v1/models/claude", "/v1/files", "/v1/files/f/content"] {
            assert_eq!(find(path, true).unwrap().dialect, Anthropic, "{path}");
            assert_eq!(find(path, true).unwrap().upstream_path, path);
            assert_eq!(find(path, false).unwrap().dialect, OpenaiChat, "{path}");
        }
        assert_eq!(find("/v1/chat/completions", true).unwrap().dialect, OpenaiChat);
    }

    #[test]
    fn passthrough_names_its_provider_and_stays_below_its_base_url() {
        let door = find("/passthrough/anthropic/v1/messages", false).unwrap();
        assert_eq!((door.operation, door.dialect), (Operation::Passthrough, Anthropic));
        assert_eq!((door.provider, door.upstream_path), (Some("anthropic"), "/v1/messages"));
        let door = find("/passthrough/x/any/thing", false).unwrap();
        assert_eq!((door.dialect, door.provider, door.upstream_path), (OpenaiChat, Some("x"), "/any/thing"));
        assert_eq!(find("/passthrough/x", false).unwrap().upstream_path, "/");
        for path in
            ["/passthrough/", "/passthrough//a", "/passthrough", "/passthrough/x/../y", "/passthrough/x/%2E%2e/y", "/passthrough/x/."]
        {
            assert_eq!(find(path, false), None, "{path}");
        }
    }

    #[test]
    fn other_paths_have_no_door() {
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/",
            "/v2/chat",
            "/v1/chat/completion",
            "/v1/chat/completions2",
            "/openai/deploymentsé/a/chat/completions",
            "/passthroughé/x",
            "é",
        ] {
            assert_eq!(find(path, false), None, "{path}");
        }
    }

    #[test]
    fn ids_are_percent_decoded() {
        assert_eq!(decode("gpt-4.1").unwrap(), "gpt-4.1");
        assert_eq!(decode("openai%2Fgpt%204%C3%a9").unwrap(), "openai/gpt 4é");
        for id in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(id).unwrap_err().kind, Kind::InvalidRequest, "{id}");
        }
    }
}
