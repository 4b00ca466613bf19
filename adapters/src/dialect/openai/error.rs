//! OpenAI's error shape, `{"error":{"message","type","param","code"}}`, read and written.

use crate::fault::{Blame, Fault, Kind};
use crate::json::node::{self, Node, Object};
use crate::json::write;

/// Longest message of a provider that is passed on, bytes.
const MESSAGE_BYTES_MAX: usize = 2_048;
/// Longest error body that is looked at, bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// `type` by status; where none stands the code is the type too.
const TYPES: &[(u16, &str)] = &[
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (403, "permission_error"),
    (404, "invalid_request_error"),
    (409, "invalid_request_error"),
    (413, "invalid_request_error"),
    (415, "invalid_request_error"),
    (422, "invalid_request_error"),
    (431, "invalid_request_error"),
];

/// Words in a message that say that the prompt does not fit. Providers that only imitate the dialect have no code for it.
const CONTEXT_WORDS: &[&str] = &[
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "exceeds the available context size",
    "exceed context limit",
    "context length",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "reduce the length of the messages",
];

const FILTER_WORDS: &[&str] =
    &["content_filter", "content management policy", "responsibleaipolicyviolation", "content_policy_violation", "jailbreak"];

const SPEND_WORDS: &[&str] = &[
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_balance",
    "insufficient balance",
    "exceeded your current quota",
    "insufficient credits",
    "credit balance is too low",
];

// docs.anthropic.com "prefill", docs.mistral.ai "prefix"; both read 2026-11-20
const PREFILL_WORDS: &[&str] = &[
    "prefill",
    "must end with a user message",
    "last message must be user",
    "last message must be from the user",
    "last message must have role user",
    "last message must have role `user`",
    "last message must be a user message",
    "expected last role user",
    "final message must be a user",
];

/// What an error body says, whatever its nesting.
#[derive(Debug, Default)]
struct Said {
    message: Option<String>,
    code: Option<Box<str>>,
    kind: Option<Box<str>>,
    param: Option<Box<str>>,
    inner_code: Option<Box<str>>,
}

/// A provider's error answer → its fault.
pub(in crate::dialect) fn decode(status: u16, body: &[u8]) -> Fault {
    let said = read(body);
    let kind = match status {
        401 | 403 => Kind::UpstreamAuth,
        402 => Kind::UpstreamSpendCap,
        408 | 409 | 500.. => Kind::UpstreamError,
        429 if said.has(SPEND_WORDS) => Kind::UpstreamSpendCap,
        429 => Kind::UpstreamRateLimited,
        _ if said.has(SPEND_WORDS) => Kind::UpstreamSpendCap,
        _ if said.has(FILTER_WORDS) => Kind::ContentFilter,
        _ if said.has(PREFILL_WORDS) => Kind::PrefillRefused,
        _ if said.has(CONTEXT_WORDS) => Kind::ContextLength,
        _ => Kind::UpstreamRefused,
    };
    let mut fault = said.fault(kind, status);
    fault.upstream_status = Some(status);
    fault
}

/// The `error` object of a stream or of an answer with status 200.
pub(in crate::dialect) fn in_band(error: Node<'_>) -> Fault {
    let mut said = Said::default();
    said.take(error);
    let kind = if said.has(FILTER_WORDS) {
        Kind::ContentFilter
    } else if said.has(CONTEXT_WORDS) {
        Kind::ContextLength
    } else {
        Kind::UpstreamInBand
    };
    let code = said.code.take();
    let mut fault = said.fault(kind, 200);
    fault.code = code;
    fault
}

/// The body of an error answer.
pub(in crate::dialect) fn encode(fault: &Fault, out: &mut Vec<u8>) {
    out.push(b'{');
    write::key(out, "error");
    write::open(out);
    write::text(out, "message", &fault.message);
    write::text(out, "type", type_name(fault));
    write::text_or_null(out, "param", fault.param.as_deref());
    write::text(out, "code", fault.code());
    write::close(out);
    write::close(out);
}

