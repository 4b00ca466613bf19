//! What is charged where the provider does not say: checked against the events that the record names.

use std::rc::Rc;

use ringway_adapters::tokens;
use ringway_adapters::usage::{Provenance, Usage};
use ringway_policy::record::Record;

use super::Scene;
use super::client::{self, Ask, Leave, Pace, Plan, Saw, Sense, Style};
use super::upstream::{self, Behaviour};
use super::wire::{self, Form, Wire};
use crate::rt::Rt;
use crate::rt::sim;

struct Case {
    wire: Wire,
    path: &'static str,
    route: &'static str,
    form: Form,
    word_count: usize,
    leave: Leave,
    behaviours: Vec<Behaviour>,
}

impl Case {
    fn new(wire: Wire, form: Form, word_count: usize) -> Case {
        let (path, route) = match wire {
            Wire::Chat => ("/v1/chat/completions", "solo-chat"),
            Wire::Messages => ("/v1/messages", "solo-messages"),
        };
        Case { wire, path, route, form, word_count, leave: Leave::Never, behaviours: vec![Behaviour::Good] }
    }

    fn marker(&self) -> String {
        wire::marker(0, 0, self.word_count)
    }

    fn question(&self) -> String {
        wire::question(self.wire, self.route, &self.marker(), self.form, 0)
    }

    /// What the client saw, and the one record.
    fn play(self, seed: u64) -> (Saw, Record) {
        sim::run(seed, move |sim| async move {
            let scene: Rc<Scene> = Scene::new(&sim, 100);
            scene.script.borrow_mut().extend(self.behaviours.iter().copied());
            upstream::start(&scene);
            let body = self.question();
            let bytes = format!(
                "POST {} HTTP/1.1\r\nhost: x\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                self.path,
                body.len()
            );
            let ask = Ask { marker: self.marker(), route: self.route, form: self.form, bytes: bytes.into_bytes(), sense: Sense::Good };
            let plan = Plan { wire: self.wire, style: Style::OneByOne, pace: Pace::Fast, leave: self.leave, asks: vec![ask] };
            let stream = scene.connect();
            let saw = client::play(&scene, stream, plan).await;
            sim.sleep(super::QUIET).await;
            let records: Vec<Record> = std::iter::from_fn(|| scene.shard.outbox.pop()).collect();
            assert_eq!(records.len(), 1, "one exchange, one record");
            (saw, records.into_iter().next().unwrap())
        })
    }
}

#[test]
fn a_client_that_leaves_is_charged_the_events_that_the_record_names() {
    const WORDS: usize = 40;
    let mut counts = (0, 0);
    for wire in [Wire::Chat, Wire::Messages] {
        let question = Case::new(wire, Form::Stream, WORDS).question();
        let text = wire::text(&Case::new(wire, Form::Stream, WORDS).marker());
        let words: Vec<u64> = text.split_inclusive(' ').map(|word| word.len() as u64).collect();
        for at in (0..7_000).step_by(41) {
            let mut case = Case::new(wire, Form::Stream, WORDS);
            case.leave = Leave::Received(at);
            let (_, record) = case.play(at as u64);
            if record.provenance == Provenance::Provider {
                assert_eq!((wire, record.delivered), (Wire::Messages, None));
                assert_eq!(record.usage, Usage { input: 3, output: 4, ..Usage::default() });
                counts.0 += 1;
                continue;
            }
            let (bytes, events) = record.delivered.as_deref().map_or((0, 0), |delivered| (delivered.bytes, delivered.events as usize));
            assert_eq!(bytes, words[..events].iter().sum::<u64>(), "left at {at}");
            let told_input = wire == Wire::Messages;
            let output = tokens::count(&text[..bytes as usize]).max(u64::from(told_input && record.usage.input > 0));
            let input = match (told_input, events) {
                (true, 0) => record.usage.input.min(3),
                (true, _) => 3,
                (false, 0) => 0,
                (false, _) => tokens::count_request(question.as_bytes()),
            };
            assert_eq!(record.usage, Usage { input, output, ..Usage::default() }, "left at {at}");
            counts.1 += usize::from(events > 0);
        }
    }
    assert!(counts.0 > 10 && counts.1 > 100, "whole and cut streams: {counts:?}");
}

#[test]
fn a_stream_that_the_provider_cuts_is_charged_what_came() {
    let mut case = Case::new(Wire::Messages, Form::Stream, 40);
    case.behaviours = vec![Behaviour::Cut(1_500)];
    let text = wire::text(&case.marker());
    let (_, record) = case.play(1);
    let delivered = record.delivered.as_deref().unwrap();
    assert!(delivered.events > 3 && delivered.counter == tokens::COUNTER, "{delivered:?}");
    assert_eq!(record.usage, Usage { input: 3, output: tokens::count(&text[..delivered.bytes as usize]), ..Usage::default() });
}

#[test]
fn an_answer_that_is_too_long_to_hold_tells_its_usage_at_its_end() {
    for (seed, wire) in [(1, Wire::Chat), (2, Wire::Messages), (3, Wire::Chat), (4, Wire::Messages)] {
        let (saw, record) = Case::new(wire, Form::Whole, 3_000).play(seed);
        assert!(saw.answers[0].complete && record.answer_bytes > super::HOLD_BYTES as u64);
        let told = (Usage { input: 3, output: 4, ..Usage::default() }, Provenance::Provider);
        assert_eq!((record.usage, record.provenance), told, "seed {seed}");
    }
}

#[test]
fn a_broken_attempt_keeps_what_it_cost() {
    let mut case = Case::new(Wire::Chat, Form::Stream, 40);
    case.route = "rescue-chat";
    case.behaviours = vec![Behaviour::Cut(1_500), Behaviour::Good];
    let question = case.question();
    let (saw, record) = case.play(1);
    assert!(saw.answers[0].complete && record.rescued);
    let spent = record.attempts[0].usage;
    assert_eq!(spent.input, tokens::count_request(question.as_bytes()));
    assert!(spent.output > 5, "{spent:?}");
    assert_eq!((record.usage.total(), record.provenance), (7, Provenance::Provider));
}

#[test]
fn a_count_for_a_target_without_that_operation_is_marked() {
    let mut case = Case::new(Wire::Messages, Form::Whole, 5);
    (case.path, case.route) = ("/v1/messages/count_tokens", "solo-chat");
    let question = case.question();
    let (saw, record) = case.play(1);
    let answer = &saw.answers[0];
    let body = format!("{{\"input_tokens\":{}}}", tokens::count_request(question.as_bytes()));
    assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).into_owned()), (200, body));
    assert_eq!(answer.field("x-ringway-losses"), Some("input_tokens"));
    assert_eq!(record.usage, Usage::default());
}
