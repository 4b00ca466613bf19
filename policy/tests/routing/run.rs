//! One run: requests arrive by chance, attempts overlap, and the policy decides with what it has seen.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::builtins;
use ringway_policy::breaker::Outcome;
use ringway_policy::config;
use ringway_policy::facts::{Facts, Says};
use ringway_policy::health::Watch;
use ringway_policy::lease::Now;
use ringway_policy::plan::{Plan, Trigger, plan};
use ringway_policy::retry::{self, Next, Progress};
use ringway_policy::snapshot::{Snapshot, draw};

use crate::scenarios::Scenario;
use crate::world::{Answer, Knock};

const SECOND_NS: u64 = 1_000_000_000;

const USERS: u64 = 500;

/// Who asks.
#[derive(Debug)]
struct User(u64);

impl Says for User {
    fn user(&self) -> Option<Cow<'_, str>> {
        Some(format!("user-{}", self.0).into())
    }

    fn header(&self, _: &str) -> Option<&str> {
        None
    }

    fn tag(&self, _: &str) -> Option<&str> {
        None
    }

    fn key(&self) -> Option<&str> {
        None
    }
}

/// What a run came to.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    requests: u64,
    good: u64,
    attempts: u64,
    cost: f64,
    /// Of good answers, in order of arrival of their ends.
    latencies_ms: Vec<u64>,
}

impl Report {
    pub fn good_percent(&self) -> f64 {
        100.0 * self.good as f64 / self.requests as f64
    }

    pub fn attempts_per_request(&self) -> f64 {
        self.attempts as f64 / self.requests as f64
    }

    pub fn cost_per_request(&self) -> f64 {
        self.cost / self.requests as f64
    }

    pub fn p95_ms(&self) -> u64 {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 95 / 100).copied().unwrap_or(u64::MAX)
    }
}

/// A request under way.
struct Exchange {
    plan: Plan,
    begun_ns: u64,
    step: usize,
    tries: u32,
    cause: Trigger,
    /// The attempt under way: what it will come to, and with which key.
    attempt: Option<(Watch, Answer, usize)>,
}

struct Run<'a> {
    scenario: &'a Scenario,
    snapshot: Snapshot,
    random: u64,
    /// Time and number of the exchange; an exchange has one entry at most.
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    exchanges: Vec<Exchange>,
    under_way: HashMap<usize, u64>,
    /// Attempts by target, key and second.
    knocks: HashMap<(usize, usize, u64), u64>,
    report: Report,
}

/// Runs a scenario.
pub fn run(scenario: &Scenario, seed: u64) -> Report {
    let config = config::parse(&file(scenario), &|_| None).unwrap_or_else(|problems| panic!("{}: {problems:#?}", scenario.name));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).expect("what parses compiles");
    let mut run = Run {
        scenario,
        snapshot,
        random: seed,
        queue: BinaryHeap::new(),
        exchanges: Vec::new(),
        under_way: HashMap::new(),
        knocks: HashMap::new(),
        report: Report::default(),
    };
    let mut next_ns = SECOND_NS / 2;
    while next_ns < scenario.seconds * SECOND_NS {
        run.advance(next_ns);
        run.arrive(next_ns);
        // Exponential gaps: arrivals that know nothing of each other.
        let unit = (run.below(1 << 20) + 1) as f64 / (1u64 << 20) as f64;
        next_ns += (-unit.ln() * SECOND_NS as f64 / scenario.per_s as f64) as u64 + 1;
    }
    run.advance(u64::MAX);
    run.report
}

/// Targets `p0/m`, `p1/m`, …: the first `targets` of them are the route's, the others its fallbacks.
fn file(scenario: &Scenario) -> String {
    let keys: Vec<String> = (0..scenario.keys).map(|key| format!("k{key}")).collect();
    let providers: String = (0..scenario.places.len())
        .map(|index| format!("  p{index}: {{like: openai, base_url: \"http://127.0.0.1:1\", keys: [{}]}}\n", keys.join(", ")))
        .collect();
    let names: Vec<String> = (0..scenario.places.len()).map(|index| format!("p{index}/m")).collect();
    let (targets, fallbacks) = names.split_at(scenario.targets);
    format!(
        "providers:\n{providers}routes:\n  r:\n    strategy: {}\n    targets: [{}]\n    fallbacks: [{}]\n    timeouts: {{first_byte: 2s, total: 10s}}\n",
        scenario.strategy,
        targets.join(", "),
        fallbacks.join(", ")
    )
}

