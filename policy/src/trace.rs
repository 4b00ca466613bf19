//! Traces: the W3C trace context of a request, which exchanges are sampled, and the ids of their spans.
//!
//! W3C Trace Context level 2 (w3.org/TR/trace-context-2, read 2026-11-20). Nothing of this happens where tracing is off.

/// Length of a `traceparent` of version 00: `00-` + 32 hex + `-` + 16 hex + `-` + 2 hex.
pub const TRACEPARENT_BYTES: usize = 55;
/// Longest `tracestate` that is kept: the least that must be passed on (§3.3.1.5).
pub const TRACESTATE_BYTES_MAX: usize = 512;
const SAMPLED: u8 = 1;

/// A `traceparent` as it is sent.
pub type Traceparent = [u8; TRACEPARENT_BYTES];

/// Which exchanges are sampled (`OTEL_TRACES_SAMPLER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    pub own: Own,
    /// A request that says whether its trace is sampled is believed.
    pub parent: Parent,
}

/// Whether a trace that begins here is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Always,
    Never,
    /// Where the id's low 63 bits are below this.
    Below(u64),
}

/// What the request's own decision counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    Decides,
    Ignored,
}

impl Own {
    /// Of `ratio` 0 to 1 of all traces.
    pub fn ratio(ratio: f64) -> Own {
        match ratio {
            ratio if ratio >= 1.0 => Own::Always,
            ratio if ratio > 0.0 => Own::Below((ratio * (1u64 << 63) as f64) as u64),
            _ => Own::Never,
        }
    }

    fn takes(self, id: [u8; 16]) -> bool {
        match self {
            Own::Always => true,
            Own::Never => false,
            Own::Below(bound) => low(id) >> 1 < bound,
        }
    }
}

fn low(id: [u8; 16]) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|index| id[8 + index]))
}

/// The trace that an exchange belongs to, and its span there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub id: [u8; 16],
    /// The exchange's own span; never 0.
    pub span: u64,
    /// The caller's span, where the request named one.
    pub parent: Option<u64>,
    /// The caller's `tracestate`, passed on as it came.
    pub state: Option<Box<str>>,
    pub sampled: bool,
    /// Spans that were given to attempts so far.
    children: u32,
}

impl Trace {
    /// The trace of a request with these fields; a new one where it names none, or none that can be read.
    pub fn begin(sampler: Sampler, traceparent: Option<&str>, tracestate: Option<&str>, mut draw: impl FnMut() -> u64) -> Trace {
        let span = draw().max(1);
        if let Some((id, parent, flags)) = traceparent.and_then(parse) {
            let sampled = match sampler.parent {
                Parent::Decides => flags & SAMPLED != 0,
                Parent::Ignored => sampler.own.takes(id),
            };
            let state = tracestate.filter(|state| state.len() <= TRACESTATE_BYTES_MAX).map(Box::from);
            return Trace { id, span, parent: Some(parent), state, sampled, children: 0 };
        }
        let mut id = [0; 16];
        id[..8].copy_from_slice(&draw().to_be_bytes());
        id[8..].copy_from_slice(&draw().max(1).to_be_bytes());
        Trace { id, span, parent: None, state: None, sampled: sampler.own.takes(id), children: 0 }
    }

    /// The trace as a copy of the exchange's request belongs to it; `span` is the copy's own.
    pub fn copied(&self, span: u64) -> Trace {
        Trace { span: span.max(1), parent: Some(self.span), children: 0, ..self.clone() }
    }

    /// The span that the next attempt gets.
    pub fn next_child(&self) -> u64 {
        mix(self.span.wrapping_add(u64::from(self.children + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))).max(1)
    }

    /// A span for an attempt.
    pub fn child(&mut self) -> u64 {
        let child = self.next_child();
        self.children = self.children.saturating_add(1);
        child
    }

