//! Doors: the paths that clients speak to, and which dialect and operation each one is.
//!
//! Estimate: a path without an id is found by its hash (`known`), any other by trying the rows; nothing is allocated.

mod known;

use std::borrow::Cow;

use crate::dialect::DialectId;
use crate::dialect::doors::{Opens, PREFIXES, Row, UNKNOWN};
use crate::fault::{Fault, Kind};
use crate::ir::Mode;
use crate::operation::Operation;
use crate::path;

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
    /// How the answer comes, where the path says it; else the body does.
    pub mode: Option<Mode>,
    /// What goes below the provider's base URL on a same-dialect target: the path without the door's own prefix,
    /// always with a leading slash (`/chat/completions`, `/v1/messages`).
    pub upstream_path: &'a str,
    /// What follows the operation's own path, with its slash (`/file-1/content`); mostly empty. It goes behind the path
    /// under which a provider serves the operation.
    pub tail: &'a str,
    /// `id` is a deployment, whatever the operation.
    pub is_deployment: bool,
    /// What the path of a passthrough is known to ask.
    pub passes: Option<Operation>,
}

impl<'a> Door<'a> {
    /// The model that the path names; it wins over the body's, as it does at the providers whose paths these are.
    pub fn model(&self) -> Option<&'a str> {
        let of_model = match self.operation {
            Operation::Chat | Operation::Complete | Operation::Embed | Operation::CountTokens | Operation::Rerank => true,
            // Of a deployment; else their id is what is asked of the images.
            Operation::Image | Operation::Transcribe | Operation::Speech => self.is_deployment,
            _ => false,
        };
        self.id.filter(|_| of_model)
    }

    /// The id of something that an earlier answer made: a file, a batch, a stored answer.
    pub fn stored_id(&self) -> Option<&'a str> {
        let is_stored = matches!(self.operation, Operation::Files | Operation::Batch | Operation::Passthrough) && self.provider.is_none();
        self.id.filter(|_| is_stored)
    }

    /// What the path's id names is of the key alone that made it: an answer that the provider keeps.
    pub fn binds_to_key(&self) -> bool {
        self.operation == Operation::Passthrough && self.id.is_some() && self.dialect.row().stored_id().is_some()
    }

    /// What is asked, also where the path of a passthrough asks it.
    pub fn asks(&self) -> Operation {
        self.passes.unwrap_or(self.operation)
    }

    /// The members of its body that name what an earlier request stored.
    pub fn references(&self) -> &'static [&'static str] {
        self.dialect.row().references(self.asks())
    }

    /// Its answers are kept by the provider, or its path names one that is.
    fn is_of_stored(&self) -> bool {
        self.binds_to_key() || (self.operation == Operation::Chat && self.dialect.row().stored_id().is_some())
    }
}

/// Finds the door of `path` (no query). `has` says whether the request carries a header field, which decides whose paths are that several
/// providers have, as `/v1/models` and `/v1/files`. `None` is a 404 in OpenAI's shape.
pub fn find<'a>(path: &'a str, has: &dyn Fn(&str) -> bool) -> Option<Door<'a>> {
    known::find(path).or_else(|| by_rows(path, has))
}

