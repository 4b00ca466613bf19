//! What a connection plays as its answer: sends, pauses and ways to break.

use std::ops::Range;
use std::time::Duration;

/// One prepared answer; shared by every connection that plays it.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(super) bytes: Vec<u8>,
    pub(super) steps: Vec<Step>,
    pub(super) status: u16,
}

/// One step of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// One write of these bytes, in which `event_count` events end.
    Send { range: Range<usize>, event_count: u32 },
    /// Waits; counted from when the step before was due, so that lateness does not add up.
    Pause(Duration),
    /// Ends the connection in order (FIN).
    Close,
    /// Ends it with a reset (RST).
    Reset,
    /// Says nothing more and holds the connection until the peer leaves.
    Hang,
}

/// Builds a script; adjacent sends become one write unless a pause stands between.
#[derive(Debug, Default)]
pub(crate) struct ScriptBuilder {
    script: Script,
    parted: bool,
}

impl ScriptBuilder {
    /// Starts a script whose log entry says this status (0: nothing is answered).
    pub(crate) fn new(status: u16) -> Self {
        Self { script: Script { status, ..Script::default() }, parted: true }
    }

    /// Adds bytes in which no event ends.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(bytes, 0)
    }

    /// Adds the bytes of one event.
    pub(crate) fn send_event(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(bytes, 1)
    }

    pub(crate) fn pause(&mut self, pause: Duration) -> &mut Self {
        if !pause.is_zero() {
            self.script.steps.push(Step::Pause(pause));
            self.parted = true;
        }
        self
    }

    pub(crate) fn close(&mut self) -> &mut Self {
        self.script.steps.push(Step::Close);
        self
    }

    pub(crate) fn reset(&mut self) -> &mut Self {
        self.script.steps.push(Step::Reset);
        self
    }

    pub(crate) fn hang(&mut self) -> &mut Self {
        self.script.steps.push(Step::Hang);
        self
    }

    pub(crate) fn build(&mut self) -> Script {
        std::mem::take(&mut self.script)
    }

    fn push(&mut self, bytes: &[u8], events: u32) -> &mut Self {
        let start = self.script.bytes.len();
        self.script.bytes.extend_from_slice(bytes);
        let end = self.script.bytes.len();
        match self.script.steps.last_mut() {
            Some(Step::Send { range, event_count }) if !self.parted => {
                range.end = end;
                *event_count += events;
            }
            _ => self.script.steps.push(Step::Send { range: start..end, event_count: events }),
        }
        self.parted = false;
        self
    }
}

impl Script {
    /// Everything that it would send, for tests.
    #[cfg(test)]
    pub(crate) fn sent_text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// How many writes it takes, for tests.
    #[cfg(test)]
    pub(crate) fn send_count(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Send { .. })).count()
    }

    /// Does it end by breaking, for tests.
    #[cfg(test)]
    pub(crate) fn breaks(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Close | Step::Reset | Step::Hang))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_sends_are_one_write_and_a_pause_parts_them() {
        let script = ScriptBuilder::new(200)
            .send(b"a")
            .send_event(b"b")
            .pause(Duration::ZERO)
            .send(b"c")
            .pause(Duration::from_millis(1))
            .send(b"d")
            .build();
        let send = |range, event_count| Step::Send { range, event_count };
        assert_eq!(script.steps, [send(0..3, 1), Step::Pause(Duration::from_millis(1)), send(3..4, 0)]);
        assert_eq!((script.send_count(), script.breaks()), (2, false));
    }
}
