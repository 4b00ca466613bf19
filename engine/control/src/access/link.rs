//! The one-time link of the first start: whoever opens it becomes the owner. It is there while no user is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::secret;

/// How long the printed link works; a new start prints a new one.
pub const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The link's secret, known by its hash alone once it is printed.
#[derive(Debug, Default)]
pub(super) struct Link {
    open: Mutex<Option<Open>>,
}

#[derive(Clone, Debug)]
struct Open {
    hash: String,
    ends_at_ms: u64,
}

impl Link {
    /// Draws a new one, which ends any former.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn draw(&self, now_ms: u64) -> Result<String, String> {
        let secret = secret::draw()?;
        let open = Open { hash: secret::hash(&secret), ends_at_ms: now_ms + LIFETIME.as_millis() as u64 };
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(secret)
    }

    /// Takes it, if it is the one: it works once. A wrong one ends nothing.
    pub fn take(&self, secret: &str, now_ms: u64) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = open.as_ref().is_some_and(|open| open.hash == secret::hash(secret) && now_ms < open.ends_at_ms);
        if is_it {
            *open = None;
        }
        is_it
    }

    /// There is a user: nobody becomes the owner by a link any more.
    pub fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once_and_not_for_ever() {
        let link = Link::default();
        let secret = link.draw(0).unwrap();
        assert!(!link.take("another", 1) && link.take(&secret, 1) && !link.take(&secret, 2));
        let late = link.draw(0).unwrap();
        assert!(!link.take(&late, LIFETIME.as_millis() as u64));
        let closed = link.draw(0).unwrap();
        link.close();
        assert!(!link.take(&closed, 1));
    }
}
