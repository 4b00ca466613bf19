//! The promises, checked after a run: records, framing, text, attempts, and what became of abandoned upstreams.

use std::collections::HashMap;

use ringway_policy::record::Record;

use super::client::{Answer, Ask, End, Leave, Pace, Saw, Sense};
use super::upstream::{Behaviour, Served};
use super::wire::{self, Form, Wire};
use super::{CANCEL_NS, SLACK_NS, Scene, TOTAL_NS};

pub(super) struct Evidence<'a> {
    pub scene: &'a Scene,
    /// The gateway went down in the middle: it may close a connection before it reads a request.
    pub drains: bool,
    pub saw: &'a [Saw],
    pub served: &'a [Served],
    pub records: &'a [Record],
}

impl Evidence<'_> {
    pub(super) fn check(&self) {
        let mut by_marker: HashMap<&str, Vec<&Record>> = HashMap::new();
        for record in self.records {
            let marker = record.client_request_id.as_deref().unwrap_or("");
            by_marker.entry(marker).or_default().push(record);
        }
        for saw in self.saw {
            for (index, ask) in saw.plan.asks.iter().enumerate() {
                let records = by_marker.remove(ask.marker.as_str()).unwrap_or_default();
                let answer = saw.answers.get(index);
                if saw.plan.asks[..=index].iter().any(|ask| ask.sense == Sense::None) {
                    self.refused(saw, index, answer, &records);
                    continue;
                }
                self.records_of(saw, index, answer, &records);
                self.attempts(saw, ask, &records);
                if let Some(answer) = answer {
                    self.answer(saw, ask, answer, records.first().copied());
                }
            }
            if saw.answers.len() > saw.plan.asks.len() {
                self.broken(&saw.plan.asks[0], "more answers than requests");
            }
        }
        let refused = by_marker.remove("").unwrap_or_default();
        let senseless = |saw: &Saw| saw.plan.asks.iter().position(|ask| ask.sense == Sense::None);
        let refusals = self.saw.iter().filter(|saw| senseless(saw).is_some_and(|index| saw.answers.len() > index)).count();
        let most = self.saw.iter().filter(|saw| senseless(saw).is_some()).count();
        if !(refusals..=most).contains(&refused.len()) || refused.iter().any(|record| record.status != 400) {
            self.scene.violation(format!("{} records of refused requests, {refusals} to {most} were refused", refused.len()));
        }
        for (marker, records) in by_marker {
            self.scene.violation(format!("{} records of no request: {marker:?}", records.len()));
        }
    }

    fn broken(&self, ask: &Ask, what: &str) {
        let served: Vec<String> = self
            .served_for(ask)
            .map(|served| {
                format!(
                    "{} {:?} at {} ms, whole {:?}, closed {:?}",
                    served.place.name,
                    served.behaviour,
                    served.begun_ns / 1_000_000,
                    served.whole_ns.map(|ns| ns / 1_000_000),
                    served.closed_ns.map(|ns| ns / 1_000_000)
                )
            })
            .collect();
        self.scene.violation(format!("{} ({:?} on {}): {what}; upstreams: {served:?}", ask.marker, ask.form, ask.route));
    }

    fn served_for<'a>(&'a self, ask: &'a Ask) -> impl Iterator<Item = &'a Served> {
        self.served.iter().filter(move |served| served.marker == ask.marker)
    }

    /// What cannot be read is refused, and what stands behind it is never parsed.
    fn refused(&self, saw: &Saw, index: usize, answer: Option<&Answer>, records: &[&Record]) {
        let ask = &saw.plan.asks[index];
        if self.served_for(ask).next().is_some() || !records.is_empty() {
            self.broken(ask, "it or what it follows could not be read, but it was served");
        }
        match (answer, ask.sense) {
            (None, _) | (Some(Answer { status: 400, .. }), Sense::None) => {}
            (Some(answer), _) => self.broken(ask, &format!("{} for it", answer.status)),
        }
    }

    /// One record for each exchange, and it says what the client got.
    fn records_of(&self, saw: &Saw, index: usize, answer: Option<&Answer>, records: &[&Record]) {
        let ask = &saw.plan.asks[index];
        let must = answer.is_some() || self.served_for(ask).next().is_some();
        let may = must || index < saw.asked_count;
        if records.len() > 1 || (must && records.is_empty()) || (!may && !records.is_empty()) {
            self.broken(ask, &format!("{} records", records.len()));
        }
        let stays = saw.plan.leave == Leave::Never && saw.end != End::Reset;
        if stays && index == 0 && answer.is_none() && !self.drains {
            self.broken(ask, "no answer at all");
        }
        let (Some(answer), Some(record)) = (answer, records.first()) else { return };
        if record.status != answer.status {
            self.broken(ask, &format!("the record says {}, the client got {}", record.status, answer.status));
        }
        let id: String = record.id.iter().map(|byte| format!("{byte:02x}")).collect();
        if answer.field("x-ringway-request-id") != Some(id.as_str()) {
            self.broken(ask, "the answer is another request's");
        }
        let clean = answer.complete && answer.status == 200;
        if clean && record.fault.is_some() {
            self.broken(ask, &format!("a whole answer, but the record says {:?}", record.fault));
        }
        if !clean && saw.end == End::Closed && record.fault.is_none() {
            self.broken(ask, "no fault in the record of a broken answer");
        }
        if answer.wire_len > 0 && record.answer_bytes != answer.wire_len as u64 {
            self.broken(ask, &format!("{} bytes came, the record says {}", answer.wire_len, record.answer_bytes));
        }
        let has_text = answer.status == 200 && has_text(saw.plan.wire, ask.form, &answer.body);
        let output = record.usage.output + record.attempts.iter().map(|attempt| attempt.usage.output).sum::<u64>();
        if has_text && saw.end != End::Reset && output == 0 {
            self.broken(ask, "text was delivered, and nothing is counted");
        }
        if saw.plan.pace == Pace::Fast && record.total_ns > TOTAL_NS + SLACK_NS {
            self.broken(ask, &format!("took {} ms", record.total_ns / 1_000_000));
        }
    }

    /// Bounded attempts, none on a silent target, none for a client that left.
    fn attempts(&self, saw: &Saw, ask: &Ask, records: &[&Record]) {
        let mut per_place: HashMap<&str, usize> = HashMap::new();
        let mut silent: Vec<&str> = Vec::new();
        for served in self.served_for(ask) {
            if silent.contains(&served.place.name) {
                self.broken(ask, "a silent target was asked again");
            }
            if served.was_silent() {
                silent.push(served.place.name);
            }
            *per_place.entry(served.place.name).or_default() += 1;
            let Some(left_ns) = saw.left_ns else { continue };
            let by_ns = left_ns.max(served.begun_ns) + CANCEL_NS;
            let may_run_on = served.whole_ns.is_some() || served.closed_ns.is_some_and(|closed_ns| closed_ns <= by_ns);
            if served.begun_ns > left_ns + CANCEL_NS || (served.is_held_open() && !may_run_on) {
                self.broken(ask, &format!("the client left at {} ms, the upstream went on", left_ns / 1_000_000));
            }
        }
        for record in records {
            let mut recorded: HashMap<&str, usize> = HashMap::new();
            for attempt in &record.attempts {
                *recorded.entry(&attempt.provider).or_default() += 1;
            }
            if recorded.values().any(|count| *count > 3) {
                self.broken(ask, &format!("attempts: {recorded:?}"));
            }
            // An attempt may ask twice: once on a connection that turns out stale.
            if per_place.iter().any(|(place, count)| *count > 2 * recorded.get(place).copied().unwrap_or(0)) {
                self.broken(ask, &format!("upstreams saw {per_place:?}, the record says {recorded:?}"));
            }
        }
    }

    fn answer(&self, saw: &Saw, ask: &Ask, answer: &Answer, record: Option<&Record>) {
        if let Some(other) = wire::all_markers(&answer.body).find(|marker| *marker != ask.marker) {
            self.broken(ask, &format!("holds bytes of {other}"));
        }
        if answer.status != 200 {
            if answer.complete && !String::from_utf8_lossy(&answer.body).contains("\"error\"") {
                self.broken(ask, "an error without a body that says so");
            }
            return;
        }
        let text = wire::text(&ask.marker);
        let finished = self.served_for(ask).any(|served| served.whole_ns.is_some());
        let is_stream = answer.field("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if is_stream != (ask.form == Form::Stream) {
            self.broken(ask, "streamed is not what was asked, or the other way round");
        }
        if answer.complete && !finished {
            self.broken(ask, &format!("a clean end of a broken answer: {}", tail(&answer.body)));
        }
        if !is_stream {
            let got = wire::content(saw.plan.wire, std::str::from_utf8(&answer.body).unwrap_or("")).to_owned();
            if answer.complete && got != text {
                self.broken(ask, &format!("another text: {}", tail(&answer.body)));
            }
            return;
        }
        let read = wire::read_stream(saw.plan.wire, &answer.body);
        if !text.starts_with(&read.text) || (answer.complete && read.text != text) {
            self.broken(ask, &format!("another text: …{} of {} bytes", tail(read.text.as_bytes()), text.len()));
        }
        if read.error_count > 1 || read.after_error > 0 || (answer.complete && read.error_count > 0) {
            self.broken(ask, &format!("{read:?}"));
        }
        // A client that was still there learns of the break from an event, unless its answer had ended before.
        let told = read.error_count == 1 || read.end_markers == 1 || answer.complete || saw.end != End::Closed;
        if !told {
            self.broken(ask, &format!("a break without an error event: {}", tail(&answer.body)));
        }
        if answer.complete {
            self.shape(saw.plan.wire, ask, &answer.body, &read);
        }
        self.bytes(saw, ask, answer, record);
    }

    /// A whole stream begins, finishes and ends once, however many attempts it took.
    fn shape(&self, wire: Wire, ask: &Ask, body: &[u8], read: &wire::Read) {
        let count = |needle: &[u8]| memchr::memmem::find_iter(body, needle).count();
        let began = match wire {
            Wire::Chat => count(b"\"role\":\"assistant\""),
            Wire::Messages => count(b"event: message_start"),
        };
        let (opened, closed) = (count(b"event: content_block_start"), count(b"event: content_block_stop"));
        // An end marker is passed on, not required.
        let unmarked = read.end_markers == 0
            && self.served_for(ask).any(|served| matches!(served.behaviour, Behaviour::Cut(_) | Behaviour::GarbageChunk(_)));
        if began != 1 || count(wire::finish(wire)) != 1 || opened != closed || (read.end_markers != 1 && !unmarked) {
            let counts = (began, count(wire::finish(wire)), opened, closed, read.end_markers);
            self.broken(ask, &format!("(begun, finished, opened, closed, ended) {counts:?}: {}", tail(body)));
        }
    }

    /// Same dialect, nothing taken out: the client holds a beginning of what the provider sent.
    fn bytes(&self, saw: &Saw, ask: &Ask, answer: &Answer, record: Option<&Record>) {
        let Some(record) = record else { return };
        let Some(last) = self.served_for(ask).last() else { return };
        let untouched = matches!(ask.route, "a" | "b" | "c" | "d" | "solo-chat" | "solo-messages")
            && last.place.wire == saw.plan.wire
            && last.place.name != "beta"
            && record.provider.as_deref() == Some(last.place.name);
        if !untouched {
            return;
        }
        if answer.complete {
            if answer.body != last.body && last.behaviour != Behaviour::Cut(answer.body.len()) {
                self.broken(ask, "not the provider's bytes");
            }
            return;
        }
        let error_at = match saw.plan.wire {
            Wire::Chat => memchr::memmem::rfind(&answer.body, b"data: {\"error\""),
            Wire::Messages => memchr::memmem::rfind(&answer.body, b"event: error"),
        };
        let before = &answer.body[..error_at.unwrap_or(answer.body.len())];
        if !last.body.starts_with(before) && !before.strip_suffix(b"\n\n").is_some_and(|before| last.body.starts_with(before)) {
            self.broken(ask, &format!("not a beginning of the provider's bytes: {}", tail(before)));
        }
    }
}

/// More than one event of text.
fn has_text(wire: Wire, form: Form, body: &[u8]) -> bool {
    match form {
        // The last event's blank line may be missing: then it is not counted.
        Form::Stream => wire::read_stream(wire, body).text.matches(' ').count() > 1,
        Form::Whole => wire::all_markers(body).next().is_some(),
    }
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..]).into_owned()
}
