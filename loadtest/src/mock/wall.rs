//! Turns an answer and a fault into the script that a connection plays.

use std::time::Duration;

use super::fault::Break;
use super::gzip::gzip_stored;
use super::wire::{LAST_CHUNK, Piece, PieceRole, chunk, stream_head, whole_head};
use crate::server::{Script, ScriptBuilder};

/// The clock of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) delay: Duration,
    pub(super) gap: Duration,
}

/// Between single bytes, so that they do not arrive as one.
const BYTE_GAP: Duration = Duration::from_micros(50);
/// Text events before a stream turns bad, where the fault has no count of its own.
const GOOD_EVENTS: u32 = 3;

/// A whole answer, broken or well.
pub(super) fn whole(status: u16, extra_headers: &str, body: &[u8], timing: Timing, fault: Option<Break>) -> Script {
    let mut script = ScriptBuilder::new(status);
    script.pause(timing.delay);
    let head = |body_bytes| whole_head(status, extra_headers, body_bytes);
    let half = &body[..body.len() / 2];
    match fault {
        None | Some(Break::NoDone | Break::CleanCutAfter(_)) => script.send(&head(body.len())).send(body),
        Some(Break::ResetBeforeHead) => return ScriptBuilder::new(0).reset().build(),
        Some(Break::Silence) => return ScriptBuilder::new(0).hang().build(),
        Some(Break::HeadThenSilence) => script.send(&head(body.len())).hang(),
        Some(Break::ResetMidBody) => script.send(&head(body.len())).send(half).pause(Duration::from_millis(20)).reset(),
        Some(Break::SlowFirstToken(wait)) => script.send(&head(body.len())).pause(wait).send(body),
        Some(Break::CutAfter(_)) => script.send(&head(body.len())).send(half).close(),
        Some(Break::StallAfter(_)) => script.send(&head(body.len())).send(half).hang(),
        Some(Break::MalformedEvent | Break::InbandError) => script.send(&head(half.len())).send(half),
        Some(Break::LengthTooLong) => script.send(&head(body.len() + 100)).send(body).close(),
        Some(Break::LengthTooShort) => script.send(&head(body.len().saturating_sub(100))).send(body).close(),
        Some(Break::Gzip) => {
            let packed = gzip_stored(body);
            script.send(&whole_head(status, &format!("content-encoding: gzip\r\n{extra_headers}"), packed.len())).send(&packed)
        }
        Some(Break::SplitBytes) => {
            for byte in head(body.len()).iter().chain(body) {
                script.pause(BYTE_GAP).send(std::slice::from_ref(byte));
            }
            &mut script
        }
    };
    script.build()
}

/// A streamed answer, broken or well: an event a chunk, a gap before each text event but the first.
pub(super) fn stream(pieces: &[Piece], inband: &Piece, timing: Timing, fault: Option<Break>) -> Script {
    let mut script = ScriptBuilder::new(200);
    script.pause(timing.delay);
    match fault {
        Some(Break::ResetBeforeHead) => return ScriptBuilder::new(0).reset().build(),
        Some(Break::Silence) => return ScriptBuilder::new(0).hang().build(),
        Some(Break::HeadThenSilence) => return script.send(stream_head(pieces)).hang().build(),
        Some(Break::SplitBytes) => return split(&mut script, pieces),
        Some(Break::Gzip) => return packed(&mut script, pieces),
        Some(Break::LengthTooLong | Break::LengthTooShort) => return wrong_length(&mut script, pieces, fault),
        Some(Break::SlowFirstToken(wait)) => script.send(stream_head(pieces)).pause(wait),
        _ => script.send(stream_head(pieces)),
    };
    let text_max = match fault {
        Some(Break::CutAfter(count) | Break::CleanCutAfter(count) | Break::StallAfter(count)) => count,
        Some(Break::ResetMidBody | Break::MalformedEvent | Break::InbandError) => GOOD_EVENTS,
        _ => u32::MAX,
    };
    let mut text_count = 0;
    for piece in pieces {
        if piece.role == PieceRole::Text || text_max == 0 {
            if text_count == text_max {
                break;
            }
            script.pause(if text_count == 0 { Duration::ZERO } else { timing.gap });
            text_count += 1;
        }
        if piece.role == PieceRole::Done && (fault == Some(Break::NoDone) || text_max != u32::MAX) {
            break;
        }
        script.send_event(&chunk(&piece.bytes));
    }
    match fault {
        Some(Break::CutAfter(_)) => script.close(),
        Some(Break::StallAfter(_)) => script.hang(),
        // What is in flight must arrive before the reset throws it away.
        Some(Break::ResetMidBody) => script.pause(Duration::from_millis(20)).reset(),
        Some(Break::InbandError) => script.pause(timing.gap).send_event(&chunk(&inband.bytes)).send(LAST_CHUNK),
        Some(Break::MalformedEvent) => {
            script.pause(timing.gap).send_event(&chunk(b"data: {\"choices\":[{\"ind%%% not json\n\n"));
            if let Some(last) = pieces.last() {
                script.send_event(&chunk(&last.bytes));
            }
            script.send(LAST_CHUNK)
        }
        _ => script.send(LAST_CHUNK),
    };
    script.build()
}

