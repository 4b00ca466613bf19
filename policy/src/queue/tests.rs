//! What the queue promises, by example and in random steps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn bounds(entries_max: usize) -> Bounds {
    Bounds { entries_max, wait: Duration::from_millis(1_000) }
}

fn entry(ticket: u64, class: Class, key: &str) -> Entry {
    Entry { ticket: Ticket(ticket), class, key: key.into(), amount: 1, since_ns: 0 }
}

fn drained(queue: &mut Queue, now_ns: u64) -> Vec<u64> {
    std::iter::from_fn(|| {
        let ticket = queue.call(now_ns, &bounds(1_000), |_| true)?;
        queue.remove(ticket);
        Some(ticket.0)
    })
    .collect()
}

#[test]
fn high_goes_before_normal_before_low() {
    let mut queue = Queue::default();
    for (ticket, class) in [Class::Low, Class::Normal, Class::High].into_iter().cycle().take(60).enumerate() {
        queue.push(entry(ticket as u64, class, "k"), &bounds(60));
    }
    let order = drained(&mut queue, 0);
    let class = |ticket: &u64| [Class::Low, Class::Normal, Class::High][(*ticket % 3) as usize];
    assert!(order.iter().map(class).is_sorted(), "{order:?}");
    for rest in 0..3 {
        assert!(order.iter().filter(|ticket| **ticket % 3 == rest).is_sorted(), "in their order within a class");
    }
}

#[test]
fn who_has_waited_long_takes_turns_by_weight() {
    let mut queue = Queue::default();
    for ticket in 0..390 {
        queue.push(entry(ticket, Class::ALL[(ticket % 3) as usize], "k"), &bounds(390));
    }
    let patience_ns = 1_000 * MS / PATIENCE_DIVISOR;
    let order = drained(&mut queue, patience_ns);
    for round in order[..130].chunks(13) {
        let counts = Class::ALL.map(|class| round.iter().filter(|ticket| **ticket % 3 == class.index() as u64).count());
        assert_eq!(counts, [8, 4, 1], "{round:?}");
    }
}

#[test]
fn keys_of_one_class_share_their_turns() {
    let mut queue = Queue::default();
    for (ticket, key) in (0..20).map(|ticket| (ticket, "greedy")).chain((20..23).map(|ticket| (ticket, "modest"))) {
        assert_eq!(queue.push(entry(ticket, Class::Normal, key), &bounds(100)), Pushed::In);
    }
    assert_eq!(drained(&mut queue, 0)[..8], [0, 20, 1, 21, 2, 22, 3, 4]);
}

#[test]
fn a_full_queue_gives_the_place_of_the_lowest_and_then_of_the_greediest() {
    let mut queue = Queue::default();
    let bounds = bounds(4);
    (0..4).for_each(|ticket| assert_eq!(queue.push(entry(ticket, Class::Low, "a"), &bounds), Pushed::In));
    assert_eq!(queue.push(entry(4, Class::Low, "a"), &bounds), Pushed::Full);
    assert_eq!(queue.push(entry(5, Class::High, "a"), &bounds), Pushed::InFor(Ticket(3)), "the latest of the lowest");
    assert_eq!(queue.push(entry(6, Class::Low, "b"), &bounds), Pushed::InFor(Ticket(2)), "who has fewer places");
    assert_eq!(queue.push(entry(7, Class::Low, "b"), &bounds), Pushed::Full, "two and one are fair");
    assert_eq!(queue.push(entry(8, Class::Normal, "c"), &bounds), Pushed::InFor(Ticket(1)));
    assert_eq!(queue.len(), 4);
    assert_eq!(drained(&mut queue, 0), [5, 8, 0, 6]);
}

