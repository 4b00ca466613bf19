//! Processor time by thread, from /proc: how loaded each shard is.

use std::fs;

/// Names of the data plane's threads begin so, and end in the shard's index.
const SHARD_PREFIX: &str = "shard-";
/// Threads that are looked at; a process with more has other worries.
const THREADS_MAX: usize = 4_096;

/// Seconds on a processor since the start.
pub(super) struct Cpu {
    pub shards: Vec<f64>,
    /// All threads but the shards'.
    pub control: f64,
}

/// `None` where /proc does not tell (proc(5): `/proc/PID/task/TID/comm`, `schedstat`: nanoseconds on a processor first).
pub(super) fn cpu_seconds(shard_count: usize) -> Option<Cpu> {
    let mut cpu = Cpu { shards: vec![0.0; shard_count], control: 0.0 };
    for task in fs::read_dir("/proc/self/task").ok()?.flatten().take(THREADS_MAX) {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let Some(ns) = stat.split_ascii_whitespace().next().and_then(|text| text.parse::<u64>().ok()) else { continue };
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let shard = name.trim_end().strip_prefix(SHARD_PREFIX).and_then(|index| index.parse::<usize>().ok());
        match shard.and_then(|index| cpu.shards.get_mut(index)) {
            Some(seconds) => *seconds += ns as f64 * 1e-9,
            None => cpu.control += ns as f64 * 1e-9,
        }
    }
    Some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_seen() {
        let worker = std::thread::Builder::new().name("shard-1".into()).spawn(|| {
            let until = std::time::Instant::now() + std::time::Duration::from_millis(50);
            let mut sum = 0u64;
            while std::time::Instant::now() < until {
                sum = sum.wrapping_mul(31).wrapping_add(7);
            }
            let cpu = cpu_seconds(2).unwrap();
            (std::hint::black_box(sum), cpu)
        });
        let (_, cpu) = worker.unwrap().join().unwrap();
        assert!(cpu.shards[1] > 0.0 && cpu.shards[0] == 0.0, "{:?}", cpu.shards);
    }
}
