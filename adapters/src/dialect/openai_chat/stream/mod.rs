//! Streamed chat answers: server-sent events ↔ events.

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

mod decode;
mod encode;