/// Text events that a byte-wise stream keeps: at 50 µs a byte more would take seconds.
const SPLIT_TEXT_MAX: usize = 8;

fn split(script: &mut ScriptBuilder, pieces: &[Piece]) -> Script {
    script.send(stream_head(pieces));
    let mut text_count = 0;
    for piece in pieces {
        text_count += usize::from(piece.role == PieceRole::Text);
        if piece.role == PieceRole::Text && text_count > SPLIT_TEXT_MAX {
            continue;
        }
        for byte in &piece.bytes {
            script.pause(BYTE_GAP).send(&chunk(std::slice::from_ref(byte)));
        }
        script.send_event(b"");
    }
    script.send(LAST_CHUNK).build()
}

fn packed(script: &mut ScriptBuilder, pieces: &[Piece]) -> Script {
    let head = String::from_utf8_lossy(stream_head(pieces)).replace("cache-control", "content-encoding: gzip\r\ncache-control");
    let body: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
    script.send(head.as_bytes()).send(&chunk(&gzip_stored(&body))).send(LAST_CHUNK).build()
}

fn wrong_length(script: &mut ScriptBuilder, pieces: &[Piece], fault: Option<Break>) -> Script {
    let body: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
    let length = if fault == Some(Break::LengthTooLong) { body.len() + 100 } else { body.len().saturating_sub(100) };
    let head = String::from_utf8_lossy(stream_head(pieces)).replace("transfer-encoding: chunked", &format!("content-length: {length}"));
    script.send(head.as_bytes()).send(&body).close().build()
}

#[cfg(test)]
mod tests {
    use super::super::answer::Answer;
    use super::super::{chat, endpoint::Endpoint, errors};
    use super::*;

    const NO_TIME: Timing = Timing { delay: Duration::ZERO, gap: Duration::ZERO };

    fn streamed(fault: Option<Break>, timing: Timing) -> Script {
        stream(&chat::stream(&Answer::plain("m", 5, None)), &errors::inband(Endpoint::Chat), timing, fault)
    }

    #[test]
    fn a_well_stream_without_gaps_is_one_write() {
        let script = streamed(None, NO_TIME);
        assert_eq!((script.send_count(), script.breaks()), (1, false));
        assert!(script.sent_text().ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
    }

    #[test]
    fn gaps_part_the_events() {
        let script = streamed(None, Timing { delay: Duration::ZERO, gap: Duration::from_millis(5) });
        assert_eq!(script.send_count(), 5);
    }

    #[test]
    fn a_cut_or_stalled_stream_has_exactly_its_events() {
        for fault in [Break::CutAfter(2), Break::StallAfter(2)] {
            let script = streamed(Some(fault), NO_TIME);
            let text = script.sent_text();
            assert!(text.contains("word1") && !text.contains("word2") && !text.contains("[DONE]"));
            assert!(script.breaks() && !text.ends_with("0\r\n\r\n"));
        }
    }

    #[test]
    fn bad_events_come_after_three_good_ones() {
        let text = streamed(Some(Break::InbandError), NO_TIME).sent_text();
        assert!(text.contains("word2") && !text.contains("word3") && text.contains("\"error\""));
        assert!(streamed(Some(Break::MalformedEvent), NO_TIME).sent_text().contains("not json"));
        assert!(!streamed(Some(Break::NoDone), NO_TIME).sent_text().contains("[DONE]"));
    }

    #[test]
    fn whole_answers_lie_about_their_length() {
        let long = whole(200, "", b"{}", NO_TIME, Some(Break::LengthTooLong)).sent_text();
        assert!(long.contains("content-length: 102\r\n"));
    }
}