fn type_name(fault: &Fault) -> &'static str {
    let status = fault.status();
    TYPES.iter().find(|row| row.0 == status).map_or(fault.kind.code(), |row| row.1)
}

fn read(body: &[u8]) -> Said {
    let mut said = Said::default();
    if body.len() > BODY_BYTES_MAX {
        return said;
    }
    match node::parse(body) {
        Ok(node) => said.take(node),
        Err(_) => said.message = plain_text(body),
    }
    said
}

/// A body that is neither JSON nor a page of markup may be one line of reason.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    (!text.is_empty() && text.len() <= 300 && !text.starts_with('<')).then(|| text.to_owned())
}

impl Said {
    fn take(&mut self, node: Node<'_>) {
        match node {
            Node::Text(text) => self.message = Some(text.into_owned()),
            // Some imitations wrap the error in a list of one.
            Node::List(list) => {
                if let Some(first) = list.into_iter().find(|node| matches!(node, Node::Object(_))) {
                    self.take_object(first);
                }
            }
            node @ Node::Object(_) => self.take_object(node),
            _ => {}
        }
    }

    fn take_object(&mut self, node: Node<'_>) {
        let Node::Object(mut object) = node else { return };
        let inner = object.take_if("error", |node| matches!(node, Node::Object(_) | Node::Text(_)));
        self.take_fields(&mut object);
        match inner {
            Some(Node::Object(mut error)) => {
                self.take_fields(&mut error);
                self.take_relayed(error);
            }
            Some(Node::Text(text)) => self.message = Some(text.into_owned()),
            _ => {}
        }
    }

    /// What a router's own provider said, which it hands on in `metadata.raw`: OpenRouter's form, recorded.
    fn take_relayed(&mut self, mut error: Object<'_>) {
        let raw = error.take_object("metadata").and_then(|mut metadata| metadata.take("raw"));
        let relayed = match raw {
            Some(Node::Text(text)) => read(text.as_bytes()).message,
            Some(Node::Object(mut object)) => object.take_text("message").map(|text| text.into_owned()),
            _ => None,
        };
        if let (Some(message), Some(relayed)) = (&mut self.message, relayed) {
            message.push_str(": ");
            message.push_str(&relayed);
        }
    }

    fn take_fields(&mut self, object: &mut Object<'_>) {
        for name in ["message", "detail", "error_description"] {
            if let Some(text) = object.take_text(name) {
                self.message = Some(text.into_owned());
                break;
            }
        }
        if let Some(code) = object.take("code").and_then(word) {
            self.code = Some(code);
        }
        if let Some(kind) = object.take("type").and_then(word) {
            self.kind = Some(kind);
        }
        if let Some(param) = object.take_text("param") {
            self.param = Some(param.into());
        }
        if let Some(mut inner) = object.take_object("innererror") {
            self.inner_code = inner.take_text("code").map(Into::into);
        }
    }

    fn has(&self, words: &[&str]) -> bool {
        let fields = [self.code.as_deref(), self.kind.as_deref(), self.inner_code.as_deref(), self.message.as_deref()];
        fields.into_iter().flatten().any(|field| {
            let field = bounded(field).to_ascii_lowercase();
            words.iter().any(|word| field.contains(word))
        })
    }

    fn fault(self, kind: Kind, status: u16) -> Fault {
        // The provider's words on 401 and 403 may quote our key.
        let message = match (kind, self.message) {
            (Kind::UpstreamAuth, _) => {
                let code = self.code.as_deref().unwrap_or("no code");
                format!("the provider refused the gateway's credential with status {status} ({code}); check the provider's key")
            }
            (_, Some(message)) if !message.is_empty() => bounded(&message).to_owned(),
            (Kind::UpstreamInBand, _) => "the provider reported an error inside its answer without a reason".to_owned(),
            _ => format!("the provider answered with status {status} and gave no reason"),
        };
        let mut fault = Fault::new(kind, message);
        // A code of a fault that is not the client's to mend would hide ours.
        if kind.blame() == Blame::Client || kind == Kind::UpstreamSpendCap {
            fault.code = self.code.filter(|code| code.parse::<u16>().is_err());
            fault.param = self.param;
        }
        fault
    }
}

