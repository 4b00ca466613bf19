//! Framing of streamed answers.

pub mod sse;
