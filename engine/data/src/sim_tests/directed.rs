//! Single promises in scenes of their own, where chance alone would seldom find the moment.

use std::rc::Rc;
use std::time::Duration;

use ringway_adapters::fault::Kind;
use ringway_policy::record::Record;

use super::client::{self, Ask, Leave, Pace, Plan, Saw, Sense, Style};
use super::upstream::{self, Behaviour};
use super::wire::{self, Form, Wire};
use super::{Scene, WRITE_STALL};
use crate::rt::sim::{self, Faults, Sim};
use crate::rt::{Io, Rt};

/// What a direction of a simulated connection holds.
const PIPE_BYTES: usize = 64 * 1024;
/// The bound of design's failure table for a slow reader.
const SLOW_READER_BYTES_MAX: usize = 160 * 1024;

fn ask(marker: &str, route: &'static str, form: Form) -> Ask {
    let body = wire::question(Wire::Chat, route, marker, form, 0);
    let bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: {marker}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Ask { marker: marker.to_owned(), route, form, bytes: bytes.into_bytes(), sense: Sense::Good }
}

fn plan(asks: Vec<Ask>) -> Plan {
    Plan { wire: Wire::Chat, style: Style::OneByOne, pace: Pace::Fast, leave: Leave::Never, asks }
}

fn scene(sim: &Sim, script: impl IntoIterator<Item = Behaviour>) -> Rc<Scene> {
    let scene = Scene::new(sim, 100);
    scene.script.borrow_mut().extend(script);
    upstream::start(&scene);
    scene
}

async fn play(scene: &Rc<Scene>, plan: Plan) -> Saw {
    let stream = scene.connect();
    client::play(scene, stream, plan).await
}

fn records(scene: &Scene) -> Vec<Record> {
    std::iter::from_fn(|| scene.shard.outbox.pop()).collect()
}

#[test]
fn a_reader_that_stops_bounds_what_is_read_and_is_given_up() {
    for (seed, wire) in [(1, Wire::Chat), (2, Wire::Messages), (3, Wire::Chat)] {
        sim::run(seed, move |sim| async move {
            let scene = scene(&sim, [Behaviour::Good]);
            sim.inject(if seed == 3 { Faults::ROUGH } else { Faults::NONE });
            let stream = scene.connect();
            let route = if wire == Wire::Chat { "solo-chat" } else { "solo-messages" };
            let mut question = ask(&wire::marker(0, 0, 8000), route, Form::Stream).bytes;
            while !question.is_empty() {
                let count = stream.try_write(&[std::io::IoSlice::new(&question)]).unwrap();
                question.drain(..count);
            }
            let mut taken = 0;
            while taken < 20_000 {
                let (result, _) = stream.read(Vec::with_capacity(4096)).await;
                taken += result.unwrap();
            }
            let stopped_ns = sim.now_ns();
            sim.sleep(WRITE_STALL * 3).await;
            let log = scene.log.borrow();
            let held = log[0].written_bytes.saturating_sub(taken);
            assert!(held <= SLOW_READER_BYTES_MAX + 2 * PIPE_BYTES, "{held} bytes were read ahead");
            let closed_ns = log[0].closed_ns.expect("the upstream is closed");
            let stall_ns = closed_ns - stopped_ns;
            assert!(stall_ns < (WRITE_STALL + Duration::from_secs(2)).as_nanos() as u64, "{} ms", stall_ns / 1_000_000);
            let records = records(&scene);
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].fault, Some(Kind::ClientGone));
            assert_eq!(scene.serving(), (0, 0));
        });
    }
}

/// As nginx has it (ngx_http_upstream_check_broken_connection): who has ended their side does not wait for an answer.
#[test]
fn a_client_that_ends_its_side_has_left() {
    const CANCELLED_WITHIN: Duration = Duration::from_millis(250);
    for behaviour in [Behaviour::Silent, Behaviour::HeadThenSilent, Behaviour::Stall(600)] {
        sim::run(12, move |sim| async move {
            let scene = scene(&sim, [behaviour]);
            let stream = scene.connect();
            let mut question = ask(&wire::marker(0, 0, 40), "solo-chat", Form::Stream).bytes;
            while !question.is_empty() {
                let count = stream.try_write(&[std::io::IoSlice::new(&question)]).unwrap();
                question.drain(..count);
            }
            sim.sleep(Duration::from_secs(1)).await;
            let ended_ns = sim.now_ns();
            stream.shutdown();
            sim.sleep(Duration::from_secs(1)).await;
            let closed_ns = scene.log.borrow()[0].closed_ns.expect("the upstream is cancelled");
            assert!(closed_ns - ended_ns < CANCELLED_WITHIN.as_nanos() as u64, "{behaviour:?}");
            let records = records(&scene);
            assert_eq!((records.len(), records[0].fault), (1, Some(Kind::ClientGone)), "{behaviour:?}");
        });
    }
}

