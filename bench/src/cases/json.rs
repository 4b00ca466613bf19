//! The same-dialect request: find the fields that matter, edit them by span.

use std::hint::black_box;

use ringway_adapters::json::patch::{combine, include_usage, len, pieces, set_model};
use ringway_adapters::json::peek::peek;

use crate::inputs::chat_body;
use crate::{Case, Prepared};

pub const CASES: &[Case] = &[
    Case { name: "json/peek-1k", prepare: || peeking(1024) },
    Case { name: "json/peek-32k", prepare: || peeking(32 * 1024) },
    Case { name: "json/peek-500k", prepare: || peeking(500 * 1024) },
    Case { name: "json/patch-1k", prepare: || patching(1024) },
    Case { name: "json/patch-32k", prepare: || patching(32 * 1024) },
    Case { name: "json/patch-500k", prepare: || patching(500 * 1024) },
];

fn peeking(body_bytes: usize) -> Prepared {
    let body = chat_body(body_bytes);
    Prepared::new(move || {
        black_box(peek(black_box(&body))).expect("an object");
    })
}

/// Model and usage wish of a peeked body; the pieces are what one vectored write would take.
fn patching(body_bytes: usize) -> Prepared {
    let body = chat_body(body_bytes);
    let found = peek(&body).expect("an object");
    Prepared::new(move || {
        let wanted = [set_model(black_box(&found), &body, "gpt-4.1-mini-2025-04-14"), include_usage(&found, &body)];
        let edits = combine(wanted.into_iter().flatten());
        pieces(&body, &edits, |piece| {
            black_box(piece);
        });
        black_box(len(&body, &edits));
    })
}
