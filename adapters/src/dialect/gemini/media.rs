//! Pictures, sound and documents of a request: `inlineData` and `fileData` against the hub's parts.

use std::borrow::Cow;

use super::base64;
use crate::ir::{PartKind, Source};

/// Where files that were uploaded to the provider live.
const UPLOADED: &[&str] = &["gs://", "files/", "https://generativelanguage.googleapis.com/"];

/// Media types by the ending of a file's name.
const ENDINGS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/md"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("aac", "audio/aac"),
    ("mp4", "video/mp4"),
    ("mov", "video/mov"),
    ("webm", "video/webm"),
];

/// Sound by the names that other dialects have for it.
const FORMATS: &[(&str, &str)] =
    &[("wav", "audio/wav"), ("mp3", "audio/mp3"), ("mp3", "audio/mpeg"), ("flac", "audio/flac"), ("opus", "audio/opus")];

/// The part that inline data is; `None` for what the hub has no word for (video).
pub(super) fn inline<'a>(media_type: &'a str, data: &'a str, name: Option<&'a str>) -> Option<PartKind<'a>> {
    let text = || {
        let bytes = base64::decode(data)?;
        String::from_utf8(bytes).ok()
    };
    if media_type.starts_with("text/")
        && let Some(text) = text()
    {
        let source = Source::Text { media_type: media_type.into(), text: text.into() };
        return Some(PartKind::Document { source, name: name.map(Cow::Borrowed) });
    }
    let source = Source::Base64 { media_type: media_type.into(), data: base64::standard(data) };
    of_type(media_type, source, name)
}

/// The part that a file is.
pub(super) fn file<'a>(uri: &'a str, media_type: Option<&'a str>) -> Option<PartKind<'a>> {
    let is_uploaded = UPLOADED.iter().any(|stem| uri.starts_with(stem));
    let source = if is_uploaded { Source::FileId(uri.into()) } else { Source::Url(uri.into()) };
    of_type(media_type.or_else(|| type_of(uri))?, source, None)
}

fn of_type<'a>(media_type: &'a str, source: Source<'a>, name: Option<&'a str>) -> Option<PartKind<'a>> {
    let plain = media_type.split(';').next().unwrap_or(media_type).trim();
    let (class, rest) = plain.split_once('/')?;
    match class {
        "image" => Some(PartKind::Image { source, detail: None }),
        "audio" => Some(PartKind::Audio { source, format: FORMATS.iter().find(|row| row.1 == plain).map_or(rest, |row| row.0).into() }),
        "text" | "application" => Some(PartKind::Document { source, name: name.map(Cow::Borrowed) }),
        _ => None,
    }
}

/// The media type that a URL's ending tells.
pub(super) fn type_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
    ENDINGS.iter().find(|row| row.0.eq_ignore_ascii_case(ending)).map(|row| row.1)
}

/// The media type of sound that another dialect calls `format`.
pub(super) fn type_of_format(format: &str) -> Cow<'static, str> {
    FORMATS.iter().find(|row| row.0 == format).map_or_else(|| format!("audio/{format}").into(), |row| row.1.into())
}

/// A file's name means something to this provider.
pub(super) fn is_uploaded(uri: &str) -> bool {
    UPLOADED.iter().any(|stem| uri.starts_with(stem))
}

/// The media type and the data of `data:TYPE;base64,DATA` (RFC 2397).
pub(super) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or(media_type), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_tell_what_a_part_is() {
        assert!(
            matches!(inline("image/png", "_-8=", None), Some(PartKind::Image { source: Source::Base64 { data, .. }, .. }) if data == "/+8=")
        );
        assert!(matches!(inline("audio/mpeg", "AA", None), Some(PartKind::Audio { format, .. }) if format == "mp3"));
        assert!(
            matches!(inline("application/pdf", "AA", Some("a.pdf")), Some(PartKind::Document { name: Some(name), .. }) if name == "a.pdf")
        );
        assert!(
            matches!(inline("text/csv", "YSxi", None), Some(PartKind::Document { source: Source::Text { text, .. }, .. }) if text == "a,b")
        );
        assert!(inline("video/mp4", "AA", None).is_none());
    }

    #[test]
    fn files_are_the_providers_own_or_of_the_web() {
        assert!(matches!(file("gs://b/x.pdf", None), Some(PartKind::Document { source: Source::FileId(_), .. })));
        assert!(matches!(file("https://x.org/a/B.JPG?q=1.pdf", None), Some(PartKind::Image { source: Source::Url(_), .. })));
        assert!(file("https://youtu.be/lCdaVNyHtjU", None).is_none());
        assert!(file("https://youtu.be/lCdaVNyHtjU", Some("video/mp4")).is_none());
    }
}
