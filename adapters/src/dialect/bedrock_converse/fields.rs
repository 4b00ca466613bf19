//! Words of Converse requests that both directions use.

use crate::ir::CacheMark;
use crate::json::tree::Json;

/// Under these names of `Chat::extra` stand fields of `additionalModelRequestFields`, each by itself, so that the loss of one is
/// weighed by itself.
pub(super) const MODEL_FIELD: &str = "additionalModelRequestFields.";

/// Fields of `additionalModelRequestFields` that say how much to think. Where one of them rides along as it came, the hub's
/// `reasoning` is not written a second time.
pub(super) const REASONING_FIELDS: &[&str] = &["thinking", "reasoning_config", "reasoning_effort", "reasoningConfig", "output_config"];

/// A media type and the word for it. The first row of a word or a type counts.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html, …_DocumentBlock.html, read 2026-11-20
const IMAGES: &[(&str, &str)] =
    &[("image/png", "png"), ("image/jpeg", "jpeg"), ("image/gif", "gif"), ("image/webp", "webp"), ("image/jpg", "jpeg")];

const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
];

pub(super) fn image_type(format: &str) -> Option<&'static str> {
    IMAGES.iter().find(|row| row.1 == format).map(|row| row.0)
}

pub(super) fn image_format(media_type: &str) -> Option<&'static str> {
    IMAGES.iter().find(|row| row.0 == media_type).map(|row| row.1)
}

pub(super) fn document_type(format: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|row| row.1 == format).map(|row| row.0)
}

pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|row| row.0 == media_type).map(|row| row.1)
}

/// The mark that a `cachePoint` is, if the hub has a word for it.
pub(super) fn cache_mark(point: Json<'_, '_>) -> Option<CacheMark> {
    let is_known = point.get_str("type") == Some("default") && point.object()?.all(|(name, _)| matches!(name, "type" | "ttl"));
    match point.get("ttl").map(Json::str) {
        None | Some(Some("5m")) if is_known => Some(CacheMark::Minutes5),
        Some(Some("1h")) if is_known => Some(CacheMark::Hour1),
        _ => None,
    }
}

/// The block that is a cache mark.
pub(super) fn cache_point(mark: CacheMark) -> &'static [u8] {
    match mark {
        CacheMark::Minutes5 => br#"{"cachePoint":{"type":"default"}}"#,
        CacheMark::Hour1 => br#"{"cachePoint":{"type":"default","ttl":"1h"}}"#,
    }
}