fn by_rows<'a>(path: &'a str, has: &dyn Fn(&str) -> bool) -> Option<Door<'a>> {
    // A base URL with a trailing slash makes two of them.
    let path = if path.starts_with("//") { &path[1..] } else { path };
    if path::climbs(path) {
        return None;
    }
    PREFIXES.iter().find_map(|prefix| {
        let rest = after(path, prefix.path.as_bytes()).filter(|rest| rest.starts_with('/'))?;
        let door = match prefix.opens {
            Opens::Rows(table) => rows(table, rest),
            Opens::Deployment(table) => deployment(table, rest),
            Opens::Provider(tables) => passthrough(tables, rest),
        };
        // The head is looked through for few paths alone.
        door.filter(|_| prefix.header.is_none_or(has))
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
    rows.iter().find_map(|&(pattern, operation, dialect, mode)| {
        let (id, tail) = matches(pattern, path)?;
        Some(Door { operation, dialect, provider: None, id, mode, upstream_path: path, tail, is_deployment: false, passes: None })
    })
}

/// The id in `path` and what follows the pattern's stem, if it fits.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<(Option<&'a str>, &'a str)> {
    // Bytes, not characters: this runs for each row until one fits.
    let pattern = pattern.as_bytes();
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else {
        return after(path, pattern).filter(|rest| rest.is_empty()).map(|rest| (None, rest));
    };
    let rest = after(path, &pattern[..star]).filter(|rest| !rest.is_empty())?;
    let end = &pattern[star + 1..];
    let id = match end {
        [] => rest.split('/').next().unwrap_or(rest),
        b"*" => rest,
        [b':', verb @ ..] => rest.rsplit_once(':').filter(|(_, own)| own.as_bytes() == verb)?.0,
        [b'*', verb @ ..] => rest.as_bytes().strip_suffix(verb).and_then(|id| rest.get(..id.len())).filter(|id| !id.is_empty())?,
        more => {
            // This star is a segment that nobody asks for; the next one is the id.
            let at = rest.find('/').filter(|at| *at > 0)?;
            let more = std::str::from_utf8(more).ok()?;
            return matches(more, &rest[at..]);
        }
    };
    Some((Some(id).filter(|id| !id.is_empty()), &path[star - 1..]))
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
        (door.operation != Operation::Models).then_some(Door { id: Some(&path[1..at]), is_deployment: true, ..door })
    })
}

/// `/PROVIDER/…`. The dialect is that of the path, if it is a known one, so that usage can be read.
fn passthrough<'a>(tables: &[&[Row]], path: &'a str) -> Option<Door<'a>> {
    let path = path.strip_prefix('/')?;
    let (provider, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    if provider.is_empty() {
        return None;
    }
    let known = tables.iter().find_map(|table| rows(table, rest).or_else(|| rows(table, rest.strip_prefix("/v1")?)));
    let known = stored(tables, rest).or(known);
    // A spelling that only the provider understands would get around the key that a stored answer is of.
    if known.as_ref().is_none_or(|door| !door.is_of_stored()) && path::plain(rest).is_some_and(|plain| stored(tables, &plain).is_some()) {
        return None;
    }
    Some(Door {
        operation: Operation::Passthrough,
        dialect: known.as_ref().map_or(UNKNOWN, |door| door.dialect),
        provider: Some(provider),
        id: known.as_ref().and_then(|door| door.id),
        mode: known.as_ref().and_then(|door| door.mode),
        upstream_path: if rest.is_empty() { "/" } else { rest },
        tail: "",
        is_deployment: false,
        passes: known.as_ref().map(|door| door.operation),
    })
}