#[test]
fn a_stale_connection_is_replaced_by_a_fresh_one_not_by_the_next_stale_one() {
    sim::run(4, |sim| async move {
        let scene = scene(&sim, [Behaviour::Good; 6].into_iter().chain([Behaviour::CloseAtOnce; 6]));
        let done = Rc::new(std::cell::Cell::new(0));
        for index in 0..6 {
            let (scene, done) = (scene.clone(), done.clone());
            sim.spawn(async move {
                play(&scene, plan(vec![ask(&wire::marker(index, 0, 5), "solo-chat", Form::Whole)])).await;
                done.set(done.get() + 1);
            });
        }
        while done.get() < 6 {
            sim.sleep(Duration::from_millis(100)).await;
        }
        records(&scene);
        let marker = wire::marker(9, 0, 5);
        play(&scene, plan(vec![ask(&marker, "solo-chat", Form::Whole)])).await;
        let asked = scene.log.borrow().iter().filter(|served| served.marker == marker).count();
        let attempts = records(&scene)[0].attempts.len();
        assert!(asked <= 2 * attempts, "{asked} requests in {attempts} attempts");
    });
}

#[test]
fn a_head_that_comes_alone_reaches_the_client_whole() {
    for seed in 0..20 {
        let saw = sim::run(seed, |sim| async move {
            let scene = scene(&sim, [Behaviour::Good]);
            play(&scene, plan(vec![ask(&wire::marker(0, 0, 5), "solo-chat", Form::Stream)])).await
        });
        assert_eq!(saw.answers[0].field("content-type"), Some("text/event-stream"), "sim seed {seed}");
    }
}

#[test]
fn a_silent_target_is_not_asked_again_by_a_rescue() {
    sim::run(5, |sim| async move {
        // The beginning of the stream is out when the last target falls silent.
        let cut = Behaviour::Cut(600);
        let scene = scene(&sim, [cut, Behaviour::Silent, Behaviour::HeadThenSilent]);
        let saw = play(&scene, plan(vec![ask(&wire::marker(0, 0, 40), "rescue-chat", Form::Stream)])).await;
        let places: Vec<_> = scene.log.borrow().iter().map(|served| served.place.name).collect();
        assert_eq!(places, ["alpha", "beta", "gamma"]);
        assert!(!saw.answers[0].complete);
    });
}

#[test]
fn a_dribbling_upstream_is_cut_at_the_total_time() {
    sim::run(6, |sim| async move {
        let scene = scene(&sim, [Behaviour::Slow]);
        let saw = play(&scene, plan(vec![ask(&wire::marker(0, 0, 3000), "solo-chat", Form::Stream)])).await;
        let record = &records(&scene)[0];
        assert!(!saw.answers[0].complete);
        assert!(record.total_ns.abs_diff(super::TOTAL_NS) <= super::SLACK_NS, "{} ms", record.total_ns / 1_000_000);
    });
}

/// Plays one request on `route` whose providers do what `script` says, in the order in which they are asked.
async fn hedged(sim: &Sim, form: Form, script: &[Behaviour]) -> (Rc<Scene>, Saw, Record) {
    let scene = scene(sim, script.iter().copied());
    let saw = play(&scene, plan(vec![ask(&wire::marker(0, 0, 40), "hedged", form)])).await;
    let record = records(&scene).remove(0);
    (scene, saw, record)
}

