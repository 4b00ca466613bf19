use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use ringway_adapters::fault::Kind;
use ringway_policy::money::NanoDollars;

use super::rollup::{DAY_MS, MINUTE_MS};
use super::*;
use crate::ledger::sample;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of its own that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringway-log-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Place(path)
    }

    fn settings(&self) -> Settings {
        Settings { folder: Some(self.0.clone()), days: 30, bytes_max: BYTES_DEFAULT }
    }

    fn log(&self) -> RequestLog {
        RequestLog::new(self.settings(), Recent::default(), Arc::default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const WAIT: Duration = Duration::from_secs(10);

/// This day at noon, so that minutes and hours are whole.
fn noon() -> u64 {
    let now = writer::now_ms();
    now - now % DAY_MS + DAY_MS / 2
}

/// A mixture: each value of a column is known from the index.
fn record(index: u64, at_ms: u64) -> Record {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    Record {
        id,
        at_ms,
        key: Some(format!("key-{}", index % 7).into()),
        team: Some(if index.is_multiple_of(2) { "apps" } else { "ops" }.into()),
        model: Some(format!("m-{}", index % 3).into()),
        status: if index.is_multiple_of(10) { 502 } else { 200 },
        fault: index.is_multiple_of(10).then_some(Kind::UpstreamReset),
        tags: Some(format!("env={},n={}", if index.is_multiple_of(4) { "prod" } else { "dev" }, index % 5).into()),
        cost: Some(NanoDollars(index)),
        total_ns: (index + 1) * 1_000_000,
        ..sample()
    }
}

fn filter(pairs: &[(&str, &str)]) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in pairs {
        assert_eq!(filter.set(name, value), Ok(true));
    }
    filter
}

fn index_of(record: &RawValue) -> u64 {
    let value: serde_json::Value = serde_json::from_str(record.get()).unwrap();
    value["total_us"].as_u64().unwrap() / 1_000 - 1
}

/// All pages of a question, as indices.
async fn all(log: &RequestLog, filter: &Filter, limit: usize) -> Vec<u64> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = log.page(filter.clone(), cursor, limit).await.unwrap();
        assert!(page.records.len() <= limit);
        found.extend(page.records.iter().map(|record| index_of(record)));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
        assert_eq!(cursor.unwrap().to_string().parse(), Ok(cursor.unwrap()));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn what_is_pushed_is_found_newest_first_page_by_page() {
    let place = Place::new();
    let log = place.log();
    let start = noon();
    for batch in (0..3_000).collect::<Vec<u64>>().chunks(170) {
        let records: Vec<Record> = batch.iter().map(|index| record(*index, start + index * 20)).collect();
        log.push(&records);
    }
    runtime().block_on(async {
        assert_eq!(all(&log, &Filter::default(), 1_000).await, (0..3_000).rev().collect::<Vec<_>>());
        type Meant = fn(u64) -> bool;
        let cases: &[(&[(&str, &str)], Meant)] = &[
            (&[("key", "key-3")], |index| index % 7 == 3),
            (&[("status", "5xx")], |index| index.is_multiple_of(10)),
            (&[("fault", "upstream_error"), ("team", "ops")], |_| false),
            (&[("tag", "env=prod"), ("key", "key-1")], |index| index % 4 == 0 && index % 7 == 1),
            (&[("min_cost_usd", "0.0000029")], |index| index >= 2_900),
            (&[("min_ms", "2950"), ("model", "m-0")], |index| index >= 2_949 && index.is_multiple_of(3)),
            (&[("key", "nobody")], |_| false),
            (&[("text", "\"cost_usd\":\"0.000001234\"")], |index| index == 1_234),
            (&[("text", "key-5"), ("status", "5xx")], |index| index % 7 == 5 && index.is_multiple_of(10)),
        ];
        for (pairs, meant) in cases {
            let expected: Vec<u64> = (0..3_000).rev().filter(|index| meant(*index)).collect();
            assert_eq!(all(&log, &filter(pairs), 37).await, expected, "{pairs:?}");
        }
        let window = Filter { from_ms: Some(start + 200), to_ms: Some(start + 400), ..Filter::default() };
        assert_eq!(all(&log, &window, 4).await, (10..20).rev().collect::<Vec<_>>());
        let mut id = Vec::new();
        record::write_hex(&record(1_234, 0).id, &mut id);
        let found = log.one(std::str::from_utf8(&id).unwrap()).await.unwrap().unwrap();
        assert_eq!(found["key"], "key-2");
        assert_eq!(log.one(&"ab".repeat(16)).await.unwrap(), None);
        assert!(matches!(log.one("x").await, Err(Error::Invalid(_))));
    });
    assert_eq!(log.state(), State { state: "sqlite", records: 3_000, dropped: 0 });
}

#[test]
fn series_are_the_same_from_rollups_and_rows() {
    let place = Place::new();
    let start = noon() - 2 * 3_600_000;
    let query = |by: Option<&str>, filter: Filter, step_s: u64| SeriesQuery {
        from_ms: start,
        to_ms: start + 4 * 3_600_000,
        step_s,
        group_by: by.map(|by| GroupBy::parse(by).unwrap()),
        filter,
        top: 50,
    };
    let ask = async |log: &RequestLog| {
        let mut answers = Vec::new();
        for by in [None, Some("key"), Some("status"), Some("tag:env"), Some("model"), Some("fault")] {
            for pairs in [&[][..], &[("key", "key-2")], &[("status", "5xx")]] {
                for step_s in [60, 3_600] {
                    let series = log.series(query(by, filter(pairs), step_s)).await.unwrap();
                    let total: u64 = series.buckets.iter().flat_map(|bucket| &bucket.groups.0).map(|(_, sum)| sum.requests).sum();
                    assert_eq!(total, series.totals.0.iter().map(|(_, sum)| sum.requests).sum::<u64>());
                    answers.push(format!("{by:?} {pairs:?} {step_s} {}", serde_json::to_string(&series).unwrap()));
                }
            }
        }
        answers
    };
    let runtime = runtime();
    let log = place.log();
    for hour in 0..4 {
        let records: Vec<Record> = (0..600).map(|index| record(index, start + hour * 3_600_000 + index * 6_000)).collect();
        log.push(&records);
    }
    let from_rows = runtime.block_on(ask(&log));
    log.finish(WAIT);
    // The end wrote the sums.
    let again = place.log();
    let from_rollups = runtime.block_on(ask(&again));
    for (rows, rollups) in from_rows.iter().zip(&from_rollups) {
        assert_eq!(rows, rollups);
    }
    let by_key = runtime.block_on(again.series(query(Some("key"), Filter::default(), 3_600))).unwrap();
    assert_eq!(by_key.buckets.len(), 4);
    assert_eq!(by_key.totals.get("key-0").unwrap().requests, 4 * 86);
    let all = runtime.block_on(again.series(query(None, Filter::default(), 60))).unwrap();
    assert_eq!((all.totals.0.len(), all.totals.get("all").unwrap().errors), (1, 240));
    // More of the same hours, after their sums were written.
    again.push(&[record(5, start + 1_000), record(15, start + 3 * 3_600_000)]);
    again.finish(WAIT);
    let all = runtime.block_on(place.log().series(query(None, Filter::default(), 3_600))).unwrap();
    assert_eq!(all.totals.get("all").unwrap().requests, 2_402);
    let top = runtime.block_on(place.log().series(SeriesQuery { top: 2, ..query(Some("key"), Filter::default(), 3_600) })).unwrap();
    let names: Vec<&str> = top.totals.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names.len(), names[2]), (3, "other"));
    assert_eq!(top.totals.0.iter().map(|(_, sum)| sum.requests).sum::<u64>(), 2_402);
    let whole = runtime.block_on(place.log().series(query(Some("key"), Filter::default(), 3_600))).unwrap();
    for name in &names[..2] {
        assert_eq!(top.totals.get(name), whole.totals.get(name));
    }
}

