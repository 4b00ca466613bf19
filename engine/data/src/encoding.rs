//! Content codings: what a client or a provider compressed is decoded, bounded.

use std::io::{Read, Write};

use ringway_adapters::fault::{Fault, Kind};

/// The codings that `decode` takes.
const KNOWN: &str = "gzip, zstd, br";

/// Decodes a compressed request body, at most `bytes_max` of it.
///
/// # Errors
/// `UnsupportedEncoding`, `InvalidRequest` for bytes that are not of the coding, `RequestTooLarge`.
pub(crate) fn decode(coding: &str, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Fault> {
    let limit = bytes_max as u64 + 1;
    let mut plain = Vec::new();
    let result = match coding.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => return Ok(body.to_vec()),
        "gzip" | "x-gzip" => flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain),
        "zstd" => match zstd::stream::read::Decoder::new(body) {
            Ok(decoder) => decoder.take(limit).read_to_end(&mut plain),
            Err(error) => Err(error),
        },
        "br" => brotli_decompressor::Decompressor::new(body, 16 * 1024).take(limit).read_to_end(&mut plain),
        other => {
            let message = format!("content-encoding {other:?} is not known; send the body plain or as one of {KNOWN}");
            return Err(Fault::new(Kind::UnsupportedEncoding, message));
        }
    };
    if result.is_err() {
        return Err(Fault::new(Kind::InvalidRequest, format!("the body is not valid {coding}; send it plain or compress it again")));
    }
    if plain.len() > bytes_max {
        return Err(Fault::new(
            Kind::RequestTooLarge,
            format!("the decoded body has more than {bytes_max} bytes; send less or raise body_bytes_max"),
        ));
    }
    Ok(plain)
}

/// Decodes an answer that came compressed although identity was asked for.
pub(crate) struct Inflater(Coding);

enum Coding {
    Gzip(Box<flate2::write::GzDecoder<Vec<u8>>>),
    Deflate(Box<flate2::write::ZlibDecoder<Vec<u8>>>),
}

/// Most bytes that one read may decode to.
const READ_PLAIN_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Inflater {
    /// `None` for identity.
    ///
    /// # Errors
    /// A coding that is not known.
    pub(crate) fn for_coding(coding: &[u8]) -> Result<Option<Inflater>, ()> {
        match coding.to_ascii_lowercase().as_slice() {
            b"identity" | b"" => Ok(None),
            b"gzip" | b"x-gzip" => Ok(Some(Inflater(Coding::Gzip(Box::new(flate2::write::GzDecoder::new(Vec::new())))))),
            b"deflate" => Ok(Some(Inflater(Coding::Deflate(Box::new(flate2::write::ZlibDecoder::new(Vec::new())))))),
            _ => Err(()),
        }
    }

    pub(crate) fn clear(&mut self) {
        match &mut self.0 {
            Coding::Gzip(decoder) => decoder.get_mut().clear(),
            Coding::Deflate(decoder) => decoder.get_mut().clear(),
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let (written, len) = match &mut self.0 {
            Coding::Gzip(decoder) => (decoder.write_all(bytes).and_then(|()| decoder.flush()), decoder.get_ref().len()),
            Coding::Deflate(decoder) => (decoder.write_all(bytes).and_then(|()| decoder.flush()), decoder.get_ref().len()),
        };
        if written.is_err() || len > READ_PLAIN_BYTES_MAX {
            return Err("bytes that are not of their content-encoding");
        }
        Ok(())
    }

    pub(crate) fn output(&self) -> &[u8] {
        match &self.0 {
            Coding::Gzip(decoder) => decoder.get_ref(),
            Coding::Deflate(decoder) => decoder.get_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused_at_the_bound() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 1_000_000]).expect("a Vec takes all");
        let bomb = encoder.finish().expect("a Vec takes all");
        assert_eq!(decode("gzip", &bomb, 1000).expect_err("over the bound").kind, Kind::RequestTooLarge);
        assert_eq!(decode("gzip", &bomb, 1_000_000).expect("within the bound").len(), 1_000_000);
        assert_eq!(decode("compress", &bomb, 10).expect_err("unknown").kind, Kind::UnsupportedEncoding);
        assert_eq!(decode("gzip", b"plain", 10).expect_err("not gzip").kind, Kind::InvalidRequest);
    }
}
