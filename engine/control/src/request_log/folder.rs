//! The folder of the log: one file a UTC day, and further parts of a day where it has grown large.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ringway_policy::record::write_time;

use super::rollup::DAY_MS;

/// Files beside a database of SQLite.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];
/// Broken files of one name that are kept.
const ASIDE_MAX: usize = 100;

/// Which partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PartitionId {
    /// Days since 1970-01-01.
    pub day: u32,
    /// 0, or one more each time that the day's file was full.
    pub part: u16,
}

impl PartitionId {
    pub fn day_of(at_ms: u64) -> u32 {
        (at_ms / DAY_MS) as u32
    }

    /// `2026-11-20.db`, `2026-11-20.1.db`.
    fn file_name(self) -> String {
        let mut time = Vec::new();
        write_time(u64::from(self.day) * DAY_MS, &mut time);
        let date = String::from_utf8_lossy(time.get(..10).unwrap_or_default()).into_owned();
        if self.part == 0 { format!("{date}.db") } else { format!("{date}.{}.db", self.part) }
    }

    fn parse(name: &str) -> Option<PartitionId> {
        let stem = name.strip_suffix(".db")?;
        let (date, part) = stem.split_once('.').unwrap_or((stem, "0"));
        let mut numbers = date.splitn(3, '-').map(str::parse::<u64>);
        let day = days(numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?)?;
        let id = PartitionId { day: u32::try_from(day).ok()?, part: part.parse().ok()? };
        (id.file_name() == name).then_some(id)
    }
}

/// Year, month, day → days since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// The folder that holds the partitions.
#[derive(Clone, Debug)]
pub(super) struct Folder(pub PathBuf);

impl Folder {
    /// The partitions, oldest first. A folder that is not there has none.
    pub fn list(&self) -> io::Result<Vec<PartitionId>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids: Vec<PartitionId> = entries.filter_map(|entry| PartitionId::parse(entry.ok()?.file_name().to_str()?)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    pub fn path(&self, id: PartitionId) -> PathBuf {
        self.0.join(id.file_name())
    }

    /// What a partition takes on the disk, with what SQLite keeps beside it.
    pub fn bytes(&self, id: PartitionId) -> u64 {
        let path = self.path(id);
        COMPANIONS.iter().filter_map(|end| fs::metadata(with_end(&path, end)).ok()).map(|file| file.len()).sum()
    }

    /// Deletes a partition as a whole.
    pub fn remove(&self, id: PartitionId) -> io::Result<()> {
        let path = self.path(id);
        for end in COMPANIONS {
            match fs::remove_file(with_end(&path, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Renames a partition that cannot be read, so that a person can look at it: `2026-11-20.db.broken-1`.
    pub fn set_aside(&self, id: PartitionId) -> io::Result<PathBuf> {
        let path = self.path(id);
        let free = (1..=ASIDE_MAX).map(|number| with_end(&path, &format!(".broken-{number}"))).find(|path| !path.exists());
        let target = free.ok_or_else(|| io::Error::other(format!("{ASIDE_MAX} broken files of this day are kept already")))?;
        for end in COMPANIONS {
            match fs::rename(with_end(&path, end), with_end(&target, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(target)
    }

    /// Deletes the oldest partitions: those whose day is `days` or more ago, then more while all take over `bytes_max`. The
    /// newest one stays.
    pub fn retain(&self, today: u32, days: u32, bytes_max: u64) -> io::Result<Vec<PartitionId>> {
        let ids = self.list()?;
        let mut total: u64 = ids.iter().map(|id| self.bytes(*id)).sum();
        let mut removed = Vec::new();
        for id in ids.iter().take(ids.len().saturating_sub(1)) {
            if id.day.saturating_add(days) > today && total <= bytes_max {
                break;
            }
            total = total.saturating_sub(self.bytes(*id));
            self.remove(*id)?;
            removed.push(*id);
        }
        Ok(removed)
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(end);
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ringway-folder-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    #[test]
    fn names_come_back() {
        for day in (0..60_000).step_by(13) {
            for part in [0, 1, 12] {
                let id = PartitionId { day, part };
                assert_eq!(PartitionId::parse(&id.file_name()), Some(id));
            }
        }
        assert_eq!(PartitionId { day: 20_777, part: 0 }.file_name(), "2026-11-20.db");
        for name in ["2026-11-20.db-wal", "2026-11-31.db", "2026-13-01.db", "x.db", "2026-11-20.db.broken-1", "2026-11-20.0.db", ".db"] {
            assert_eq!(PartitionId::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_stays() {
        let folder = folder("retain");
        for day in 100..110 {
            fs::write(folder.path(PartitionId { day, part: 0 }), vec![0; 1_000]).unwrap();
        }
        fs::write(folder.0.join("note.txt"), "mine").unwrap();
        let days = |ids: &[PartitionId]| ids.iter().map(|id| id.day).collect::<Vec<_>>();
        assert_eq!(days(&folder.retain(109, 8, u64::MAX).unwrap()), [100, 101]);
        assert_eq!(days(&folder.retain(109, 8, 5_500).unwrap()), [102, 103, 104]);
        assert_eq!(days(&folder.retain(500, 8, 0).unwrap()), [105, 106, 107, 108]);
        assert_eq!(days(&folder.list().unwrap()), [109]);
        assert!(folder.0.join("note.txt").exists());
        let _ = fs::remove_dir_all(&folder.0);
    }

    #[test]
    fn what_is_set_aside_is_no_partition() {
        let folder = folder("aside");
        let id = PartitionId { day: 20_777, part: 0 };
        for round in 1..=2 {
            fs::write(folder.path(id), "junk").unwrap();
            fs::write(with_end(&folder.path(id), "-wal"), "junk").unwrap();
            let aside = folder.set_aside(id).unwrap();
            assert!(aside.to_string_lossy().ends_with(&format!(".broken-{round}")));
            assert!(aside.exists() && folder.list().unwrap().is_empty());
        }
        let _ = fs::remove_dir_all(&folder.0);
    }
}