#[test]
fn small_blocks_become_one_and_cursors_still_hold() {
    let place = Place::new();
    let log = place.log();
    let runtime = runtime();
    let start = noon();
    for index in 0..40 {
        log.push(&[record(index, start + index)]);
        runtime.block_on(log.sync());
    }
    let page = runtime.block_on(log.page(Filter::default(), None, 10)).unwrap();
    assert_eq!(page.records.len(), 10);
    let many: Vec<Record> = (40..2_100).map(|index| record(index, start + index)).collect();
    log.push(&many);
    runtime.block_on(async {
        log.sync().await;
        let next = log.page(Filter::default(), page.next, 1_000).await.unwrap();
        assert_eq!(next.records.iter().map(|record| index_of(record)).collect::<Vec<_>>(), (0..30).rev().collect::<Vec<_>>());
        assert_eq!(all(&log, &Filter::default(), 1_000).await.len(), 2_100);
    });
    log.finish(WAIT);
    let folder = Folder(place.0.clone());
    let ids = folder.list().unwrap();
    let mut partition = partition::Partition::read(&folder.path(ids[0])).unwrap().unwrap();
    let tx = partition.look().unwrap();
    let mut blocks = 0;
    let span = partition::Span { places: 0..u64::MAX, from_ms: 0, to_ms: u64::MAX };
    partition::each_block(&tx, &span, |_, _| {
        blocks += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(blocks, 1);
}

#[test]
fn a_restart_shows_what_was_there_and_old_days_go() {
    let place = Place::new();
    let start = noon();
    let runtime = runtime();
    let log = place.log();
    let days: Vec<Record> = (0..40).map(|day| record(day, start - day * DAY_MS)).collect();
    log.push(&days);
    log.finish(WAIT);
    // Dropped at the next start, as the newest partition is always kept until there is a newer one.
    let again = place.log();
    runtime.block_on(again.sync());
    let found = runtime.block_on(all(&again, &Filter::default(), 100));
    assert_eq!(found, (0..30).collect::<Vec<_>>());
    again.push(&[record(99, start)]);
    assert_eq!(runtime.block_on(all(&again, &Filter::default(), 100)).len(), 31);
}

#[test]
fn a_large_day_is_cut_into_parts_and_the_log_stays_within_its_bound() {
    let place = Place::new();
    let health = Arc::new(Health::default());
    let bytes_max = 4 * 1024 * 1024;
    let log = RequestLog::new(Settings { bytes_max, ..place.settings() }, Recent::default(), health.clone());
    let runtime = runtime();
    let start = noon();
    let folder = Folder(place.0.clone());
    for round in 0..60 {
        // Words of their own fill the sums, so that each round is written out.
        let records: Vec<Record> = (0..2_000)
            .map(|index| Record { key: Some(format!("k-{round}-{index}").into()), ..record(index, start + index * MINUTE_MS / 10) })
            .collect();
        log.push(&records);
        runtime.block_on(log.sync());
    }
    log.finish(WAIT);
    let ids = folder.list().unwrap();
    assert!(ids.len() > 1, "{ids:?}");
    let total: u64 = ids.iter().map(|id| folder.bytes(*id)).sum();
    assert!(total < bytes_max * 5 / 4, "{total}");
    assert!(health.reasons().is_empty());
}

#[test]
fn a_damaged_partition_is_set_aside_and_said() {
    let place = Place::new();
    let start = noon();
    let runtime = runtime();
    let log = place.log();
    log.push(&(0..500).map(|index| record(index, start - DAY_MS + index)).collect::<Vec<_>>());
    log.push(&(500..900).map(|index| record(index, start + index)).collect::<Vec<_>>());
    log.finish(WAIT);
    let folder = Folder(place.0.clone());
    let ids = folder.list().unwrap();
    // Yesterday's loses its second half, today's is no database at all.
    let yesterday = std::fs::read(folder.path(ids[0])).unwrap();
    std::fs::write(folder.path(ids[0]), &yesterday[..yesterday.len() / 2]).unwrap();
    std::fs::write(
        folder.path(ids[1]),
        b"this is no database, and longer than a header of one hundred bytes, so that it is read as such, too.",
    )
    .unwrap();
    let health = Arc::new(Health::default());
    let log = RequestLog::new(place.settings(), Recent::default(), health.clone());
    log.push(&[record(1_000, start)]);
    let found = runtime.block_on(all(&log, &Filter::default(), 100));
    assert!(found.starts_with(&[1_000]), "{found:?}");
    let reasons = health.reasons();
    assert_eq!((reasons.len(), reasons[0].0), (1, Part::RequestLog));
    assert!(reasons[0].1.contains("set aside") && reasons[0].1.contains(".broken-1"), "{reasons:?}");
    let aside = std::fs::read_dir(&place.0).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().contains(".broken-1"));
    assert_eq!(aside.count(), 2);
    assert_eq!(log.state().dropped, 0);
}

#[test]
fn a_folder_that_cannot_be_made_drops_counts_says_so_and_recovers() {
    let place = Place::new();
    // A file stands where the folder should be.
    std::fs::write(&place.0, "in the way").unwrap();
    let health = Arc::new(Health::default());
    let log = RequestLog::new(place.settings(), Recent::default(), health.clone());
    let runtime = runtime();
    log.push(&[record(1, noon()), record(2, noon())]);
    runtime.block_on(log.sync());
    assert_eq!((log.state().records, log.state().dropped), (0, 2));
    assert!(health.reasons()[0].1.starts_with("records are dropped: "), "{:?}", health.reasons());
    std::fs::remove_file(&place.0).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    log.push(&[record(3, noon())]);
    runtime.block_on(log.sync());
    assert_eq!((log.state().records, log.state().dropped), (1, 2));
    assert!(health.reasons().is_empty());
}

/// A small file system of its own, gone with the test.
struct Small<'p>(&'p Place);

