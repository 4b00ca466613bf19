//! Providers of the simulation: what each does with an attempt, by the second of the run.

use std::time::Duration;

use ringway_adapters::fault::{Fault, Kind};

/// What a target does from one second to another.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Answers after about so many milliseconds.
    Good(u64),
    /// Fails so many of a hundred attempts with a 500 after 50 ms, answers the others after 200 ms.
    Fails(u64),
    /// Refuses every connection at once.
    Down,
    /// Says nothing until the first-byte timeout.
    Silent,
    /// Up and down by turns of so many seconds.
    Flaps(u64),
    /// So many answers a second and key; the rest gets a 429, with a `Retry-After` of so many seconds where there is one.
    Limited { per_s: u64, retry_after_s: Option<u64> },
    /// As `Limited` with `Retry-After`, but each good answer says when nothing is left.
    Announced { per_s: u64 },
    /// Keys up to this one get a 401.
    BadKeys(usize),
    /// Keys up to this one get a 429 for want of money.
    Spent(usize),
    /// So many attempts at once, one more each second since the phase began; more fail with a 503.
    Warming(u64),
    /// So many attempts at once; more fail with a 503.
    Capacity(u64),
}

/// From this second on.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    pub from_s: u64,
    pub behaviour: Behaviour,
}

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What an answer costs, and one that was given up for its silence.
    pub price: f64,
    pub phases: &'static [Phase],
}

/// An attempt as the provider sees it.
pub struct Knock {
    pub now_ns: u64,
    /// Which of the target's keys it carries.
    pub key: usize,
    /// Attempts under way there, this one included.
    pub under_way: u64,
    /// Of this second and key, this one included.
    pub this_second: u64,
    /// Uniform in 0..1000.
    pub chance: u64,
}

/// What becomes of it.
pub struct Answer {
    pub after: Duration,
    pub fault: Option<Fault>,
    /// What a good answer says of its limit.
    pub reset: Option<Duration>,
}

const SECOND_NS: u64 = 1_000_000_000;
const GOOD_MS: u64 = 200;

impl Place {
    pub fn answer(&self, knock: &Knock) -> Answer {
        let second = knock.now_ns / SECOND_NS;
        let phase = self.phases.iter().rev().find(|phase| phase.from_s <= second).expect("a phase from second 0");
        match phase.behaviour {
            Behaviour::Good(ms) => good(ms, knock),
            Behaviour::Fails(percent) if knock.chance % 100 < percent => bad(50, Kind::UpstreamError),
            Behaviour::Down => bad(1, Kind::UpstreamConnect),
            Behaviour::Silent => bad(2_000, Kind::UpstreamTimeout),
            Behaviour::Flaps(period_s) if (second / period_s) % 2 == 1 => bad(20, Kind::UpstreamError),
            Behaviour::Limited { per_s, retry_after_s } if knock.this_second > per_s => {
                let mut answer = bad(20, Kind::UpstreamRateLimited);
                if let Some(fault) = &mut answer.fault {
                    fault.retry_after = retry_after_s.map(Duration::from_secs);
                }
                answer
            }
            Behaviour::Announced { per_s } => {
                let rest = Duration::from_nanos(SECOND_NS - knock.now_ns % SECOND_NS);
                match knock.this_second > per_s {
                    true => {
                        let mut answer = bad(20, Kind::UpstreamRateLimited);
                        answer.fault.iter_mut().for_each(|fault| fault.retry_after = Some(rest));
                        answer
                    }
                    // The head comes long before the answer's end, but the simulation tells both at once: it comes soon.
                    false => Answer { reset: (knock.this_second == per_s).then_some(rest), ..good(20, knock) },
                }
            }
            Behaviour::BadKeys(last) if knock.key <= last => bad(30, Kind::UpstreamAuth),
            Behaviour::Spent(last) if knock.key <= last => bad(30, Kind::UpstreamSpendCap),
            Behaviour::Warming(first) if knock.under_way > first + second - phase.from_s => bad(100, Kind::UpstreamError),
            Behaviour::Capacity(most) if knock.under_way > most => bad(100, Kind::UpstreamError),
            _ => good(GOOD_MS, knock),
        }
    }
}

/// Within 30 % of the mean; longer than the first-byte timeout is a timeout.
fn good(ms: u64, knock: &Knock) -> Answer {
    let ms = ms * (700 + knock.chance * 6 / 10) / 1_000;
    match ms {
        2_000.. => bad(2_000, Kind::UpstreamTimeout),
        ms => Answer { after: Duration::from_millis(ms), fault: None, reset: None },
    }
}

fn bad(ms: u64, kind: Kind) -> Answer {
    Answer { after: Duration::from_millis(ms), fault: Some(Fault::new(kind, "simulated")), reset: None }
}
