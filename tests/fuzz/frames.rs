//! AWS event streams: text samples in whole frames for the dialects, wounded frames for the splitter.

use ringway_adapters::frame::event_stream::{EventStreamSplitter, event_len, last_event_start, write_frame};

use crate::run;

/// One frame a line, `NAME PAYLOAD`. A `chunk` holds its payload in base64; a name with a capital `E` at its end is an exception's.
pub fn framed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (name, payload) = (String::from_utf8_lossy(&line[..at]).into_owned(), line.get(at + 1..).unwrap_or_default());
        match name.as_str() {
            "chunk" => write_frame(&mut out, &[(":event-type", "chunk"), (":message-type", "event")], &chunk(payload)),
            name if name.ends_with("Exception") => {
                write_frame(&mut out, &[(":exception-type", name), (":message-type", "exception")], payload);
            }
            name => write_frame(&mut out, &[(":event-type", name), (":message-type", "event")], payload),
        }
    }
    out
}

fn chunk(json: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = b"{\"bytes\":\"".to_vec();
    for three in json.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        out.extend((0..4).map(|place| if place > three.len() { b'=' } else { DIGITS[(word >> (18 - 6 * place) & 63) as usize] }));
    }
    out.extend_from_slice(b"\"}");
    out
}

/// What a splitter gives, and whether it took all.
fn split(pieces: &[&[u8]]) -> (Vec<String>, bool) {
    let (mut splitter, mut got) = (EventStreamSplitter::default(), Vec::new());
    let taken = pieces.iter().all(|piece| {
        let fed = splitter.feed(piece, |frame| {
            got.push(format!("{:?} {:?} {}", frame.message(), frame.headers().collect::<Vec<_>>(), frame.payload.escape_ascii()));
            Ok(())
        });
        fed.is_ok()
    });
    (got, taken)
}

#[test]
fn event_stream_smoke() {
    run(crate::samples::FRAMES, |input, cut| {
        // Whole frames, then the same with one byte changed: where it is changed decides what is noticed.
        let mut frames = framed(input);
        let whole = split(&[&frames]);
        assert!(whole.1, "whole frames are taken");
        let cut = cut % (frames.len() + 1);
        assert_eq!(split(&[&frames[..cut], &frames[cut..]]), whole, "a cut changes the frames");
        assert_eq!(split(&frames.chunks(1).collect::<Vec<_>>()), whole, "single bytes change the frames");
        assert_eq!(last_event_start(&frames), frames.len());
        if let Some(byte) = frames.get_mut(cut) {
            *byte ^= 0x10;
            let wounded = split(&[&frames]);
            assert!(!wounded.1 || wounded.0.len() < whole.0.len(), "a changed byte is noticed");
            assert_eq!(split(&frames.chunks(1).collect::<Vec<_>>()), wounded, "single bytes change what is noticed");
        }
        // Bytes that are no frames at all.
        let _ = (split(&[input]), event_len(input), last_event_start(input));
    });
}
