//! Who may do what on the admin listener: callers, their roles, and the one gate that every request passes.
//!
//! Deny by default: a route that no rule names answers 403, whoever asks.

mod api_tokens;
mod caller;
mod cors;
mod guard;
mod headers;
mod hosts;
mod link;
mod login;
mod password;
mod role;
pub(crate) mod routes;
mod rule;
mod same_origin;
pub(crate) mod secret;
mod sessions;
mod start_token;
mod throttle;
mod users;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use self::caller::{Caller, How};
pub use self::cors::Origins;
pub use self::guard::guard;
pub use self::hosts::Hosts;
pub use self::link::LIFETIME as LINK_LIFETIME;
pub use self::role::{Right, Role};
pub use self::rule::Rule;
pub use self::same_origin::Transport;
pub use self::start_token::Token;
use crate::audit::Audit;
use crate::store::{Database, Error};

/// What the gate is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The start's admin token: an owner.
    pub token: Token,
    pub hosts: Hosts,
    /// Other sites whose pages may read answers, with a token of their own.
    pub origins: Origins,
    pub transport: Transport,
    /// Users, sessions and API tokens.
    pub database: Database,
    /// Where acts and refusals are noted.
    pub audit: Audit,
    /// The time in Unix milliseconds.
    pub clock: fn() -> u64,
}

/// The gate. Clones share one.
#[derive(Clone, Debug)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    setup: Setup,
    throttle: throttle::Throttle,
    link: link::Link,
    hashing: Semaphore,
}

impl Access {
    pub fn new(setup: Setup) -> Access {
        let hashing = Semaphore::new(login::HASHES_MAX);
        Access { shared: Arc::new(Shared { setup, throttle: throttle::Throttle::default(), link: link::Link::default(), hashing }) }
    }

    /// The secret of the link that makes its first opener the owner, while there is no user; it ends after `LINK_LIFETIME`.
    /// `None` where there is one, or where the store keeps nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn first_link(&self) -> Result<Option<String>, Error> {
        let database = self.database();
        if database.kind() == "none" || users::count(database).await? > 0 {
            return Ok(None);
        }
        self.shared.link.draw(self.now_ms()).map(Some).map_err(Error::Unavailable)
    }

    fn database(&self) -> &Database {
        &self.shared.setup.database
    }

    fn transport(&self) -> Transport {
        self.shared.setup.transport
    }

    fn now_ms(&self) -> u64 {
        (self.shared.setup.clock)()
    }
}

#[cfg(test)]
mod tests;
