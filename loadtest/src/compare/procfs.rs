//! CPU time and context switches of processes, from /proc.
//!
//! `stat` counts in ticks of 10 ms, too coarse for a round at 1,000 requests a second, so the CPU total is the sum of
//! the threads' `schedstat` (nanoseconds); `stat` gives the share of user time. proc(5).

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Totals of a set of processes: absolute, or over an interval after `since`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ProcessUse {
    pub(super) cpu_ns: u64,
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) context_switches: u64,
    /// Resident memory: at the time of reading, or the most that a watch saw.
    pub(super) resident_bytes_max: u64,
}

impl ProcessUse {
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            user_ticks: self.user_ticks.saturating_sub(before.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(before.system_ticks),
            context_switches: self.context_switches.saturating_sub(before.context_switches),
            resident_bytes_max: self.resident_bytes_max,
        }
    }

    /// Nanoseconds in user space, by the tick's share.
    pub(super) fn user_ns(&self) -> f64 {
        let ticks = self.user_ticks + self.system_ticks;
        if ticks == 0 { 0.0 } else { self.cpu_ns as f64 * self.user_ticks as f64 / ticks as f64 }
    }
}

/// Sums over the processes and their children; `None` where no pid was given.
///
/// # Errors
/// A pid that is not running.
pub(super) fn read(pids: &[u32]) -> Result<Option<ProcessUse>, String> {
    if pids.is_empty() {
        return Ok(None);
    }
    let mut all: Vec<u32> = pids.to_vec();
    let mut index = 0;
    while index < all.len() {
        for child in children(all[index]) {
            if !all.contains(&child) {
                all.push(child);
            }
        }
        index += 1;
    }
    let mut total = ProcessUse::default();
    for pid in all {
        add_process(&mut total, pid).ok_or_else(|| format!("process {pid} is not running or not readable in /proc"))?;
    }
    Ok(Some(total))
}

/// Samples resident memory while a round runs.
pub(super) struct MemoryWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

/// How often memory is sampled.
const MEMORY_SAMPLE: Duration = Duration::from_millis(100);

pub(super) fn watch_memory(pids: &[u32]) -> MemoryWatch {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let pids = pids.to_vec();
    let thread = std::thread::spawn(move || {
        let mut most = 0;
        while !pids.is_empty() && !stopped.load(Ordering::Relaxed) {
            most = read(&pids).ok().flatten().map_or(most, |total| most.max(total.resident_bytes_max));
            std::thread::park_timeout(MEMORY_SAMPLE);
        }
        most
    });
    MemoryWatch { stop, thread }
}

impl MemoryWatch {
    /// The most that was seen, in bytes.
    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or(0)
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn add_process(total: &mut ProcessUse, pid: u32) -> Option<()> {
    let (user_ticks, system_ticks) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    total.user_ticks += user_ticks;
    total.system_ticks += system_ticks;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    total.resident_bytes_max += field(&status, "VmRSS:") * 1024;
    let mut precise_ns = None;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).ok();
        if let Some(run_ns) = read("schedstat").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()) {
            *precise_ns.get_or_insert(0) += run_ns;
        }
        let status = read("status").unwrap_or_default();
        total.context_switches += field(&status, "\nvoluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:");
    }
    // Kernels without schedstat leave the ticks, which are a hundredth of a second on every Linux we run on.
    total.cpu_ns += precise_ns.filter(|ns| *ns > 0).unwrap_or((user_ticks + system_ticks) * 10_000_000);
    Some(())
}

/// utime and stime: the 14th and 15th field; the second is a name in parentheses that may hold anything.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn field(status: &str, name: &str) -> u64 {
    let value = status.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 9";
        assert_eq!(parse_stat(text), Some((50, 60)));
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn voluntary_and_forced_switches_are_told_apart() {
        let status = "VmRSS:\t  12 kB\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!((field(status, "\nvoluntary_ctxt_switches:"), field(status, "nonvoluntary_ctxt_switches:")), (5, 7));
        assert_eq!(field(status, "VmRSS:"), 12);
    }

    #[test]
    fn our_own_process_uses_cpu() {
        let before = read(&[std::process::id()]).unwrap().unwrap();
        let mut sum = 0u64;
        while read(&[std::process::id()]).unwrap().unwrap().cpu_ns == before.cpu_ns {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(read(&[u32::MAX]).is_err());
    }
}
