use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("ringway-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Folder(folder)
    }

    fn database(&self) -> Database {
        Database::lazy_sqlite(self.0.join(FILE))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const INSERT: &str = "INSERT INTO objects (kind, name, body, revision, changed_at_ms, changed_by) VALUES (?1, ?2, ?3, ?4, 0, 'x')";
const NAMES: &str = "SELECT name, revision FROM objects ORDER BY name";

fn insert(name: &str) -> Statement {
    Statement::new(INSERT, vec!["team".into(), name.into(), "{}".into(), 1i64.into()])
}

#[tokio::test]
async fn reading_makes_no_file_and_the_first_change_does() {
    let folder = Folder::new("lazy");
    let database = folder.database();
    assert_eq!(database.query(NAMES, vec![]).await, Ok(vec![]));
    assert!(!folder.0.exists());
    database.apply(vec![insert("a")]).await.unwrap();
    let rows = database.query(NAMES, vec![]).await.unwrap();
    assert_eq!((rows[0].text(0), rows[0].integer(1)), ("a", 1));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.0.join(FILE)).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    drop(database);
    assert_eq!(folder.database().query(NAMES, vec![]).await.unwrap().len(), 1, "another start finds it");
}

#[tokio::test]
async fn a_transaction_is_whole_or_not_there() {
    let folder = Folder::new("whole");
    let database = folder.database();
    database.apply(vec![insert("a")]).await.unwrap();
    assert_eq!(database.apply(vec![insert("b"), insert("a")]).await, Err(Error::Conflict));
    let touch = |name: &str| Statement::expecting("UPDATE objects SET revision = 2 WHERE name = ?1", vec![name.into()], 1);
    assert_eq!(database.apply(vec![insert("c"), touch("nobody")]).await, Err(Error::Conflict));
    assert_eq!(database.query(NAMES, vec![]).await.unwrap().len(), 1);
    database.apply(vec![insert("c"), touch("c")]).await.unwrap();
    assert_eq!(database.query(NAMES, vec![]).await.unwrap()[1].integer(1), 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = Folder::new("newer");
    folder.database().apply(vec![insert("a")]).await.unwrap();
    let path = folder.0.join(FILE);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", newest() + 1).unwrap();
    let error = folder.database().query(NAMES, vec![]).await.unwrap_err();
    assert_eq!(error, Error::NewerSchema { place: path.display().to_string(), found: newest() + 1, known: newest() });
    assert!(error.to_string().contains("a newer ringway wrote it"), "{error}");
    assert_eq!(folder.database().apply(vec![insert("b")]).await, Err(error));
}

#[tokio::test]
async fn what_is_no_database_is_told_and_kept() {
    let folder = Folder::new("damaged");
    std::fs::create_dir_all(&folder.0).unwrap();
    std::fs::write(folder.0.join(FILE), [b'x'; 8192]).unwrap();
    for outcome in [folder.database().query(NAMES, vec![]).await.map(drop), folder.database().apply(vec![insert("a")]).await] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("is damaged") && error.contains("put a backup in its place"), "{error}");
    }
    assert_eq!(std::fs::read(folder.0.join(FILE)).unwrap(), [b'x'; 8192]);
}

#[tokio::test]
async fn another_process_is_noticed() {
    let folder = Folder::new("watch");
    let (one, other) = (folder.database(), folder.database());
    one.apply(vec![insert("a")]).await.unwrap();
    let mut changes = one.watch();
    let mut noticed = async || tokio::time::timeout(LOOK_EVERY * 10, changes.changed()).await.unwrap().unwrap();
    noticed().await;
    other.apply(vec![insert("b")]).await.unwrap();
    noticed().await;
}

#[tokio::test]
async fn without_a_store_nothing_is_there_and_nothing_can_be_written() {
    let database = Database::none();
    assert_eq!(database.query(NAMES, vec![]).await, Ok(vec![]));
    assert!(matches!(database.apply(vec![insert("a")]).await, Err(Error::ReadOnly(reason)) if reason.contains("--no-store")));
}

/// The database's files as a killed process leaves them: nothing is closed or checkpointed first.
fn copied(from: &Folder, name: &str) -> Folder {
    let to = Folder::new(name);
    std::fs::create_dir_all(&to.0).unwrap();
    for file in [FILE.to_owned(), format!("{FILE}-wal")] {
        std::fs::copy(from.0.join(&file), to.0.join(&file)).unwrap();
    }
    to
}

fn cut(path: &Path, len: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[tokio::test]
async fn a_half_written_change_is_not_there_and_all_before_it_are() {
    let folder = Folder::new("torn");
    let database = folder.database();
    database.apply(vec![insert("a")]).await.unwrap();
    let wal = format!("{FILE}-wal");
    let whole = std::fs::metadata(folder.0.join(&wal)).unwrap().len();
    database.apply(vec![insert("b")]).await.unwrap();
    let more = std::fs::metadata(folder.0.join(&wal)).unwrap().len();
    assert!(more > whole);
    for (index, len) in [whole + 1, (whole + more) / 2, more - 1, more].into_iter().enumerate() {
        let torn = copied(&folder, &format!("torn-{index}"));
        cut(&torn.0.join(&wal), len);
        let database = torn.database();
        let rows = database.query(NAMES, vec![]).await.unwrap();
        assert_eq!(rows.len(), if len == more { 2 } else { 1 }, "{len} of {more} bytes");
        database.apply(vec![insert("c")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_was_cut_is_told_and_never_taken_for_an_empty_store() {
    let folder = Folder::new("cut");
    let database = folder.database();
    database.apply(vec![insert("a")]).await.unwrap();
    let copy = copied(&folder, "cut-copy");
    let path = copy.0.join(FILE);
    rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    cut(&path, 4096);
    let error = copy.database().query(NAMES, vec![]).await.unwrap_err();
    assert!(matches!(&error, Error::Other(reason) if reason.contains("is damaged")), "{error}");
}
