use std::fs;
use std::io::Write;
use std::process::Command;
use std::thread;

use ringway_policy::spend::{Charge, Full};

use super::*;

const CHILD: &str = "RINGWAY_TEST_SPEND_CHILD";
const START_MS: u64 = 1_795_179_600_000;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ringway-spend-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn store(folder: &Path, shards: usize) -> Store {
    Store::new(Place::Chosen(folder.to_owned()), shards, Arc::default())
}

fn charge(account_id: u64, amount: u64) -> Charge {
    Charge { account_id, window_start_ms: START_MS, amount }
}

fn spent(store: &Store, account_id: u64) -> u64 {
    store.open().unwrap().find(account_id).map_or(0, |charge| charge.amount)
}

#[test]
fn what_was_appended_is_there_after_the_next_start() {
    let folder = folder("again");
    for round in 0..5_u64 {
        let store = store(&folder, 2);
        assert_eq!((spent(&store, 1), spent(&store, 2)), (30 * round, 7 * round), "round {round}");
        let mut sinks = store.sinks();
        for shard in &mut sinks {
            shard.append(&[charge(1, 5), charge(1, 10)]).unwrap();
        }
        sinks[1].append(&[charge(2, 7)]).unwrap();
        if round % 2 == 0 {
            store.close();
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn fewer_and_more_shards_read_the_same() {
    let folder = folder("shards");
    let mut expected = 0;
    for shards in [4, 1, 3, 2, 8] {
        let store = store(&folder, shards);
        assert_eq!(spent(&store, 1), expected, "{shards} shards");
        for shard in &mut store.sinks() {
            shard.append(&[charge(1, 1)]).unwrap();
            expected += 1;
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_processes_share_no_journal_and_the_next_one_knows_of_both() {
    let folder = folder("two");
    let (first, second) = (store(&folder, 1), store(&folder, 1));
    first.open().unwrap();
    first.sinks()[0].append(&[charge(1, 10)]).unwrap();
    assert_eq!(spent(&second, 1), 10, "what the living one has spent");
    second.sinks()[0].append(&[charge(1, 5)]).unwrap();
    assert!(folder.join("node-0/lock").exists() && folder.join("node-1/lock").exists());
    drop((first, second));
    assert_eq!(spent(&store(&folder, 1), 1), 15);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn journals_are_added_up_while_shards_append() {
    const FRAMES: u64 = 150_000;
    let folder = folder("compact");
    let first = store(&folder, 2);
    first.open().unwrap();
    let sinks = first.sinks();
    thread::scope(|scope| {
        for mut sink in sinks {
            scope.spawn(move || {
                for frame in 0..FRAMES {
                    // Faster than any shard settles: where the keeper lags, wait for it.
                    while sink.append(&[charge(frame % 100, 1), charge(1_000, 2)]) == Err(Full) {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
    // As after a kill: nothing is added up at the end.
    std::mem::forget(first.opened.lock().unwrap().take());
    let (checkpoint, _) = files::read(&folder.join("node-0")).unwrap();
    let all: u64 = (0..100).filter_map(|account| checkpoint.spent.find(account)).map(|charge| charge.amount).sum();
    assert_eq!((all, checkpoint.spent.find(1_000).map(|charge| charge.amount)), (2 * FRAMES, Some(4 * FRAMES)));
    // The thread that was forgotten may be writing still.
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn a_full_journal_says_so_and_keeps_what_it_took() {
    let folder = folder("full");
    fs::create_dir_all(&folder).unwrap();
    let (_, files) = files::open(&folder, 1).unwrap();
    let shared = Arc::new(Shared::default());
    assert!(shared.files.set(files).is_ok());
    let mut sink = FileSink::new(shared.clone(), 0);
    // Nobody adds up.
    let mut frames = 0;
    while sink.append(&[charge(1, 1); 3]).is_ok() {
        frames += 1;
    }
    assert_eq!(frames, 2 * ((files::JOURNAL_BYTES - 16) / 88) as u64);
    assert_eq!(shared.files.get().unwrap()[0].refused.load(std::sync::atomic::Ordering::Relaxed), 1);
    let (checkpoint, _) = files::read(&folder).unwrap();
    assert_eq!(checkpoint.spent.find(1), Some(charge(1, 3 * frames)));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_journal_that_was_cut_gives_what_is_whole() {
    let folder = folder("torn");
    let node = folder.join("node-0");
    let first = store(&folder, 1);
    first.open().unwrap();
    let mut sink = first.sinks().remove(0);
    (0..3).for_each(|_| sink.append(&[charge(1, 10)]).unwrap());
    std::mem::forget(first.opened.lock().unwrap().take());
    let whole = fs::read(node.join("shard-0.0")).unwrap();
    let end = 16 + 3 * 40;
    for cut in 16..=end {
        let mut torn = whole.clone();
        torn[cut..end].fill(0);
        fs::write(node.join("shard-0.0"), torn).unwrap();
        let (checkpoint, _) = files::read(&node).unwrap();
        // A frame's last bytes may be zeros themselves: the amount's upper ones.
        let frames = (0..3)
            .filter(|frame| whole[16 + frame * 40..56 + frame * 40].iter().rposition(|byte| *byte != 0).unwrap() + 16 + frame * 40 < cut);
        assert_eq!(checkpoint.spent.find(1).map_or(0, |charge| charge.amount), 10 * frames.count() as u64, "cut at {cut}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error_if_chosen() {
    let folder = folder("file");
    fs::write(&folder, "no directory").unwrap();
    let error = store(&folder, 1).open().unwrap_err();
    assert!(error.contains("--data-dir") && error.contains("ringway-spend-file"), "{error}");
    fs::remove_file(&folder).unwrap();
}

#[test]
fn a_default_directory_that_cannot_be_used_degrades_and_goes_on() {
    let folder = folder("default");
    fs::write(&folder, "no directory").unwrap();
    let health = Arc::new(Health::default());
    let store = Store::new(Place::Default(folder.clone()), 1, health.clone());
    assert!(store.open().unwrap().is_empty());
    store.sinks()[0].append(&[charge(1, 1)]).unwrap();
    assert_eq!(health.reasons().iter().map(|(part, _)| *part).collect::<Vec<_>>(), [Part::SpendStore]);
    fs::remove_file(&folder).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_an_error_that_names_the_file() {
    let folder = folder("damaged");
    drop({
        let store = store(&folder, 1);
        store.open().unwrap();
        store
    });
    fs::write(folder.join("node-0/checkpoint"), "nothing of ours").unwrap();
    let error = store(&folder, 1).open().unwrap_err();
    assert!(error.contains("checkpoint") && error.contains("move it away"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn without_a_store_nothing_is_made() {
    let store = Store::new(Place::Nowhere, 1, Arc::default());
    assert!(store.open().unwrap().is_empty());
    store.sinks()[0].append(&[charge(1, 1)]).unwrap();
    store.close();
}

/// The child of the next test: appends until it is killed, and notes each append after it.
#[test]
fn child_that_appends() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let store = store(&folder, 1);
    store.open().unwrap();
    let mut sink = store.sinks().remove(0);
    let mut noted = fs::OpenOptions::new().append(true).create(true).open(folder.join("noted")).unwrap();
    loop {
        if sink.append(&[charge(1, 1), charge(2, 3)]).is_ok() {
            noted.write_all(b".").unwrap();
        }
    }
}

#[test]
fn kill_9_loses_and_doubles_nothing() {
    let folder = folder("kill");
    fs::create_dir_all(&folder).unwrap();
    let noted = || fs::metadata(folder.join("noted")).map_or(0, |metadata| metadata.len());
    let mut in_doubt = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "spend::tests::child_that_appends", "--nocapture"])
            .env(CHILD, &folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let before = noted();
        while noted() == before {
            thread::sleep(Duration::from_millis(1));
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        }
        thread::sleep(Duration::from_millis(round * 7 % 60));
        child.kill().unwrap();
        child.wait().unwrap();
        let (checkpoint, _) = files::read(&folder.join("node-0")).unwrap();
        let amount = |account| checkpoint.spent.find(account).map_or(0, |charge| charge.amount);
        // Each kill may have come between an append and its note.
        in_doubt += 1;
        assert!((noted()..=noted() + in_doubt).contains(&amount(1)), "round {round}: {} noted, {} spent", noted(), amount(1));
        assert_eq!(amount(2), 3 * amount(1), "charges of one exchange come together");
    }
    assert!(noted() > 1_000, "{} appends are too few to tell", noted());
    fs::remove_dir_all(&folder).unwrap();
}
