//! Thought signatures on their way through clients of other dialects.
//!
//! Gemini 3 refuses a turn whose function call came without the signature that it was given with. The signature stands on the
//! call; other dialects have a place for one on thinking alone. So it goes to them as the signature of the thinking before the
//! call, under a seal that says whose it is, and comes back from there.
// ai.google.dev/gemini-api/docs/thought-signatures, read 2026-11-20.

use std::borrow::Cow;

use super::base64;

/// What a signature of this dialect begins with outside of it.
const SEAL: &str = "gemini#";

/// Takes the place of a signature that nobody has: the call was another model's, or its client keeps none. Base64 of
/// `skip_thought_signature_validator`, as recorded.
pub(super) const SKIP: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// What OpenAI's sealed reasoning begins with; it is in the URL alphabet of base64 by nature.
const FERNET: &str = "gAAAA";

pub(super) fn seal(signature: &str) -> String {
    format!("{SEAL}{signature}")
}

/// The signature under the seal, if it is this dialect's.
pub(super) fn unseal(sealed: &str) -> Option<&str> {
    sealed.strip_prefix(SEAL)
}

/// Another dialect's signature as it was: Google's SDKs hold it as bytes and write it in the URL alphabet.
fn foreign(signature: &str) -> Cow<'_, str> {
    if signature.starts_with(FERNET) { Cow::Borrowed(signature) } else { base64::standard(signature) }
}

/// Marks on what is no signature to Google's SDKs, which read base64: both have 18 bytes, so that they stand before the rest.
const REDACTED: &str = "redacted_thinking:";
const FOREIGN: &str = "foreign_signature:";

/// Sealed thinking as a signature that a client of this dialect sends back.
pub(super) fn of_redacted(data: &str) -> String {
    base64::encode(format!("{REDACTED}{data}").as_bytes())
}

/// Another dialect's signature as base64.
pub(super) fn of_foreign(signature: &str) -> Cow<'_, str> {
    match base64::decode(signature) {
        Some(_) => Cow::Borrowed(signature),
        None => base64::encode(format!("{FOREIGN}{signature}").as_bytes()).into(),
    }
}

/// What a signature on thinking is that a client sends back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Back<'a> {
    Signature(Cow<'a, str>),
    Redacted(String),
}

pub(super) fn back(signature: &str) -> Back<'_> {
    let under = |mark: &str| {
        let marked = base64::encode(mark.as_bytes());
        let rest = base64::standard(signature);
        String::from_utf8(base64::decode(rest.strip_prefix(&marked)?)?).ok()
    };
    if let Some(data) = under(REDACTED) {
        return Back::Redacted(data);
    }
    Back::Signature(under(FOREIGN).map_or_else(|| foreign(signature), Cow::Owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_comes_back() {
        assert_eq!(unseal(&seal("AB+/")), Some("AB+/"));
        assert_eq!(unseal("EqQB"), None);
        assert_eq!(back(&of_redacted("Em/+==")), Back::Redacted("Em/+==".into()));
        for signature in ["EqQB+/==", "no base64!", "gAAAAA-_"] {
            let sent = of_foreign(signature).into_owned();
            assert!(base64::decode(&sent).is_some());
            assert_eq!(back(&sent), Back::Signature(signature.into()));
        }
        // As an SDK writes it that holds bytes.
        assert_eq!(back("EqQB-_=="), Back::Signature("EqQB+/==".into()));
        assert_eq!(base64::decode(SKIP).as_deref(), Some(&b"skip_thought_signature_validator"[..]));
    }
}
