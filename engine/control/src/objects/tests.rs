use std::path::PathBuf;

use arc_swap::ArcSwap;
use ringway_policy::lease::Now;
use serde_json::json;

use super::*;
use crate::health::Health;
use crate::publish::Publisher;
use crate::reload::Source;
use crate::seal::MasterPlace;
use crate::store::FILE;

const FIRST: &str = "providers: {openai: {keys: [sk-of-the-file-000000], base_url: \"http://127.0.0.1:9100/v1\"}}\nteams: {apps: {}}\n";

pub(super) struct Stage {
    folder: PathBuf,
    pub objects: Arc<Objects>,
}

impl Stage {
    pub async fn new(name: &str) -> Stage {
        let folder = std::env::temp_dir().join(format!("ringway-objects-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ringway.yaml"), FIRST).unwrap();
        Stage { objects: start(&folder).await.unwrap(), folder }
    }

    async fn restart(&mut self) -> Result<(), String> {
        self.objects = start(&self.folder).await?;
        Ok(())
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.join("ringway.yaml"), text).unwrap();
    }

    async fn put(&self, kind: Kind, name: &str, body: Value) -> Result<Change, Refused> {
        self.objects.put(&author(), kind, name, body, None, Intent::Apply).await
    }

    fn snapshot(&self) -> Arc<ringway_policy::snapshot::Snapshot> {
        self.objects.reloader.publisher.current()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn start(folder: &std::path::Path) -> Result<Arc<Objects>, String> {
    let database = Database::lazy_sqlite(folder.join(FILE));
    let stored = Stored::new(MasterPlace::Beside(folder.join("master.key")));
    stored.load(&database).await.map_err(|error| error.to_string())?;
    let source = Source::file(folder.join("ringway.yaml")).with_stored(stored);
    let config = source.load().map_err(|refusal| refusal.to_string())?;
    let reloader = Reloader {
        publisher: Publisher::new(source.compile(&config, None).map_err(|refusal| refusal.to_string())?),
        source,
        tokens: Default::default(),
        names: Default::default(),
        health: Arc::new(Health::default()),
        certificates: None,
        admin_certificates: None,
        served: Arc::new(ArcSwap::from_pointee(config)),
        demand: Box::new(|_| Ok(())),
        shard_count: 1,
        clock: || Now { mono_ns: 0, unix_ms: 0 },
        store: None,
        changing: Default::default(),
    };
    Ok(Arc::new(Objects::new(Arc::new(reloader), database)))
}

fn author() -> Author {
    Author { name: "ann".to_owned(), role: "admin".to_owned(), address: "127.0.0.1".to_owned() }
}

fn flaws(outcome: Result<Change, Refused>) -> Vec<(String, String)> {
    match outcome {
        Err(Refused::Invalid(flaws)) => flaws.into_iter().map(|flaw| (flaw.path, flaw.message)).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_put_is_served_and_there_after_a_restart() {
    let mut stage = Stage::new("put").await;
    let change = stage.put(Kind::Route, "chat", json!({"targets": ["openai/gpt-4.1"]})).await.unwrap();
    assert_eq!((change.revision, change.etag.as_deref(), change.diff.len()), (Some(1), Some("r1"), 1));
    assert!(stage.snapshot().routes.iter().any(|route| &*route.name == "chat"));
    let key = stage.put(Kind::VirtualKey, "mobile", json!({"team": "apps"})).await.unwrap();
    let secret = key.secret.unwrap();
    assert!(secret.starts_with("rw-") && stage.snapshot().keys.find(&secret, None, 0).is_ok());
    let before: Vec<Object> = Kind::all().flat_map(|kind| stage.objects.list(kind)).collect();
    stage.restart().await.unwrap();
    let after: Vec<Object> = Kind::all().flat_map(|kind| stage.objects.list(kind)).collect();
    assert_eq!(before, after);
    assert!(stage.snapshot().keys.find(&secret, None, 0).is_ok());
    assert_eq!(stage.objects.read(Kind::Route, "chat").unwrap().changed_by.as_deref(), Some("ann"));
    // The same again is no revision.
    let again = stage.put(Kind::Route, "chat", json!({"targets": ["openai/gpt-4.1"]})).await.unwrap();
    assert_eq!((again.revision, again.etag.as_deref()), (None, Some("r1")));
    // A key that is put without its secret keeps it.
    let changed = stage.put(Kind::VirtualKey, "mobile", json!({"team": "apps", "models": []})).await.unwrap();
    assert_eq!(changed.secret, None);
    assert!(stage.snapshot().keys.find(&secret, None, 0).is_ok());
    stage.objects.delete(&author(), Kind::VirtualKey, "mobile", None, Intent::Apply).await.unwrap();
    assert!(stage.snapshot().keys.find(&secret, None, 0).is_err());
}

#[tokio::test]
async fn what_the_file_says_is_read_only_and_marked() {
    let mut stage = Stage::new("file").await;
    let object = stage.objects.read(Kind::Provider, "openai").unwrap();
    assert_eq!(object.origin, Origin::File { line: 1 });
    assert_eq!(object.body, json!({"keys": [{"secret": "…0000"}], "base_url": "http://127.0.0.1:9100/v1"}));
    let refused = stage.put(Kind::Provider, "openai", json!({"keys": ["x"]})).await.unwrap_err();
    assert!(matches!(&refused, Refused::ReadOnly(reason) if reason.contains("line 1")), "{refused:?}");
    let gone = stage.objects.delete(&author(), Kind::Team, "apps", None, Intent::Apply).await;
    assert!(matches!(gone, Err(Refused::ReadOnly(_))));
    // The same name in both is no silent winner.
    stage.put(Kind::Team, "web", json!({})).await.unwrap();
    stage.write(&format!("{FIRST}customers: {{}}\n").replace("apps: {}", "apps: {}, web: {}"));
    let error = stage.restart().await.unwrap_err();
    assert!(error.contains("ringway.yaml:2:") && error.contains("team \"web\" is in the store, too"), "{error}");
}

#[tokio::test]
async fn a_bad_object_is_refused_with_its_path_and_changes_nothing() {
    let stage = Stage::new("bad").await;
    let revision = stage.snapshot().revision;
    let bad = stage.put(Kind::Route, "chat", json!({"targets": [{"model": "openai/m", "weight": -1}]})).await;
    assert_eq!(flaws(bad)[0].0, "routes.chat.targets[0].weight");
    let unknown = flaws(stage.put(Kind::Route, "chat", json!({"targets": ["nobody/m"]})).await);
    assert!(unknown[0].0 == "routes.chat.targets[0]" && unknown[0].1.contains("nobody"), "{unknown:?}");
    stage.put(Kind::Provider, "mine", json!({"like": "openai", "base_url": "http://127.0.0.1:1/v1"})).await.unwrap();
    stage.put(Kind::Alias, "fast", json!("mine/m")).await.unwrap();
    let gone = stage.objects.delete(&author(), Kind::Provider, "mine", None, Intent::Apply).await;
    assert_eq!(flaws(gone)[0].0, "aliases.fast");
    assert_eq!(stage.snapshot().revision, revision + 2);
    assert_eq!(stage.objects.revision_number(), 2);
}

#[tokio::test]
async fn secrets_are_sealed_masked_and_kept_by_their_mask() {
    let mut stage = Stage::new("secrets").await;
    let body = json!({"like": "openai", "base_url": "http://127.0.0.1:1/v1", "keys": ["sk-canary-0123456789abcdef"]});
    stage.put(Kind::Provider, "mine", body).await.unwrap();
    stage.restart().await.unwrap();
    let mut shown = stage.objects.read(Kind::Provider, "mine").unwrap().body;
    assert_eq!(shown["keys"], json!([{"secret": "…cdef"}]));
    shown["usage"] = json!("tap");
    stage.put(Kind::Provider, "mine", shown).await.unwrap();
    let snapshot = stage.snapshot();
    let upstream = &snapshot.providers[snapshot.provider_index("mine").unwrap()];
    assert!(format!("{:?}", upstream.credentials[0].value).contains("canary") || upstream.credentials.len() == 1);
    let bytes = std::fs::read(stage.folder.join(FILE)).unwrap();
    let wal = std::fs::read(stage.folder.join(format!("{FILE}-wal"))).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"sk-canary");
    assert!(!holds(&bytes) && !holds(&wal) && !stage.objects.export().contains("sk-canary"));
    // Another master key opens nothing.
    std::fs::write(stage.folder.join("master.key"), "00".repeat(32)).unwrap();
    let error = stage.restart().await.unwrap_err();
    assert!(error.contains("another master key"), "{error}");
}

#[tokio::test]
async fn etags_dry_runs_revisions_and_reverts() {
    let stage = Stage::new("history").await;
    stage.put(Kind::Team, "web", json!({})).await.unwrap();
    let put = async |body: Value, precondition, intent| stage.objects.put(&author(), Kind::Team, "web", body, precondition, intent).await;
    let budget = json!({"budgets": [{"usd": "1.50", "per": "1d"}]});
    let dry = put(budget.clone(), None, Intent::DryRun).await.unwrap();
    assert_eq!((dry.revision, dry.diff[0].after.as_ref()), (None, Some(&budget)));
    assert!(matches!(put(budget.clone(), Some(Precondition::Absent), Intent::Apply).await, Err(Refused::Conflict(_))));
    assert!(matches!(put(budget.clone(), Some(Precondition::Etag("r9".into())), Intent::Apply).await, Err(Refused::Conflict(_))));
    assert_eq!(put(budget.clone(), Some(Precondition::Etag("r1".into())), Intent::Apply).await.unwrap().revision, Some(2));
    let revisions = stage.objects.revisions(None, 10).await.unwrap();
    assert_eq!(revisions.iter().map(|revision| revision.number).collect::<Vec<_>>(), [2, 1]);
    let second = stage.objects.revision(2).await.unwrap().unwrap();
    assert_eq!((second.author, second.diff[0].before.clone(), second.diff[0].after.clone()), (author(), Some(json!({})), Some(budget)));
    assert!(matches!(stage.objects.revert(&author(), 1).await, Err(Refused::Conflict(_))));
    stage.objects.revert(&author(), 2).await.unwrap();
    assert_eq!(stage.objects.read(Kind::Team, "web").unwrap().body, json!({}));
    assert!(matches!(stage.objects.revert(&author(), 99).await, Err(Refused::NotFound(_))));
}

#[tokio::test]
async fn an_export_applies_to_what_it_was() {
    let stage = Stage::new("export").await;
    stage.put(Kind::Route, "chat*", json!({"targets": ["openai/gpt-4.1"], "retries": 1})).await.unwrap();
    stage
        .put(Kind::Provider, "mine", json!({"like": "openai", "base_url": "http://h:1/v1", "keys": ["sk-0123456789abcdefgh"]}))
        .await
        .unwrap();
    stage.put(Kind::VirtualKey, "mobile", json!({"key": "rw-0123456789abcdef", "team": "apps"})).await.unwrap();
    let text = stage.objects.export();
    let same = stage.objects.apply(&author(), &text, Prune::Remove, Intent::Apply).await.unwrap();
    assert_eq!(same, Change::default(), "{text}");
    let other = "teams: {web: {}}\n";
    let dry = stage.objects.apply(&author(), other, Prune::Remove, Intent::DryRun).await.unwrap();
    assert_eq!(dry.diff.len(), 4);
    stage.objects.apply(&author(), other, Prune::Remove, Intent::Apply).await.unwrap();
    assert_eq!(stage.objects.store_count(), 1);
    // The secret is gone with its object: its mask stands for nothing.
    let lost = flaws(stage.objects.apply(&author(), &text, Prune::Keep, Intent::Apply).await);
    assert_eq!(lost[0].0, "providers.mine.keys[0]");
    let listen = flaws(stage.objects.apply(&author(), "listen: 1\n", Prune::Keep, Intent::Apply).await);
    assert!(listen[0].1.contains("stands in the file"), "{listen:?}");
}

#[tokio::test]
async fn two_gateways_on_one_store_see_each_other() {
    let stage = Stage::new("two").await;
    stage.put(Kind::Team, "web", json!({})).await.unwrap();
    let other = start(&stage.folder).await.unwrap();
    let following = tokio::spawn(other.clone().follow());
    let key = stage.put(Kind::VirtualKey, "mobile", json!({})).await.unwrap().secret.unwrap();
    let wait = async {
        while other.reloader.publisher.current().keys.find(&key, None, 0).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), wait).await.unwrap();
    // Both go on from there: neither undoes the other.
    other.put(&author(), Kind::Team, "apps2", json!({}), None, Intent::Apply).await.unwrap();
    stage.put(Kind::Team, "apps3", json!({})).await.unwrap();
    assert_eq!(stage.objects.revision_number(), 4);
    assert!(stage.objects.read(Kind::Team, "apps2").is_some());
    following.abort();
}

#[tokio::test]
async fn a_rekey_seals_everything_anew_under_another_master_key() {
    let mut stage = Stage::new("rekey").await;
    let body = json!({"like": "openai", "base_url": "http://127.0.0.1:1/v1", "keys": ["sk-canary-0123456789abcdef"]});
    stage.put(Kind::Provider, "mine", body).await.unwrap();
    let sealed = || rows_of(stage.objects.database());
    let before = sealed().await;
    let (old, new) = (stage.folder.join("master.key"), stage.folder.join("next.key"));
    std::fs::write(&new, "77".repeat(32)).unwrap();
    let count = rekey(stage.objects.database(), MasterPlace::File(old.clone()), MasterPlace::File(new.clone()), &author()).await.unwrap();
    assert_eq!(count, 2, "the object and its revision");
    let after = sealed().await;
    assert!(before.iter().all(|body| !after.contains(body)), "{after:?}");
    assert!(stage.restart().await.unwrap_err().contains("another master key"));
    std::fs::rename(&new, &old).unwrap();
    stage.restart().await.unwrap();
    assert_eq!(stage.objects.read(Kind::Provider, "mine").unwrap().body["keys"], json!([{"secret": "…cdef"}]));
    stage.objects.revert(&author(), 1).await.unwrap();
    assert!(stage.objects.read(Kind::Provider, "mine").is_none());
}

async fn rows_of(database: &Database) -> Vec<String> {
    let rows = database.query("SELECT body FROM objects", vec![]).await.unwrap();
    rows.iter().map(|row| row.text(0).to_owned()).collect()
}

#[tokio::test]
async fn a_key_that_goes_and_comes_back_has_not_spent_less() {
    let stage = Stage::new("back").await;
    let body = json!({"key": "rw-0123456789abcdef", "budgets": [{"usd": "1.50", "per": "1d"}], "limits": [{"requests": 5, "per": "1m"}]});
    // The first bound of all is compiled with everything; from then on keys change alone.
    stage.put(Kind::VirtualKey, "first", body.clone()).await.unwrap();
    stage.put(Kind::VirtualKey, "mobile", json!({"key": "rw-0123456789abcdee", "budgets": body["budgets"]})).await.unwrap();
    let find = |key: &str| stage.snapshot().keys.find(key, None, 0).unwrap().clone();
    let now = Now { mono_ns: 0, unix_ms: 0 };
    let account = find("rw-0123456789abcdee").quotas.list(now)[0].account.clone();
    let same = |quotas: &ringway_policy::quota::List| quotas.iter().any(|quota| Arc::ptr_eq(&quota.account, &account));
    let richer = json!({"key": "rw-0123456789abcdee", "budgets": [{"usd": "2.50", "per": "1d"}]});
    stage.put(Kind::VirtualKey, "mobile", richer.clone()).await.unwrap();
    let quotas = find("rw-0123456789abcdee").quotas.list(now).clone();
    assert!(same(&quotas) && quotas[0].allows.contains("2.5"), "{}", quotas[0].allows);
    let shown = |id: &str| stage.snapshot().quotas.iter().filter(|quota| quota.id.starts_with(id)).count();
    assert_eq!(shown("key/mobile/"), 1, "the one before it is shown no more");
    stage.objects.delete(&author(), Kind::VirtualKey, "mobile", None, Intent::Apply).await.unwrap();
    assert_eq!(shown("key/mobile/"), 0);
    stage.put(Kind::VirtualKey, "mobile", richer).await.unwrap();
    assert!(same(find("rw-0123456789abcdee").quotas.list(now)));
}