#[test]
fn a_late_first_byte_is_hedged_and_the_loser_is_cancelled_at_once() {
    for (seed, form) in [(10, Form::Stream), (11, Form::Whole), (12, Form::Stream)] {
        sim::run(seed, move |sim| async move {
            let late = if seed == 12 { Behaviour::HeadThenSilent } else { Behaviour::Silent };
            let (scene, saw, record) = hedged(&sim, form, &[late, Behaviour::Good]).await;
            assert!(saw.answers[0].complete && saw.answers[0].status == 200);
            assert!(record.total_ns < 1_000_000_000, "{} ms", record.total_ns / 1_000_000);
            let attempts: Vec<_> = record.attempts.iter().map(|attempt| (&*attempt.provider, attempt.overtaken, attempt.fault)).collect();
            assert_eq!(attempts, [("alpha", true, None), ("beta", false, None)]);
            assert!(record.attempts[0].usage.input > 0, "what is cancelled is billed all the same");
            assert_eq!((record.provider.as_deref(), record.attempts[1].status), (Some("beta"), 200));
            sim.sleep(Duration::from_secs(1)).await;
            let log = scene.log.borrow();
            let (closed_ns, asked_ns) = (log[0].closed_ns.expect("the loser is closed"), log[1].begun_ns);
            assert!(closed_ns < asked_ns + super::CANCEL_NS, "{} ms after the winner was asked", (closed_ns - asked_ns) / 1_000_000);
        });
    }
}

#[test]
fn an_answer_in_time_is_not_hedged() {
    sim::run(13, |sim| async move {
        let (scene, saw, record) = hedged(&sim, Form::Stream, &[Behaviour::Good, Behaviour::Good]).await;
        assert!(saw.answers[0].complete);
        assert_eq!((record.attempts.len(), scene.log.borrow().len()), (1, 1));
    });
}

#[test]
fn a_hedge_that_fails_leaves_the_first_its_time_and_the_next_target_its_turn() {
    sim::run(14, |sim| async move {
        let (scene, saw, record) = hedged(&sim, Form::Whole, &[Behaviour::Silent, Behaviour::Status(500), Behaviour::Good]).await;
        assert!(saw.answers[0].complete && saw.answers[0].status == 200, "{:?}", record);
        let places: Vec<_> = scene.log.borrow().iter().map(|served| served.place.name).collect();
        assert_eq!(places[..2], ["alpha", "beta"]);
        let faults: Vec<_> = record.attempts.iter().map(|attempt| (&*attempt.provider, attempt.fault)).collect();
        assert_eq!(faults[..2], [("alpha", Some(Kind::UpstreamTimeout)), ("beta", Some(Kind::UpstreamError))]);
        assert!(record.total_ns >= super::FIRST_BYTE_NS, "the first had all of its time");
    });
}

#[test]
fn hedges_stay_within_their_share_of_the_requests() {
    sim::run(15, |sim| async move {
        let scene = scene(&sim, []);
        let mut hedge_count = 0;
        for index in 0..8 {
            // Whoever is asked first is silent; whoever is asked then is good.
            scene.script.borrow_mut().extend([Behaviour::Silent, Behaviour::Good]);
            let saw = play(&scene, plan(vec![ask(&wire::marker(index, 0, 5), "hedged-rarely", Form::Whole)])).await;
            assert!(saw.answers[0].complete);
            let record = &records(&scene)[0];
            hedge_count += record.attempts.iter().filter(|attempt| attempt.overtaken).count();
        }
        assert_eq!(hedge_count, 2, "a quarter of eight");
    });
}

#[test]
fn a_client_that_leaves_a_race_closes_both_upstreams() {
    sim::run(16, |sim| async move {
        let scene = scene(&sim, [Behaviour::Silent, Behaviour::Silent]);
        let mut asks = plan(vec![ask(&wire::marker(0, 0, 5), "hedged", Form::Whole)]);
        asks.leave = Leave::After(Duration::from_millis(800));
        let saw = play(&scene, asks).await;
        sim.sleep(Duration::from_secs(1)).await;
        let left_ns = saw.left_ns.expect("it left");
        let log = scene.log.borrow();
        assert_eq!(log.len(), 2);
        for served in log.iter() {
            assert!(served.closed_ns.is_some_and(|closed_ns| closed_ns <= left_ns + super::CANCEL_NS), "{served:?}");
        }
        let record = &records(&scene)[0];
        assert_eq!((record.fault, record.attempts.len()), (Some(Kind::ClientGone), 2));
    });
}