impl<'p> Small<'p> {
    /// `None` where this process may not mount.
    fn mount(place: &'p Place, size: &str) -> Option<Small<'p>> {
        std::fs::create_dir_all(&place.0).unwrap();
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&place.0);
        command.output().is_ok_and(|output| output.status.success()).then_some(Small(place))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0.0).output();
    }
}

#[test]
fn a_full_disk_drops_counts_says_so_and_recovers() {
    let place = Place::new();
    let Some(_small) = Small::mount(&place, "2m") else {
        println!("skipped: no tmpfs can be mounted here");
        return;
    };
    let health = Arc::new(Health::default());
    let log = RequestLog::new(place.settings(), Recent::default(), health.clone());
    let runtime = runtime();
    let filler = place.0.join("filler");
    std::fs::write(&filler, vec![1; 1_500_000]).unwrap();
    let mut index = 0;
    let mut push = |rows: u64| {
        let records: Vec<Record> = (index..index + rows).map(|index| record(index, noon() + index)).collect();
        index += rows;
        log.push(&records);
        runtime.block_on(log.sync());
    };
    for _ in 0..200 {
        push(200);
        if log.state().dropped > 0 {
            break;
        }
    }
    let full = log.state();
    assert!(full.dropped > 0 && full.records > 0, "{full:?}");
    let reasons = health.reasons();
    assert!(reasons[0].1.contains("records are dropped") && reasons[0].1.contains("full"), "{reasons:?}");
    std::fs::remove_file(&filler).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    push(200);
    assert_eq!((log.state().records, log.state().dropped), (full.records + 200, full.dropped));
    assert!(health.reasons().is_empty(), "{:?}", health.reasons());
    let kept = runtime.block_on(all(&log, &Filter::default(), 1_000));
    assert_eq!(kept.len() as u64, full.records + 200);
    log.finish(WAIT);
}