impl Run<'_> {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random() % bound
    }

    /// Lets everything happen that is due before `until_ns`.
    fn advance(&mut self, until_ns: u64) {
        while let Some(&Reverse((now_ns, index))) = self.queue.peek()
            && now_ns < until_ns
        {
            self.queue.pop();
            match self.exchanges[index].attempt.take() {
                Some((watch, answer, key)) => self.end_attempt(index, now_ns, watch, answer, key),
                None => self.go_on(index, now_ns),
            }
        }
    }

    fn arrive(&mut self, now_ns: u64) {
        let user = User(self.below(USERS));
        let facts = Facts {
            operation: Operation::Chat,
            dialect: DialectId::OpenaiChat,
            model: "r",
            fallbacks: &[],
            key: None,
            mode: Mode::Stream,
            body_bytes: 1_000,
            max_tokens: None,
            choices: 1,
            client: None,
            tags: ringway_policy::tags::Tags::default(),
            says: &user,
        };
        let mut random = self.random();
        let mut rng = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random ^ (random >> 29)
        };
        let now = Now { mono_ns: now_ns, unix_ms: now_ns / 1_000_000 };
        let plan = plan(&self.snapshot, &facts, now, &mut rng).expect("the route is there");
        self.report.requests += 1;
        self.exchanges.push(Exchange { plan, begun_ns: now_ns, step: 0, tries: 0, cause: Trigger::Error, attempt: None });
        self.go_on(self.exchanges.len() - 1, now_ns);
    }

    /// As the data plane does: passes over what is unavailable, then makes the next attempt.
    fn go_on(&mut self, index: usize, now_ns: u64) {
        loop {
            let exchange = &mut self.exchanges[index];
            let step = &exchange.plan.steps[exchange.step];
            let Some(passed_over) = exchange.plan.unavailable(&self.snapshot, step, None, now_ns) else { break };
            if exchange.tries == 0 && exchange.step == 0 {
                exchange.cause = retry::trigger(passed_over.kind);
            }
            let Some(next) = exchange.plan.next_beyond(exchange.step, exchange.cause) else { return };
            (exchange.step, exchange.tries) = (next, 0);
        }
        let (random, chance) = (self.random(), self.below(1_000));
        let exchange = &mut self.exchanges[index];
        let step = &exchange.plan.steps[exchange.step];
        exchange.tries += 1;
        if exchange.tries == 1 {
            step.target.retry_budget.deposit(now_ns);
        }
        let credentials = &self.snapshot.providers[step.provider].credentials;
        let drawn = draw(credentials, now_ns, random).expect("one is usable");
        let key = credentials.iter().position(|credential| credential.name == drawn.name).expect("drawn from here");
        let place = place_of(&self.snapshot, step.provider);
        let under_way = self.under_way.entry(place).or_default();
        *under_way += 1;
        let this_second = self.knocks.entry((place, key, now_ns / SECOND_NS)).or_default();
        *this_second += 1;
        let knock = Knock { now_ns, key, under_way: *under_way, this_second: *this_second, chance };
        let answer = self.scenario.places[place].answer(&knock);
        self.report.attempts += 1;
        let end_ns = now_ns + answer.after.as_nanos() as u64;
        exchange.attempt = Some((Watch::begin(&step.target, Mode::Stream, now_ns), answer, key));
        self.queue.push(Reverse((end_ns, index)));
    }

    fn end_attempt(&mut self, index: usize, now_ns: u64, watch: Watch, answer: Answer, key: usize) {
        let random = self.random();
        let exchange = &mut self.exchanges[index];
        let step = &exchange.plan.steps[exchange.step];
        let place = place_of(&self.snapshot, step.provider);
        *self.under_way.get_mut(&place).expect("it was under way") -= 1;
        let credential = &self.snapshot.providers[step.provider].credentials[key];
        let settings = &exchange.plan.rules.breaker;
        let Some(fault) = answer.fault else {
            watch.first_byte(now_ns);
            credential.heal(now_ns);
            if let Some(reset) = answer.reset {
                credential.read_ahead(reset, now_ns);
            }
            step.target.tell(settings, Outcome::Success, now_ns);
            self.report.good += 1;
            self.report.cost += self.scenario.places[place].price;
            self.report.latencies_ms.push((now_ns - exchange.begun_ns) / 1_000_000);
            return;
        };
        credential.tell_of(&step.model, &fault, now_ns);
        step.target.tell(settings, Outcome::of(fault.kind), now_ns);
        if fault.kind == Kind::UpstreamTimeout {
            self.report.cost += self.scenario.places[place].price;
        }
        self.decide(index, now_ns, &fault, random);
    }

    fn decide(&mut self, index: usize, now_ns: u64, fault: &Fault, random: u64) {
        let exchange = &mut self.exchanges[index];
        let total_ns = exchange.plan.rules.total.as_nanos() as u64;
        let left_ns = (exchange.begun_ns + total_ns).saturating_sub(now_ns);
        let progress = Progress { step: exchange.step, attempts_on_step: exchange.tries, left_ns, now_ns };
        let budget = &exchange.plan.steps[exchange.step].target.retry_budget;
        exchange.cause = retry::trigger(fault.kind);
        let wait = match retry::next(&exchange.plan, progress, fault, budget, random) {
            Next::Same { wait } => wait,
            Next::Target { step } => {
                (exchange.step, exchange.tries) = (step, 0);
                Duration::ZERO
            }
            Next::GiveUp => return,
        };
        self.queue.push(Reverse((now_ns + wait.as_nanos() as u64, index)));
    }
}

/// `p3` is place 3.
fn place_of(snapshot: &Snapshot, provider: usize) -> usize {
    snapshot.providers[provider].name.trim_start_matches('p').parse().expect("a provider of the scenario")
}