#[test]
fn who_is_called_and_finds_no_room_stays_at_the_head() {
    let mut queue = Queue::default();
    let bounds = bounds(9);
    queue.push(entry(0, Class::Low, "k"), &bounds);
    assert_eq!(queue.call(0, &bounds, |amount| amount <= 1), Some(Ticket(0)));
    queue.push(entry(1, Class::High, "k"), &bounds);
    assert_eq!(queue.call(0, &bounds, |amount| amount <= 1), None, "what is there is promised");
    queue.give_back(Ticket(0), 5);
    assert_eq!(queue.call(0, &bounds, |amount| amount <= 4), None, "what is large is not passed by");
    assert_eq!(queue.call(0, &bounds, |amount| amount <= 5), Some(Ticket(0)));
    assert!(queue.remove(Ticket(0)) && !queue.remove(Ticket(0)));
    assert_eq!(queue.call(0, &bounds, |amount| amount <= 5), Some(Ticket(1)));
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        class: usize,
        key: u8,
    },
    /// Room appears.
    Room(u64),
    /// One that was called takes, or finds nothing.
    Try {
        pick: usize,
        finds: bool,
    },
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, 0u8..4).prop_map(|(class, key)| Step::Push { class, key }),
        3 => (1u64..4).prop_map(Step::Room),
        3 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(pick, finds)| Step::Try { pick, finds }),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nobody is lost, doubled or called beyond the room; nobody waits while there is room; the bound holds.
    #[test]
    fn everyone_who_waits_is_called_once_there_is_room(steps in prop::collection::vec(step(), 1..200)) {
        let bounds = bounds(8);
        let mut queue = Queue::default();
        let (mut waiting, mut called) = (BTreeSet::new(), BTreeMap::new());
        let (mut room, mut next) = (0u64, 0u64);
        for (index, step) in steps.into_iter().enumerate() {
            let now_ns = index as u64 * 20 * MS;
            match step {
                Step::Push { class, key } => {
                    let entry = Entry { since_ns: now_ns, ..entry(next, Class::ALL[class], &key.to_string()) };
                    match queue.push(entry, &bounds) {
                        Pushed::In => drop(waiting.insert(next)),
                        Pushed::InFor(Ticket(other)) => {
                            prop_assert!(waiting.remove(&other), "{other} was called already, or never there");
                            waiting.insert(next);
                        }
                        Pushed::Full => {}
                    }
                    next += 1;
                }
                Step::Room(more) => room += more,
                Step::Try { pick, finds } => {
                    if let Some(ticket) = called.keys().nth(pick % called.len().max(1)).copied() {
                        called.remove(&ticket);
                        if finds {
                            prop_assert!(queue.remove(Ticket(ticket)));
                            room -= 1;
                        } else {
                            queue.give_back(Ticket(ticket), 1);
                            waiting.insert(ticket);
                            room = called.len() as u64;
                        }
                    }
                }
                Step::Leave(pick) => {
                    let all: Vec<u64> = waiting.iter().chain(called.keys()).copied().collect();
                    if let Some(&ticket) = all.get(pick % all.len().max(1)) {
                        prop_assert!(queue.remove(Ticket(ticket)));
                        waiting.remove(&ticket);
                        called.remove(&ticket);
                    }
                }
            }
            while let Some(Ticket(ticket)) = queue.call(now_ns, &bounds, |amount| amount <= room) {
                prop_assert!(waiting.remove(&ticket), "{ticket} was called twice");
                called.insert(ticket, ());
            }
            prop_assert!(called.len() as u64 <= room);
            prop_assert!(waiting.is_empty() || called.len() as u64 == room, "room for {room}, called {}", called.len());
            prop_assert_eq!(queue.len(), waiting.len() + called.len());
            prop_assert!(queue.len() <= bounds.entries_max);
        }
    }

    /// Within `8 + 4 + 1` turns a class that has waited long has its own.
    #[test]
    fn nobody_starves(pushes in prop::collection::vec((0usize..3, 0u8..3), 40..120)) {
        let bounds = bounds(1_000);
        let mut queue = Queue::default();
        for (ticket, (class, key)) in pushes.iter().enumerate() {
            queue.push(entry(ticket as u64, Class::ALL[*class], &key.to_string()), &bounds);
        }
        let mut since = [0; 3];
        let mut left = Class::ALL.map(|class| pushes.iter().filter(|(of, _)| *of == class.index()).count());
        for ticket in drained(&mut queue, 500 * MS) {
            let class = pushes[ticket as usize].0;
            for (index, count) in since.iter_mut().enumerate() {
                *count = if index == class || left[index] == 0 { 0 } else { *count + 1 };
                prop_assert!(*count <= 13, "class {index} waited {count} turns");
            }
            left[class] -= 1;
        }
        prop_assert_eq!(left, [0; 3]);
    }
}
