//! What the store keeps of sessions and tokens, and when it ends.

use std::time::Duration;

use super::api_tokens::{self, ApiToken};
use super::role::Role;
use super::users::{self, Change};
use super::{Database, Error, sessions};

struct Place(std::path::PathBuf, Database);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn place(name: &str) -> Place {
    let folder = std::env::temp_dir().join(format!("ringway-sessions-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let database = Database::lazy_sqlite(folder.join("ringway.db"));
    Place(folder, database)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn change(name: &str) -> Change<'_> {
    Change { name, role: Role::Viewer, team: None, password: None, by: "test", now_ms: 0 }
}

const HOUR_MS: u64 = 3_600_000;
const BEGIN_MS: u64 = 1_700_000_000_000;

#[test]
fn a_session_ends_unused_and_in_the_end_however_it_is_used() {
    let place = place("ends");
    let database = &place.1;
    block_on(async {
        users::add(database, change("ann")).await.unwrap();
        let idle = sessions::open(database, "ann", "", BEGIN_MS).await.unwrap();
        let idle_ms = sessions::IDLE_MAX.as_millis() as u64;
        assert!(sessions::find(database, &idle, BEGIN_MS + idle_ms - 1).await.unwrap().is_some());
        assert!(sessions::find(database, &idle, BEGIN_MS + 2 * idle_ms).await.unwrap().is_none(), "used once, then not for long");
        let used = sessions::open(database, "ann", "", BEGIN_MS).await.unwrap();
        let age_ms = sessions::AGE_MAX.as_millis() as u64;
        for at_ms in (0..age_ms).step_by(6 * HOUR_MS as usize) {
            assert!(sessions::find(database, &used, BEGIN_MS + at_ms).await.unwrap().is_some(), "{at_ms}");
        }
        assert!(sessions::find(database, &used, BEGIN_MS + age_ms).await.unwrap().is_none());
        assert!(sessions::find(database, "another", BEGIN_MS).await.unwrap().is_none());
    });
}

#[test]
fn a_user_has_a_bounded_number_of_sessions() {
    let place = place("crowd");
    let database = &place.1;
    block_on(async {
        users::add(database, change("ann")).await.unwrap();
        let mut opened = Vec::new();
        for now_ms in 0..40 {
            opened.push(sessions::open(database, "ann", "", now_ms).await.unwrap());
        }
        let mut open = 0;
        for value in &opened {
            open += u32::from(sessions::find(database, value, 41).await.unwrap().is_some());
        }
        assert_eq!(open, 32);
        assert!(sessions::find(database, &opened[39], 41).await.unwrap().is_some());
    });
}

#[test]
fn a_token_works_until_its_end() {
    let place = place("token");
    let database = &place.1;
    let wanted = ApiToken {
        id: String::new(),
        name: "ci".into(),
        role: Role::Operator,
        team: Some("apps".into()),
        last4: String::new(),
        made_at_ms: 0,
        made_by: "test".into(),
        ends_at_ms: Some(1000),
    };
    block_on(async {
        let (made, secret) = api_tokens::make(database, wanted).await.unwrap();
        assert_eq!(api_tokens::find(database, &secret, 999).await.unwrap(), Some(made));
        assert_eq!(api_tokens::find(database, &secret, 1000).await.unwrap(), None);
        assert_eq!(api_tokens::find(database, &format!("{secret}0"), 0).await.unwrap(), None);
    });
}

#[test]
fn only_one_is_the_first_owner() {
    let place = place("first");
    let database = &place.1;
    block_on(async {
        let (one, other) = tokio::join!(users::add_first(database, "ann", None, 0), users::add_first(database, "bob", None, 0));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        assert_eq!(one.and(other), Err(Error::Conflict));
        assert_eq!(users::count(database).await, Ok(1));
    });
    assert!(sessions::IDLE_MAX < Duration::from_secs(86_400));
}
