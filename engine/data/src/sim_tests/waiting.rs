//! Waiting in line, with two shards and one lobby: nobody is forgotten, nobody goes beyond the limit, nothing is left.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_adapters::fault::Kind;
use ringway_policy::counters::ShardCounters;
use ringway_policy::lease::Now;
use ringway_policy::record::{Ended, Outbox, Record};
use ringway_policy::snapshot::Snapshot;
use ringway_policy::tuning::Tuning;

use super::Scene;
use super::client::{self, Ask, Leave, Pace, Plan, Saw, Sense, Style};
use super::upstream::{self, Behaviour};
use super::wire::{self, Form, Wire};
use crate::conn;
use crate::listener::Peer;
use crate::queue::Lobby;
use crate::rt::Rt;
use crate::rt::sim::{self, Faults, Sim};
use crate::shard::Shard;
use crate::tls::Stream;

const SHARDS: usize = 2;
/// Of the provider, for both shards together.
const AT_ONCE: u64 = 3;
const CLIENTS: usize = 40;
/// Far more than all of them take, one after the other.
const WAIT: Duration = Duration::from_secs(60);
const CONFIG: &str = r#"
queue: {entries: 64, wait: 60s}
providers:
  alpha: {like: openai, base_url: "http://127.0.0.1:9001/v1", keys: [test], usage: tap, LIMITS}
routes:
  solo-chat: {targets: [alpha/m], timeouts: {connect: 2s, first_byte: 60s, idle: 60s, total: 5m}, breaker: off, retries: 0}
"#;

/// Two shards of one process.
struct House {
    scene: Rc<Scene>,
    shards: Vec<Rc<Shard<Sim>>>,
    lobby: Arc<Lobby>,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

impl House {
    fn new(sim: &Sim, limits: &str, in_flight_max: usize) -> House {
        House::of(sim, &CONFIG.replace("LIMITS", limits), in_flight_max)
    }

    fn of(sim: &Sim, config: &str, in_flight_max: usize) -> House {
        let scene = Scene::new(sim, 100);
        upstream::start(&scene);
        let config = ringway_policy::config::parse(config, &|_| None).expect("the configuration is good");
        let snapshot = Snapshot::compile_for(&config, ringway_adapters::provider::builtins(), None, 1, SHARDS).expect("it compiles");
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let calls: Arc<[AtomicBool; SHARDS]> = Arc::default();
        let seen = calls.clone();
        let lobby = Arc::new(Lobby::new(move |shard| seen[shard].store(true, Ordering::Release)));
        let tuning = Arc::new(Tuning { in_flight_max, ..Tuning::default() });
        let shard = |index: usize| {
            let (outbox, counters) = (Arc::new(Outbox::new(1024)), Arc::<ShardCounters>::default());
            Shard::trusting(sim.clone(), index as u16, tuning.clone(), snapshot.clone(), outbox, counters, Arc::default(), lobby.clone())
        };
        let shards: Vec<Rc<Shard<Sim>>> = (0..SHARDS).map(shard).collect();
        for (index, shard) in shards.iter().enumerate() {
            // An eventfd's part: a call on another shard arrives a little later.
            let (sim, shard, calls) = (sim.clone(), Rc::downgrade(shard), calls.clone());
            sim.clone().spawn(async move {
                loop {
                    sim.sleep(Duration::from_micros(50 + sim.random() % 200)).await;
                    let Some(shard) = shard.upgrade() else { return };
                    if calls[index].swap(false, Ordering::AcqRel) {
                        shard.look_around();
                    }
                }
            });
        }
        House { scene, shards, lobby, snapshot }
    }

    fn records(&self) -> Vec<Record> {
        self.shards.iter().flat_map(|shard| std::iter::from_fn(|| shard.outbox.pop())).collect()
    }

    async fn play(&self, shard: usize, plan: Plan) -> Saw {
        let (ours, theirs) = sim::pair(&self.scene.sim);
        let shard = self.shards[shard].clone();
        self.scene.sim.spawn(async move { conn::serve(shard, Stream::Plain(theirs), Peer { address: None, trusted: false }).await });
        client::play(&self.scene, ours, plan).await
    }