/// A code as a word; some providers give a number.
fn word(node: Node<'_>) -> Option<Box<str>> {
    match node {
        Node::Text(text) if !text.is_empty() => Some(text.into()),
        Node::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_and_its_status_give_the_kind() {
        let rows: &[(u16, &str, Kind)] = &[
            (400, r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#, Kind::ContextLength),
            (400, r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#, Kind::ContextLength),
            (
                400,
                r#"{"error":{"message":"x","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                Kind::ContentFilter,
            ),
            (400, r#"{"error":{"message":"x","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#, Kind::ContentFilter),
            (401, r#"{"error":{"message":"Incorrect API key provided: sk-1","code":"invalid_api_key"}}"#, Kind::UpstreamAuth),
            (403, "", Kind::UpstreamAuth),
            (402, "", Kind::UpstreamSpendCap),
            (429, r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#, Kind::UpstreamSpendCap),
            (429, r#"{"error":{"code":"RateLimitReached","message":"slow"}}"#, Kind::UpstreamRateLimited),
            (408, "", Kind::UpstreamError),
            (409, "", Kind::UpstreamError),
            (500, "null", Kind::UpstreamError),
            (503, "<html>", Kind::UpstreamError),
            (400, r#"{"error":{"message":"This model does not support assistant message prefill."}}"#, Kind::PrefillRefused),
            (404, r#"{"error":{"message":"no","code":"model_not_found"}}"#, Kind::UpstreamRefused),
            (400, r#"[{"error":{"message":"no"}}]"#, Kind::UpstreamRefused),
            (422, "plain words", Kind::UpstreamRefused),
            (
                400,
                r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"maximum context length is 9\"}}"}}}"#,
                Kind::ContextLength,
            ),
        ];
        for (status, body, kind) in rows {
            let fault = decode(*status, body.as_bytes());
            assert_eq!(fault.kind, *kind, "{status} {body}");
            assert_eq!(fault.upstream_status, Some(*status));
            assert!(!fault.message.is_empty());
        }
    }

    #[test]
    fn a_refusal_keeps_the_providers_words() {
        let body = br#"{"error":{"message":"Invalid 'temperature'","type":"invalid_request_error","param":"temperature","code":"decimal_above_max_value"}}"#;
        let fault = decode(400, body);
        let mut out = Vec::new();
        encode(&fault, &mut out);
        assert_eq!(out, body);
    }

    #[test]
    fn what_a_router_relays_is_told() {
        let body =
            br#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"too small\"}}"}}}"#;
        assert_eq!(decode(400, body).message, "Provider returned error: too small");
        let deep = format!(r#"{{"error":{{"message":"m","metadata":{{"raw":{:?}}}}}}}"#, "[".repeat(9_000));
        assert_eq!(decode(400, deep.as_bytes()).message, "m");
    }

    #[test]
    fn a_refused_credential_is_never_quoted() {
        let fault = decode(401, br#"{"error":{"message":"Incorrect API key provided: sk-secret","code":"invalid_api_key"}}"#);
        assert!(!fault.message.contains("sk-secret"));
        assert_eq!((fault.status(), fault.code()), (502, "upstream_error"));
    }

    #[test]
    fn the_gateways_own_codes_stand_in_the_contracts_words() {
        let rows = [
            (Kind::InvalidKey, "authentication_error", "invalid_api_key"),
            (Kind::ModelNotAllowed, "permission_error", "model_not_allowed"),
            (Kind::ModelNotFound, "invalid_request_error", "model_not_found"),
            (Kind::BudgetExceeded, "budget_exceeded", "budget_exceeded"),
            (Kind::RateLimited, "rate_limit_exceeded", "rate_limit_exceeded"),
            (Kind::UpstreamTimeout, "upstream_timeout", "upstream_timeout"),
        ];
        for (kind, name, code) in rows {
            let mut out = Vec::new();
            encode(&Fault::new(kind, "x"), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!(r#""type":"{name}","param":null,"code":"{code}""#)), "{text}");
        }
    }
}