#[test]
fn without_a_folder_the_last_records_answer() {
    let recent = Recent::default();
    let settings = Settings { folder: None, days: 1, bytes_max: 0 };
    let log = RequestLog::new(settings, recent.clone(), Arc::default());
    let mut records: Vec<Record> = (0..1_200).map(|index| record(index, noon() + index)).collect();
    log.push(&records);
    recent.push(&mut records);
    runtime().block_on(async {
        assert_eq!(all(&log, &Filter::default(), 300).await, (200..1_200).rev().collect::<Vec<_>>());
        assert_eq!(all(&log, &filter(&[("key", "key-1")]), 300).await.len(), 143);
        let query = SeriesQuery { from_ms: noon(), to_ms: noon() + 60_000, step_s: 60, group_by: None, filter: Filter::default(), top: 5 };
        assert_eq!(log.series(query).await.unwrap().totals.get("all").unwrap().requests, 1_000);
    });
    assert_eq!(log.state().state, "memory");
}

#[test]
fn the_tail_shows_each_record_at_once() {
    let log = RequestLog::none();
    let mut tail = log.tail();
    log.push(&[record(7, noon())]);
    let line: serde_json::Value = serde_json::from_str(&tail.try_recv().unwrap()).unwrap();
    assert_eq!((&line["key"], filter(&[("status", "2xx")]).admits(&line)), (&serde_json::json!("key-0"), true));
}
