//! Guessing is slow: failed logins are counted by user and by address, and say exactly when the next try is heard.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures in a row that cost nothing, and how long each further one takes to be forgotten.
const USER: Rate = Rate { burst: 5, each: Duration::from_secs(30) };
const ADDRESS: Rate = Rate { burst: 20, each: Duration::from_secs(6) };
/// Most users and addresses that are remembered. Beyond it the one that would be heard soonest is forgotten.
const REMEMBERED_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    each: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Address(String),
}

/// The failures of late. A try is counted when it begins, so that many at once are no way around.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When all that is counted is forgotten, in Unix milliseconds.
    clear_at_ms: Mutex<HashMap<Subject, u64>>,
}

impl Throttle {
    /// Counts a try of `user` from `address`.
    ///
    /// # Errors
    /// How long to wait where there were too many.
    pub fn begin(&self, user: &str, address: &str, now_ms: u64) -> Result<(), Duration> {
        let mut remembered = self.remembered();
        let subjects = subjects(user, address);
        let wait_ms = subjects.iter().map(|(subject, rate)| rate.wait_ms(remembered.get(subject).copied(), now_ms)).max().unwrap_or(0);
        if wait_ms > 0 {
            return Err(Duration::from_millis(wait_ms));
        }
        for (subject, rate) in subjects {
            let clear_at_ms = remembered.get(&subject).copied().unwrap_or(0).max(now_ms) + rate.each_ms();
            make_room(&mut remembered, now_ms);
            remembered.insert(subject, clear_at_ms);
        }
        Ok(())
    }

    /// The try was no guess: the user's failures are forgotten, and this one is taken off the address.
    pub fn succeed(&self, user: &str, address: &str) {
        let mut remembered = self.remembered();
        remembered.remove(&Subject::User(user.to_owned()));
        if let Some(clear_at_ms) = remembered.get_mut(&Subject::Address(address.to_owned())) {
            *clear_at_ms = clear_at_ms.saturating_sub(ADDRESS.each_ms());
        }
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Subject, u64>> {
        self.clear_at_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subjects(user: &str, address: &str) -> [(Subject, Rate); 2] {
    [(Subject::User(user.to_owned()), USER), (Subject::Address(address.to_owned()), ADDRESS)]
}

fn make_room(remembered: &mut HashMap<Subject, u64>, now_ms: u64) {
    if remembered.len() < REMEMBERED_MAX {
        return;
    }
    remembered.retain(|_, clear_at_ms| *clear_at_ms > now_ms);
    if remembered.len() >= REMEMBERED_MAX {
        let soonest = remembered.iter().min_by_key(|(_, clear_at_ms)| **clear_at_ms).map(|(subject, _)| subject.clone());
        soonest.map(|subject| remembered.remove(&subject));
    }
}

impl Rate {
    fn each_ms(self) -> u64 {
        self.each.as_millis() as u64
    }

    /// Until one more fits, given when all that is counted is forgotten.
    fn wait_ms(self, clear_at_ms: Option<u64>, now_ms: u64) -> u64 {
        let full_ms = self.each_ms() * u64::from(self.burst - 1);
        clear_at_ms.map_or(0, |clear_at_ms| clear_at_ms.saturating_sub(now_ms).saturating_sub(full_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn a_user_is_heard_again_exactly_when_it_is_said() {
        let throttle = Throttle::default();
        for try_index in 0..5 {
            assert_eq!(throttle.begin("ann", &format!("10.0.0.{try_index}"), NOW), Ok(()));
        }
        assert_eq!(throttle.begin("ann", "10.0.0.9", NOW), Err(Duration::from_secs(30)));
        assert_eq!(throttle.begin("ann", "10.0.0.9", NOW + 29_999), Err(Duration::from_millis(1)));
        assert_eq!(throttle.begin("bob", "10.0.0.9", NOW), Ok(()), "others are not held up");
        assert_eq!(throttle.begin("ann", "10.0.0.9", NOW + 30_000), Ok(()));
        assert_eq!(throttle.begin("ann", "10.0.0.9", NOW + 30_000), Err(Duration::from_secs(30)));
    }

    #[test]
    fn an_address_that_tries_many_users_waits() {
        let throttle = Throttle::default();
        let tries = (0..30).map(|user| throttle.begin(&format!("user{user}"), "10.0.0.1", NOW));
        assert_eq!(tries.filter(Result::is_ok).count(), 20);
        assert_eq!(throttle.begin("other", "10.0.0.1", NOW), Err(Duration::from_secs(6)));
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let throttle = Throttle::default();
        for _ in 0..50 {
            for _ in 0..4 {
                assert_eq!(throttle.begin("ann", "", NOW), Ok(()));
            }
            throttle.succeed("ann", "");
            let mut remembered = throttle.remembered();
            remembered.remove(&Subject::Address(String::new()));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for user in 0..3 * REMEMBERED_MAX {
            let _ = throttle.begin(&user.to_string(), &user.to_string(), NOW);
        }
        assert!(throttle.remembered().len() <= REMEMBERED_MAX + 1);
    }
}
