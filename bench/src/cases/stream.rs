//! The same-dialect answer: splitting and tapping streams, and whole bodies, that are forwarded untouched. Each read holds
//! one event, which is how providers send them.

use std::hint::black_box;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::frame::sse::SseSplitter;

use crate::inputs::{answer, chat_stream_events, stream_events};
use crate::{Case, Prepared};

pub const CASES: &[Case] = &[
    Case { name: "sse/split", prepare: split },
    Case { name: "tap-stream/chat", prepare: || tap_stream(DialectId::OpenaiChat) },
    Case { name: "tap-stream/responses", prepare: || tap_stream(DialectId::OpenaiResponses) },
    Case { name: "tap-stream/messages", prepare: || tap_stream(DialectId::Anthropic) },
    Case { name: "tap-whole/chat", prepare: || tap_whole(DialectId::OpenaiChat) },
    Case { name: "tap-whole/responses", prepare: || tap_whole(DialectId::OpenaiResponses) },
    Case { name: "tap-whole/messages", prepare: || tap_whole(DialectId::Anthropic) },
];

fn split() -> Prepared {
    let reads = chat_stream_events();
    let count = reads.len();
    Prepared::new(move || {
        let mut splitter = SseSplitter::default();
        for read in &reads {
            let fed = splitter.feed(black_box(read), |event| {
                black_box(event);
                Ok(())
            });
            fed.expect("short events");
        }
    })
    .per(count)
}

fn tap_stream(dialect: DialectId) -> Prepared {
    let reads = stream_events(dialect);
    let count = reads.len();
    Prepared::new(move || {
        let mut tap = (dialect.row().tap)();
        for read in &reads {
            tap.feed(black_box(read)).expect("well formed");
        }
        assert!(black_box(tap.seen()).finished);
    })
    .per(count)
}

fn tap_whole(dialect: DialectId) -> Prepared {
    let body = answer(dialect);
    Prepared::new(move || {
        let mut tap = (dialect.row().tap)();
        tap.whole(black_box(body));
        assert!(black_box(tap.seen()).usage.is_some());
    })
}