/// What is of one key alone in `path`, or makes such a thing, wherever its operation's path begins: a base URL may end before or behind
/// the version.
fn stored<'a>(tables: &[&[Row]], path: &'a str) -> Option<Door<'a>> {
    let mut begins = path.match_indices('/').map(|(at, _)| &path[at..]);
    begins.find_map(|path| tables.iter().find_map(|table| rows(table, path)).filter(Door::is_of_stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DialectId::{Anthropic, Cohere, CohereV1, Gemini, Ollama, OpenaiChat, OpenaiCompletions, OpenaiResponses};

    /// Of a request that carries `anthropic-version`, or nothing that matters.
    fn find(path: &str, anthropic_version: bool) -> Option<Door<'_>> {
        super::find(path, &|name| anthropic_version && name == "anthropic-version")
    }

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
            ("/v1/completions", Operation::Chat, OpenaiCompletions, None, "/completions"),
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
            ("/v2/chat", Operation::Chat, Cohere, None, "/v2/chat"),
            ("/cohere/v2/rerank", Operation::Rerank, Cohere, None, "/v2/rerank"),
            ("/v1/chat", Operation::Chat, CohereV1, None, "/v1/chat"),
            ("/v1/embed", Operation::Embed, CohereV1, None, "/v1/embed"),
            ("/cohere/v1/rerank", Operation::Rerank, CohereV1, None, "/v1/rerank"),
            ("/api/chat", Operation::Chat, Ollama, None, "/api/chat"),
            ("/api/generate", Operation::Complete, Ollama, None, "/api/generate"),
            ("/openai/deployments/gpt%204o/chat/completions", Operation::Chat, OpenaiChat, Some("gpt%204o"), "/chat/completions"),
            ("/openai/deployments/openai/gpt-4o/embeddings", Operation::Embed, OpenaiChat, Some("openai/gpt-4o"), "/embeddings"),
            ("/openai/deployments/d/completions", Operation::Chat, OpenaiCompletions, Some("d"), "/completions"),
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
    fn the_key_field_of_geminis_sdk_makes_models_geminis() {
        let find = |path| super::find(path, &|name| name == "x-goog-api-key").map(|door| door.dialect);
        for path in ["/v1/models", "/v1/models/gemini/m", "/v1beta/models"] {
            assert_eq!(find(path), Some(Gemini), "{path}");
        }
        assert_eq!(find("/v1/chat/completions"), Some(OpenaiChat));
        assert_eq!(find("/v1/files"), Some(OpenaiChat));
    }

    #[test]
    fn a_passthrough_knows_what_its_path_asks() {
        for (path, dialect, passes) in [
            ("/v1/messages", Anthropic, Some(Operation::Chat)),
            ("/chat/completions", OpenaiChat, Some(Operation::Chat)),
            ("/v1/files/file-1", OpenaiChat, Some(Operation::Files)),
            ("/openai/v1/responses", OpenaiResponses, Some(Operation::Chat)),
            ("/responses/resp_1", OpenaiResponses, Some(Operation::Passthrough)),
            ("/any/thing", OpenaiChat, None),
        ] {
            let path = format!("/passthrough/x{path}");
            let door = find(&path, false).unwrap();
            assert_eq!((door.operation, door.dialect, door.passes), (Operation::Passthrough, dialect, passes), "{path}");
        }
        assert_eq!(find("/v1/files", false).unwrap().passes, None);
        // What makes an answer that is stored has one spelling, too.
        for path in ["/v1/%72esponses", "/v1/Responses", "/v1%2Fresponses"] {
            assert_eq!(find(&format!("/passthrough/x{path}"), false), None, "{path}");
        }
    }

    #[test]
    fn passthrough_names_its_provider_and_stays_below_its_base_url() {
        let door = find("/passthrough/anthropic/v1/messages", false).unwrap();
        assert_eq!((door.operation, door.dialect), (Operation::Passthrough, Anthropic));
        assert_eq!((door.provider, door.upstream_path), (Some("anthropic"), "/v1/messages"));
        let door = find("/passthrough/x/any/thing", false).unwrap();
        assert_eq!((door.dialect, door.provider, door.upstream_path), (OpenaiChat, Some("x"), "/any/thing"));
        assert_eq!(find("/passthrough/x", false).unwrap().upstream_path, "/");
        for path in [
            "/passthrough/",
            "/passthrough//a",
            "/passthrough",
            "/passthrough/x/../y",
            "/passthrough/x/%2E%2e/y",
            "/passthrough/x/.",
            "/passthrough/x/%2e%2e%2fy",
            "/passthrough/x/a/..%5cy",
            "/passthrough/x/%zz/%2e%2e/y",
        ] {
            assert_eq!(find(path, false), None, "{path}");
        }
    }

    #[test]
    fn what_is_carried_does_not_climb_to_another_operation() {
        for path in [
            "/v1/files/../chat/completions",
            "/v1/files/..%2Fchat/completions",
            "/v1/files/x/../../responses/resp_1",
            "/v1/responses/%2e%2e/chat/completions",
            "/v1/messages/batches/../../messages",
            "/v1/threads/./../chat/completions",
        ] {
            assert_eq!(find(path, false), None, "{path}");
        }
        for path in ["/v1/files/file..1/content", "/v1/files/file-1.jsonl", "/v1/models/openai/gpt-4.1", "/passthrough/x/a.b/..c"] {
            assert!(find(path, false).is_some(), "{path}");
        }
    }

    #[test]
    fn a_stored_answer_is_bound_in_every_spelling_or_has_no_door() {
        for path in ["/responses/resp_1", "/v1/responses/resp_1/cancel", "/openai/v1/responses/resp_1", "/a/b/responses/resp_1"] {
            let path = format!("/passthrough/x{path}");
            let door = find(&path, false).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((door.binds_to_key(), door.id), (true, Some("resp_1")), "{path}");
            assert_eq!(Some(door.upstream_path), path.strip_prefix("/passthrough/x"));
        }
        for path in [
            "/v1/%72esponses/resp_1",
            "/v1/%2572esponses/resp_1",
            "/v1/responses%2Fresp_1",
            "/v1%2fresponses/resp_1",
            "/v1/responses//resp_1",
            "/v1/responses\\resp_1",
            "/v1/Responses/resp_1",
            "/v1/responses;a=b/resp_1",
            "/v1/files/%2e%2e%2Fresponses/resp_1",
            "/%72esponses/resp_1/%zz",
        ] {
            assert_eq!(find(&format!("/passthrough/x{path}"), false), None, "{path}");
        }
        for path in ["/v1/files/../responses/resp_1", "/v1/files/x%2F..%2F..%2Fresponses/resp_1", "/v1/audio/%2e%2e/responses/resp_1"] {
            assert_eq!(find(path, false), None, "{path}");
        }
        // Only stored answers are: all else that is escaped goes by as it came.
        for path in ["/v1/%66iles/file-1", "/v1/models/a%2Fb", "/v1/responses", "/v1//x", "/v1/%zz"] {
            let path = format!("/passthrough/x{path}");
            assert!(find(&path, false).is_some_and(|door| !door.binds_to_key()), "{path}");
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
            "/v3/chat",
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
    fn geminis_and_vertexs_verbs_say_what_is_asked() {
        use crate::ir::Mode::{Stream, Whole};
        let google = "/v1/projects/p/locations/l/publishers/google/models/gemini-x";
        let claude = "/v1beta1/projects/p/locations/l/publishers/anthropic/models/claude-x@1";
        for (path, operation, dialect, id, mode) in [
            ("/v1beta/models/m:generateContent".to_owned(), Operation::Chat, Gemini, "m", Whole),
            ("/v1/models/openai/gpt-x:streamGenerateContent".to_owned(), Operation::Chat, Gemini, "openai/gpt-x", Stream),
            ("/gemini/v1beta/models/m:countTokens".to_owned(), Operation::CountTokens, Gemini, "m", Whole),
            ("/genai/models/m:embedContent".to_owned(), Operation::Embed, Gemini, "m", Whole),
            ("/v1beta/models/m:batchEmbedContents".to_owned(), Operation::Embed, Gemini, "m", Whole),
            ("/v1beta/models/gemini/m".to_owned(), Operation::Models, Gemini, "gemini/m", Whole),
            (format!("{google}:streamGenerateContent"), Operation::Chat, Gemini, "gemini-x", Stream),
            (format!("{claude}:rawPredict"), Operation::Chat, Anthropic, "claude-x@1", Whole),
            (format!("{claude}:streamRawPredict"), Operation::Chat, Anthropic, "claude-x@1", Stream),
        ] {
            let door = find(&path, false).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((door.operation, door.dialect, door.id, door.mode), (operation, dialect, Some(id), Some(mode)), "{path}");
        }
        assert_eq!(find("/v1/models/gpt-4.1", false).unwrap().dialect, OpenaiChat);
    }

    #[test]
    fn verbs_follow_the_id() {
        for (pattern, path, id) in [
            ("/models/*:generateContent", "/models/gemini-2.0:generateContent", Some("gemini-2.0")),
            ("/models/*:generateContent", "/models/ft:x/y:z:generateContent", Some("ft:x/y:z")),
            ("/models/*:generateContent", "/models/gemini-2.0:countTokens", None),
            ("/models/*:generateContent", "/models/gemini-2.0", None),
            ("/model/**/converse", "/model/arn%3Aaws%2Fx/converse", Some("arn%3Aaws%2Fx")),
            ("/model/**/converse", "/model/a/b/converse", Some("a/b")),
            ("/model/**/converse", "/model/converse", None),
            ("/model/**/converse", "/model//converse", None),
            ("/model/**/converse", "/model/a/converse-stream", None),
            (
                "/projects/*/locations/*/publishers/*/models/*:rawPredict",
                "/projects/p/locations/l/publishers/g/models/m:rawPredict",
                Some("m"),
            ),
            ("/projects/*/models/*:rawPredict", "/projects//models/m:rawPredict", None),
            ("/files/*", "/files/f/content", Some("f")),
            ("/models/**", "/models/a/b", Some("a/b")),
        ] {
            assert_eq!(matches(pattern, path).and_then(|(id, _)| id), id, "{pattern} {path}");
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
