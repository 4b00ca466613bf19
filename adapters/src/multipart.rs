//! Forms (`multipart/form-data`, RFC 7578): the few fields that the gateway reads, found while the rest is still on its way.
//!
//! Estimate: one search for the boundary over the bytes that are there; each byte is looked at once, however often more of them come.
//! Files are stepped over and never copied.

use std::ops::Range;

use memchr::memmem;

/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// Longest head of a part, bytes. A longer one is no field that is read here.
const PART_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Longest value that is read, bytes.
const VALUE_BYTES_MAX: usize = 1024;

/// The fields of a form that were found so far. Spans are of the values in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub model: Option<Range<usize>>,
    /// `stream` is `true`.
    pub is_stream: bool,
    pub n: Option<u64>,
}

/// Reads a form whose bytes come little by little.
#[derive(Clone, Debug)]
pub struct FormReader {
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    /// Where the part begins that is not read yet: at its delimiter.
    at: usize,
    /// Bytes in which no delimiter stands behind `at`'s own.
    searched: usize,
    form: Form,
    ended: bool,
}

impl FormReader {
    /// `None` where `content_type` is no form.
    pub fn of_content_type(content_type: &str) -> Option<FormReader> {
        let (kind, parameters) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
        })?;
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            return None;
        }
        let delimiter = format!("--{boundary}").into_bytes();
        Some(FormReader { delimiter, at: 0, searched: 0, form: Form::default(), ended: false })
    }

    /// Takes in `body`, which begins with all that was there at the last call. Parts that are whole are read.
    pub fn read(&mut self, body: &[u8]) {
        while !self.ended {
            let start = self.at + self.delimiter.len();
            if body.get(self.at..start) != Some(&self.delimiter) {
                // A preamble is allowed, and nobody sends one.
                self.ended = body.len() >= start;
                return;
            }
            if body.get(start..start + 2) == Some(b"--") {
                self.ended = true;
                return;
            }
            let from = self.searched.max(start);
            let Some(found) = memmem::find(body.get(from..).unwrap_or_default(), &self.delimiter) else {
                self.searched = body.len().saturating_sub(self.delimiter.len());
                return;
            };
            let next = from + found;
            self.part(body, start, next);
            (self.at, self.searched) = (next, next);
        }
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    /// All of the form was there.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// One part: line end, head, blank line, value, line end.
    fn part(&mut self, body: &[u8], start: usize, end: usize) {
        let window = &body[start..end.min(start + PART_HEAD_BYTES_MAX)];
        let Some(head_len) = memmem::find(window, b"\r\n\r\n") else { return };
        let Some(name) = field_name(&window[..head_len]) else { return };
        let value = start + head_len + 4..end.saturating_sub(2);
        if value.start > value.end || value.len() > VALUE_BYTES_MAX {
            return;
        }
        let text = std::str::from_utf8(&body[value.clone()]).unwrap_or_default();
        match name {
            // Of fields that stand twice, the providers' own servers take the last one, too.
            "model" => self.form.model = Some(value),
            "stream" => self.form.is_stream = text.eq_ignore_ascii_case("true") || text == "1",
            "n" => self.form.n = text.trim().parse().ok(),
            _ => {}
        }
    }
}

/// The name of a field that is no file.
fn field_name(head: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let mut parameters = disposition.split(';').map(str::trim).skip(1);
    let is_file = parameters.clone().any(|parameter| parameter.starts_with("filename"));
    let name = parameters.find_map(|parameter| parameter.strip_prefix("name="))?;
    (!is_file).then(|| name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"xYz\"";
    const BODY: &str = "--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/whisper-1\r\n\
        --xYz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n--xY--\r\nRIFF\r\n\
        --xYz\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--xYz--\r\n";

    #[test]
    fn fields_are_found_wherever_the_bytes_are_cut() {
        let mut whole = FormReader::of_content_type(TYPE).unwrap();
        whole.read(BODY.as_bytes());
        assert!(whole.is_ended() && whole.form().is_stream);
        assert_eq!(&BODY[whole.form().model.clone().unwrap()], "openai/whisper-1");
        for cut in 0..BODY.len() {
            let mut reader = FormReader::of_content_type(TYPE).unwrap();
            reader.read(&BODY.as_bytes()[..cut]);
            assert!(!reader.is_ended() || cut + 2 >= BODY.len(), "{cut}");
            reader.read(BODY.as_bytes());
            assert_eq!(reader.form(), whole.form(), "{cut}");
            assert!(reader.is_ended());
        }
        let mut reader = FormReader::of_content_type(TYPE).unwrap();
        (0..=BODY.len()).for_each(|end| reader.read(&BODY.as_bytes()[..end]));
        assert_eq!(reader.form(), whole.form());
    }

    #[test]
    fn what_is_no_form_has_no_fields() {
        for content_type in ["application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=a"] {
            assert!(FormReader::of_content_type(content_type).is_none(), "{content_type}");
        }
        for body in ["", "{}", "--xYz", "--xYz--", "--xYz\r\n\r\n--xYz--", "--xYzContent--xYz"] {
            let mut reader = FormReader::of_content_type(TYPE).unwrap();
            reader.read(body.as_bytes());
            assert_eq!(reader.form(), &Form::default(), "{body}");
        }
    }
}
