//! Runs threads one atomic step at a time, in an order that the test gives, and stops some of them half-way for good.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};

/// Whether a step is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Run,
    /// The thread has stopped for good and is unwinding: it must not leave a trace any more.
    Skip,
}

/// In which order, and who stops where.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Chooses among those that can run; begins again when it is used up.
    pub order: Vec<u8>,
    /// The thread, and before which of its steps it stops for good.
    pub crash: Option<(usize, u32)>,
}

struct Turn {
    /// Whose step is next.
    current: usize,
    running: Vec<bool>,
    position: usize,
}

struct Shared {
    turn: Mutex<Turn>,
    changed: Condvar,
    plan: Plan,
}

struct Actor {
    index: usize,
    shared: Arc<Shared>,
    steps: u32,
    crashed: bool,
}

struct Crashed;

thread_local! {
    static ACTOR: RefCell<Option<Actor>> = const { RefCell::new(None) };
}

/// Called before each atomic step. Outside of a schedule it is one.
pub(crate) fn step() -> Step {
    let (shared, index, crashes) = {
        let mut actor = ACTOR.take();
        let Some(actor_now) = &mut actor else { return Step::Run };
        if actor_now.crashed {
            ACTOR.set(actor);
            return Step::Skip;
        }
        actor_now.steps += 1;
        let crashes = actor_now.shared.plan.crash == Some((actor_now.index, actor_now.steps));
        actor_now.crashed = crashes;
        let found = (actor_now.shared.clone(), actor_now.index, crashes);
        ACTOR.set(actor);
        found
    };
    if crashes {
        resume_unwind(Box::new(Crashed));
    }
    shared.pass_on();
    shared.wait_for(index);
    Step::Run
}

impl Shared {
    fn pass_on(&self) {
        let mut turn = self.turn.lock().unwrap();
        let runnable: Vec<usize> = (0..turn.running.len()).filter(|index| turn.running[*index]).collect();
        if !runnable.is_empty() {
            let choice =
                if self.plan.order.is_empty() { turn.position } else { self.plan.order[turn.position % self.plan.order.len()].into() };
            // A plan that always chooses the same ends, too: every round it is shifted.
            let shift = turn.position / self.plan.order.len().max(1);
            turn.current = runnable[(choice + shift) % runnable.len()];
            turn.position += 1;
        }
        self.changed.notify_all();
    }

    fn wait_for(&self, index: usize) {
        let mut turn = self.turn.lock().unwrap();
        while turn.current != index {
            turn = self.changed.wait(turn).unwrap();
        }
    }

    fn leave(&self, index: usize) {
        self.turn.lock().unwrap().running[index] = false;
        self.pass_on();
    }
}

/// Runs all to their end, or to where the plan stops them; `None` for those.
pub(crate) fn run<'a, T: Send + 'a>(plan: &Plan, doers: Vec<Box<dyn FnOnce() -> T + Send + 'a>>) -> Vec<Option<T>> {
    let turn = Turn { current: 0, running: vec![true; doers.len()], position: 0 };
    let shared = Arc::new(Shared { turn: Mutex::new(turn), changed: Condvar::new(), plan: plan.clone() });
    std::thread::scope(|scope| {
        let spawn = |(index, doer): (usize, Box<dyn FnOnce() -> T + Send + 'a>)| {
            let shared = shared.clone();
            scope.spawn(move || {
                ACTOR.set(Some(Actor { index, shared: shared.clone(), steps: 0, crashed: false }));
                shared.wait_for(index);
                let outcome = catch_unwind(AssertUnwindSafe(doer));
                ACTOR.take();
                shared.leave(index);
                match outcome {
                    Ok(value) => Some(value),
                    Err(panic) if panic.is::<Crashed>() => None,
                    Err(panic) => resume_unwind(panic),
                }
            })
        };
        let threads: Vec<_> = doers.into_iter().enumerate().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
