//! Logging in: a name and a password, or the link of the first start, become a session.

use std::time::Duration;

use super::role::Role;
use super::{Access, password, sessions, users};
use crate::store::Error;

/// Passwords that are hashed at a time: each takes 19 MiB and a core.
pub(super) const HASHES_MAX: usize = 2;
/// How long a login waits for its turn.
const HASH_WAIT: Duration = Duration::from_secs(5);
/// The name of the first owner where the link is opened without one.
const FIRST_NAME: &str = "owner";

/// Why nobody was logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Wrong name or password, or a link that does not work (any more): which of them is not told.
    Wrong,
    /// Too many failures; the next try is heard after this.
    Wait(Duration),
    /// The new password is none; says why.
    Password(String),
    Name(String),
    /// Too many logins at this moment.
    Busy,
    Store(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Store(error)
    }
}

/// Who came in, and the value of his cookie.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub user: String,
    pub cookie: String,
}

impl Access {
    /// Opens a session for a name and a password. An unknown name takes as long as a wrong password.
    pub(super) async fn log_in(&self, user: &str, word: &str, address: &str) -> Result<Opened, Refused> {
        let now_ms = self.now_ms();
        self.shared.throttle.begin(user, address, now_ms).map_err(Refused::Wait)?;
        if !self.is_password(user, word).await? {
            return Err(Refused::Wrong);
        }
        self.shared.throttle.succeed(user, address);
        self.open(user, address).await
    }

    /// Makes the first owner of whoever has the link, under `name` and `word` where they are given.
    pub(super) async fn open_link(&self, link: &str, (name, word): (Option<&str>, Option<&str>), address: &str) -> Result<Opened, Refused> {
        let now_ms = self.now_ms();
        self.shared.throttle.begin("", address, now_ms).map_err(Refused::Wait)?;
        let name = name.unwrap_or(FIRST_NAME);
        check_name(name).map_err(Refused::Name)?;
        if let Some(word) = word {
            password::check(name, word).map_err(Refused::Password)?;
        }
        if !self.shared.link.take(link, now_ms) {
            return Err(Refused::Wrong);
        }
        self.shared.throttle.succeed("", address);
        let hash = match word {
            Some(word) => Some(self.hashed(word).await?),
            None => None,
        };
        match users::add_first(&self.shared.setup.database, name, hash, now_ms).await {
            Ok(()) => self.open(name, address).await,
            // Somebody was there before, by the API or through another gateway.
            Err(Error::Conflict) => Err(Refused::Wrong),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives somebody another password and a new session; all his others end. `old` must be right where he has one.
    pub(super) async fn change_password(&self, user: &str, (old, new): (Option<&str>, &str), address: &str) -> Result<Opened, Refused> {
        let database = &self.shared.setup.database;
        self.shared.throttle.begin(user, address, self.now_ms()).map_err(Refused::Wait)?;
        let known = users::one(database, user).await?.ok_or(Refused::Wrong)?;
        if known.has_password && !self.is_password(user, old.unwrap_or_default()).await? {
            return Err(Refused::Wrong);
        }
        self.shared.throttle.succeed(user, address);
        password::check(user, new).map_err(Refused::Password)?;
        let hash = Some(self.hashed(new).await?);
        let team = known.team.as_deref();
        let change = users::Change { name: user, role: known.role, team, password: hash, by: user, now_ms: self.now_ms() };
        users::set(database, change).await?;
        self.open(user, address).await
    }

    pub(super) async fn hashed(&self, word: &str) -> Result<String, Refused> {
        let word = word.to_owned();
        let hashed = self.apart(move || password::hash(&word)).await?;
        hashed.map_err(|message| Refused::Store(Error::Unavailable(message)))
    }

    async fn is_password(&self, user: &str, word: &str) -> Result<bool, Refused> {
        let stored = users::password(&self.shared.setup.database, user).await?;
        let word = word.to_owned();
        self.apart(move || password::verify(&word, stored.as_deref())).await
    }

    async fn open(&self, user: &str, address: &str) -> Result<Opened, Refused> {
        let cookie = sessions::open(&self.shared.setup.database, user, address, self.now_ms()).await?;
        Ok(Opened { user: user.to_owned(), cookie })
    }

    /// Runs what takes a core for long on a thread of its own, few at a time.
    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
        let turn = tokio::time::timeout(HASH_WAIT, self.shared.hashing.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Refused::Busy) };
        tokio::task::spawn_blocking(work).await.map_err(|_| Refused::Busy)
    }
}

/// Is it a name for a user or a token?
///
/// # Errors
/// What to write instead.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    const NAME_BYTES_MAX: usize = 64;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b'+');
    let is_good =
        name.len() <= NAME_BYTES_MAX && name.bytes().all(good) && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if is_good {
        return Ok(());
    }
    Err("write letters, digits and any of - _ . @ +, a letter or digit first, at most 64".to_owned())
}

/// A role and a team that go together.
///
/// # Errors
/// What to write instead.
pub(super) fn check_role(role: &str, team: Option<&str>) -> Result<Role, (&'static str, String)> {
    let known = Role::ALL.map(Role::name).join(", ");
    let role = Role::parse(role).ok_or_else(|| ("role", format!("{role:?} is no role; write one of {known}")))?;
    if role == Role::Owner && team.is_some() {
        return Err(("team", "an owner has no team: who says who may do what, says it for all".to_owned()));
    }
    if let Some(team) = team {
        check_name(team).map_err(|message| ("team", message))?;
    }
    Ok(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_roles_are_checked() {
        assert!(check_name("ann@acme.example").is_ok());
        for name in ["", ".a", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(check_role("admin", Some("apps")), Ok(Role::Admin));
        assert_eq!(check_role("owner", Some("apps")).unwrap_err().0, "team");
        assert_eq!(check_role("root", None).unwrap_err().0, "role");
    }
}
