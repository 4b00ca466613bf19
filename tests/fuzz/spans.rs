//! Decoders that look and do not decode: the SSE splitter, the JSON peek and its edits, doors.

use ringway_adapters::door;
use ringway_adapters::frame::ndjson::NdjsonSplitter;
use ringway_adapters::frame::sse::SseSplitter;
use ringway_adapters::json::patch::{self, Edit};
use ringway_adapters::json::peek;

use crate::run;
use crate::samples::{PATHS, REQUESTS, STREAMS};

type Events = Vec<(String, Vec<u8>)>;

/// Events, and whether the stream was taken.
fn split(pieces: &[&[u8]]) -> (Events, bool) {
    let mut splitter = SseSplitter::default();
    let mut events = Events::new();
    for piece in pieces {
        let fed = splitter.feed(piece, |event| {
            events.push((event.event.to_owned(), event.data.to_vec()));
            Ok(())
        });
        if fed.is_err() {
            return (events, false);
        }
    }
    (events, true)
}

#[test]
fn sse_smoke() {
    run(STREAMS, |input, cut| {
        let whole = split(&[input]);
        assert_eq!(split(&[&input[..cut], &input[cut..]]), whole, "cut in two");
        assert_eq!(split(&input.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    });
}

/// Lines, and whether the stream was taken.
fn split_lines(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let (mut splitter, mut lines) = (NdjsonSplitter::default(), Vec::new());
    let mut keep = |line: &[u8]| {
        lines.push(line.to_vec());
        Ok(())
    };
    let fed = pieces.iter().all(|piece| splitter.feed(piece, &mut keep).is_ok());
    let finished = fed && splitter.finish(&mut keep).is_ok();
    (lines, finished)
}

#[test]
fn ndjson_smoke() {
    run(STREAMS, |input, cut| {
        let whole = split_lines(&[input]);
        assert_eq!(split_lines(&[&input[..cut], &input[cut..]]), whole, "cut in two");
        assert_eq!(split_lines(&input.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    });
}

#[test]
fn peek_and_patch_smoke() {
    run(REQUESTS, |input, _| {
        let Ok(found) = peek::peek(input) else { return };
        let spans = [&found.model, &found.stream, &found.stream_options, &found.fallbacks, &found.fallbacks_value];
        for span in spans.into_iter().flatten() {
            assert!(span.start <= span.end && span.end <= input.len() && input.get(span.clone()).is_some(), "{span:?}");
        }
        assert!(found.open <= input.len());
        let Some(span) = found.model.clone() else { return };
        let edits = [Edit { span, bytes: b"\"another\"".as_slice().into() }];
        let mut edited = Vec::new();
        patch::pieces(input, &edits, |piece| edited.extend_from_slice(piece));
        assert_eq!(edited.len(), patch::len(input, &edits));
        if serde_json::from_slice::<serde_json::Value>(input).is_ok_and(|value| value.is_object()) {
            let value: serde_json::Value = serde_json::from_slice(&edited).expect("an edited body stays JSON");
            assert_eq!(value["model"], "another");
        }
    });
}

#[test]
fn door_smoke() {
    run(PATHS, |input, cut| {
        let Ok(path) = std::str::from_utf8(input) else { return };
        if let Some(door) = door::find(path, &|_| cut.is_multiple_of(2)) {
            assert!(door.upstream_path.starts_with('/'), "{door:?}");
        }
    });
}
