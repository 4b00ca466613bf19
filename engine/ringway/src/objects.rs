//! The store of objects at the start: where it is, and what it holds.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ringway_control::objects::{self, Author, Stored};
use ringway_control::reload::Source;
use ringway_control::seal::{MASTER_FILE, MasterPlace};
use ringway_control::store::{Database, Error, FILE};
use tokio::time::sleep;

use crate::flags::{Serve, StorePlace};
use crate::serve;

const NO_STORE: &str = "the gateway runs with --no-store";
const SHARED: &str = "several gateways may share this store: give each the same master key (openssl rand -base64 32) in RINGWAY_MASTER_KEY \
                      or --master-key-file";
/// How long a start waits for a store that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(500);

/// The source with the store's objects beside what it says, and their database.
///
/// # Errors
/// Where the store is there and cannot be read: nothing is served without what it holds.
pub async fn open(flags: &Serve, source: Source) -> Result<(Source, Database), String> {
    let place = StorePlace { data_dir: flags.data_dir.clone(), no_store: flags.no_store, master_key_file: flags.master_key_file.clone() };
    let Found { database, master } = find(&source, &place)?;
    let stored = Stored::new(master);
    if flags.init {
        stored.prepare()?;
        database.apply(Vec::new()).await.map_err(|error| format!("--init: {error}"))?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match stored.load(&database).await {
            Ok(()) => return Ok((source.with_stored(stored), database)),
            // Gateways and their database often start together.
            Err(Error::Unavailable(reason)) if Instant::now() < until => {
                tracing::warn!(reason, "waiting for the store");
                sleep(AGAIN).await;
            }
            Err(error) => return Err(format!("{error}; without its store the gateway would serve another configuration than before")),
        }
    }
}

/// The source with what the store holds now: for whoever only looks.
///
/// # Errors
/// Where the store is there and cannot be read.
pub fn beside(source: Source, place: &StorePlace) -> Result<Source, String> {
    let Found { database, master } = find(&source, place)?;
    let stored = Stored::new(master);
    block_on(stored.load(&database))?.map_err(|error| error.to_string())?;
    Ok(source.with_stored(stored))
}

/// Seals the store's secrets anew.
///
/// # Errors
/// Why nothing was changed.
pub fn rekey(source: Source, place: &StorePlace, new: Option<PathBuf>) -> Result<usize, String> {
    let Found { database, master } = find(&source, place)?;
    let new = new.map_or_else(|| master.clone(), MasterPlace::File);
    let author = Author { name: "rekey".to_owned(), role: "owner".to_owned(), address: "local".to_owned() };
    block_on(objects::rekey(&database, master, new, &author))?.map_err(|error| error.to_string())
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    Ok(runtime.block_on(work))
}

struct Found {
    database: Database,
    master: MasterPlace,
}

/// The database that the file names, else the one in the data directory.
fn find(source: &Source, place: &StorePlace) -> Result<Found, String> {
    if place.no_store {
        return Ok(Found { database: Database::none(), master: MasterPlace::Nowhere(NO_STORE) });
    }
    let directory = place.data_dir.clone().unwrap_or_else(|| serve::default_directory(source));
    // What else is wrong with the file is told when it is loaded.
    let url = source.store_url().unwrap_or_default();
    let (database, beside) = match url {
        Some(url) => {
            let database = Database::postgres(&url).map_err(|error| format!("store: postgres: {error}"))?;
            (database, MasterPlace::Nowhere(SHARED))
        }
        None => (Database::lazy_sqlite(directory.join(FILE)), MasterPlace::Beside(directory.join(MASTER_FILE))),
    };
    let master = match (std::env::var("RINGWAY_MASTER_KEY"), &place.master_key_file) {
        (Ok(key), _) if !key.trim().is_empty() => MasterPlace::Given(key),
        (_, Some(path)) => MasterPlace::File(path.clone()),
        _ => beside,
    };
    Ok(Found { database, master })
}