    /// What tells an upstream of the span that asks it.
    pub fn traceparent(&self, span: u64) -> Traceparent {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&self.id, &mut text[3..35]);
        hex(&span.to_be_bytes(), &mut text[36..52]);
        text[54] = b'0' + u8::from(self.sampled);
        text
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): spreads neighbouring inputs over all outputs, one to one.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Trace id, parent span, flags. A higher version than 00 may be longer (§4.3).
fn parse(text: &str) -> Option<([u8; 16], u64, u8)> {
    let bytes = text.trim_ascii().as_bytes();
    let [version_high, version_low, b'-', rest @ ..] = bytes else { return None };
    let version = digit(*version_high)? << 4 | digit(*version_low)?;
    let fits = match version {
        0 => bytes.len() == TRACEPARENT_BYTES,
        0xff => false,
        _ => bytes.len() == TRACEPARENT_BYTES || bytes.get(TRACEPARENT_BYTES) == Some(&b'-'),
    };
    if !fits || rest.get(32) != Some(&b'-') || rest.get(49) != Some(&b'-') {
        return None;
    }
    let mut id = [0; 16];
    unhex(rest.get(..32)?, &mut id)?;
    let mut parent = [0; 8];
    unhex(rest.get(33..49)?, &mut parent)?;
    let mut flags = [0; 1];
    unhex(rest.get(50..52)?, &mut flags)?;
    let parent = u64::from_be_bytes(parent);
    (id != [0; 16] && parent != 0).then_some((id, parent, flags[0]))
}

fn unhex(text: &[u8], out: &mut [u8]) -> Option<()> {
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

/// Lower case alone (§3.2.2).
fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Sampler = Sampler { own: Own::Always, parent: Parent::Decides };
    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn draws() -> impl FnMut() -> u64 {
        let mut seed = 7;
        move || {
            seed += 1;
            mix(seed)
        }
    }

    #[test]
    fn a_caller_that_names_its_trace_gets_a_child_in_it() {
        let mut trace = Trace::begin(ALL, Some(TEXT), Some("vendor=1"), draws());
        assert_eq!((trace.parent, trace.sampled, trace.state.as_deref()), (Some(0x00f0_67aa_0ba9_02b7), true, Some("vendor=1")));
        let (first, second) = (trace.child(), trace.child());
        assert!(first != second && first != trace.span && first != 0);
        let sent = String::from_utf8(trace.traceparent(first).to_vec()).unwrap();
        assert_eq!(sent, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{first:016x}-01"));
        assert_eq!(parse(&sent), Some((trace.id, first, 1)));
    }

    #[test]
    fn what_cannot_be_read_begins_a_trace_of_its_own() {
        let long = format!("{TEXT}-more");
        let later = format!("01{}-more", &TEXT[2..]);
        assert!(parse(&later).is_some(), "a later version may be longer");
        let bad = [
            "",
            "00",
            long.as_str(),
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ];
        for text in bad {
            let trace = Trace::begin(ALL, Some(text), Some("vendor=1"), draws());
            assert!(trace.parent.is_none() && trace.state.is_none() && trace.id != [0; 16], "{text}");
        }
        for cut in 0..TEXT.len() {
            assert!(parse(&TEXT[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn samplers_do_what_they_say() {
        let unsampled = TEXT.replace("-01", "-00");
        let never = Sampler { own: Own::Never, parent: Parent::Decides };
        assert!(Trace::begin(never, Some(TEXT), None, draws()).sampled, "the caller decides");
        assert!(!Trace::begin(ALL, Some(&unsampled), None, draws()).sampled);
        assert!(!Trace::begin(never, None, None, draws()).sampled);
        assert!(Trace::begin(Sampler { parent: Parent::Ignored, ..ALL }, Some(&unsampled), None, draws()).sampled);
        let quarter = Sampler { own: Own::ratio(0.25), parent: Parent::Decides };
        let mut draw = draws();
        let sampled = (0..10_000).filter(|_| Trace::begin(quarter, None, None, &mut draw).sampled).count();
        assert!((2_300..2_700).contains(&sampled), "{sampled}");
        assert_eq!((Own::ratio(1.0), Own::ratio(0.0), Own::ratio(-1.0)), (Own::Always, Own::Never, Own::Never));
    }
}