    /// Nobody waits, nothing is promised, nothing is under way.
    fn is_empty(&self) -> bool {
        let now = Now { mono_ns: self.scene.sim.now_ns(), unix_ms: self.scene.sim.unix_ms() };
        let reserved: u64 = self.snapshot.load().quotas.iter().map(|quota| quota.account.standing(now).reserved).sum();
        let queued = |shard: &Rc<Shard<Sim>>| shard.counters.queued.iter().map(|queued| queued.load(Ordering::Relaxed)).sum::<u64>();
        let under_way = |shard: &Rc<Shard<Sim>>| shard.counters.in_flight.load(Ordering::Relaxed) + queued(shard);
        reserved == 0 && self.lobby.is_empty() && self.shards.iter().map(under_way).sum::<u64>() == 0
    }
}

fn plan(marker: &str, leave: Leave) -> Plan {
    let body = wire::question(Wire::Chat, "solo-chat", marker, Form::Whole, 0);
    let bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: {marker}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let ask = Ask { marker: marker.to_owned(), route: "solo-chat", form: Form::Whole, bytes: bytes.into_bytes(), sense: Sense::Good };
    Plan { wire: Wire::Chat, style: Style::OneByOne, pace: Pace::Fast, leave, asks: vec![ask] }
}

/// Plays `CLIENTS` at once against a limit; gives the records once all is quiet.
fn crowd(seed: u64, limits: &'static str, in_flight_max: usize) -> Vec<Record> {
    sim::run(seed, move |sim| async move {
        let house = Rc::new(House::new(&sim, limits, in_flight_max));
        sim.inject(if seed.is_multiple_of(2) { Faults::NONE } else { Faults::ROUGH });
        let done = Rc::new(Cell::new(0));
        for index in 0..CLIENTS {
            let (house, done) = (house.clone(), done.clone());
            sim.spawn(async move {
                let sim = &house.scene.sim;
                sim.sleep(Duration::from_micros(sim.random() % 30_000)).await;
                // Some leave before, while and after they wait.
                let leave = match sim.random() % 4 {
                    0 => Leave::After(Duration::from_micros(sim.random() % 400_000)),
                    _ => Leave::Never,
                };
                let plan = plan(&wire::marker(index, 0, 1 + (sim.random() % 30) as usize), leave);
                let shard = (sim.random() % SHARDS as u64) as usize;
                house.play(shard, plan).await;
                done.set(done.get() + 1);
            });
        }
        while done.get() < CLIENTS {
            sim.sleep(Duration::from_millis(10)).await;
        }
        sim.sleep(Duration::from_secs(1)).await;
        assert!(house.is_empty(), "sim seed {seed}: somebody still waits, or something is still promised");
        assert!(house.scene.violations.borrow().is_empty(), "sim seed {seed}: {:?}", house.scene.violations.borrow());
        house.records()
    })
}

/// Every exchange ended well or with its client; nobody's wait ended for another reason than room.
fn check(seed: u64, records: &[Record]) -> usize {
    let waits: Vec<_> = records.iter().flat_map(|record| record.trail.waits.iter()).collect();
    for record in records {
        let fair = matches!(record.fault, None | Some(Kind::ClientGone | Kind::UpstreamReset | Kind::UpstreamConnect));
        assert!(fair, "sim seed {seed}: {:?} {:?}", record.fault, record.trail.waits);
    }
    for wait in &waits {
        assert!(matches!(wait.ended, Ended::Admitted | Ended::Left), "sim seed {seed}: {wait:?}");
        assert!(wait.waited_ns < WAIT.as_nanos() as u64 / 4, "sim seed {seed}: forgotten for {} ms", wait.waited_ns / 1_000_000);
    }
    waits.len()
}

#[test]
fn nobody_who_waits_for_a_limit_is_forgotten() {
    let mut wait_count = 0;
    for seed in 0..48 {
        let records = crowd(seed, "limits: [{concurrent: 3}]", 10_000);
        wait_count += check(seed, &records);
    }
    assert!(wait_count > 48 * 10, "{wait_count} waits");
}

#[test]
fn nobody_who_waits_for_a_rate_is_forgotten() {
    for seed in 0..16 {
        check(seed, &crowd(seed, "limits: [{requests: 5, per: 1s}, {concurrent: 4}]", 10_000));
    }
}

#[test]
fn nobody_who_waits_for_the_shards_own_bound_is_forgotten() {
    let mut wait_count = 0;
    for seed in 0..24 {
        wait_count += check(seed, &crowd(seed, "limits: []", 2));
    }
    assert!(wait_count > 24 * 10, "{wait_count} waits");
}

#[test]
fn a_limit_that_is_waited_for_is_kept() {
    sim::run(7, |sim| async move {
        let house = Rc::new(House::new(&sim, "limits: [{concurrent: 3}]", 10_000));
        house.scene.script.borrow_mut().extend([Behaviour::Good; 30]);
        let done = Rc::new(Cell::new(0));
        for index in 0..30 {
            let (house, done) = (house.clone(), done.clone());
            sim.spawn(async move {
                house.play(index % SHARDS, plan(&wire::marker(index, 0, 20), Leave::Never)).await;
                done.set(done.get() + 1);
            });
        }
        let mut most = 0;
        while done.get() < 30 {
            sim.sleep(Duration::from_micros(100)).await;
            let now = Now { mono_ns: sim.now_ns(), unix_ms: sim.unix_ms() };
            let reserved = house.snapshot.load().quotas.iter().map(|quota| quota.account.standing(now).reserved).sum();
            most = most.max(reserved);
        }
        assert_eq!(most, AT_ONCE);
        assert_eq!(house.scene.log.borrow().len(), 30);
    });
}

/// Its own budget is used up, so another route stands in, whose place everyone waits for.
#[test]
fn who_stands_in_still_does_after_a_wait() {
    sim::run(11, |sim| async move {
        let config = CONFIG.replace(", LIMITS}", "}").replace("routes:\n", "routes:\n  cheap: {targets: [alpha/cheap-m]}\n");
        let config = format!(
            "{config}limits: [{{concurrent: 1}}]\n\
             virtual_keys: {{poor: {{key: poor-key-0123456789, budgets: [{{tokens: 1, per: 1d, on_exhaust: {{downgrade: cheap}}}}]}}}}\n"
        );
        let house = Rc::new(House::of(&sim, &config, 10_000));
        // A slow one, a second between two pieces, may take longer than the clients' patience.
        house.scene.script.borrow_mut().extend([Behaviour::Good; 3]);
        let done = Rc::new(Cell::new(0));
        for index in 0..3 {
            let (house, done) = (house.clone(), done.clone());
            sim.spawn(async move {
                let mut plan = plan(&wire::marker(index, 0, 20), Leave::Never);
                let bytes = String::from_utf8(plan.asks[0].bytes.clone()).unwrap();
                let bytes = bytes.replace("{\"model\"", "{\"max_tokens\":9,\"model\"");
                let length = bytes.split_once("\r\n\r\n").unwrap().1.len();
                let old = bytes.split_once("content-length: ").unwrap().1.split_once('\r').unwrap().0.to_owned();
                let new = format!("content-length: {length}\r\nauthorization: Bearer poor-key-0123456789");
                plan.asks[0].bytes = bytes.replace(&format!("content-length: {old}"), &new).into_bytes();
                house.play(index % SHARDS, plan).await;
                done.set(done.get() + 1);
            });
        }
        while done.get() < 3 {
            sim.sleep(Duration::from_millis(1)).await;
        }
        let records = house.records();
        let waits: usize = records.iter().map(|record| record.trail.waits.len()).sum();
        assert!(waits >= 2, "{waits} waits");
        assert!(house.scene.violations.borrow().is_empty(), "{:?}", house.scene.violations.borrow());
        for record in &records {
            assert_eq!(record.model.as_deref(), Some("cheap-m"), "{:?}", record.trail.waits);
            assert_eq!((record.fault, record.status), (None, 200));
        }
    });
}
