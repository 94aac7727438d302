//! Batches on several guests at a time.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use super::{Batch, Entry, guest};

/// How many guests to run at a time: as many as there are processors, and memory for the largest ones.
pub fn jobs(batches: &[Batch<'_>]) -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let largest = batches.iter().map(Batch::memory).max().unwrap_or(1);
    let fitting = available_memory().map_or(1, |bytes| bytes / 10 * 8 / largest);
    cpus.min(usize::try_from(fitting).unwrap_or(usize::MAX)).max(1)
}

/// Runs `batches`, `jobs` of them at a time, the longest first, and hands over what becomes of each scenario as soon as
/// that is known.
pub fn run(batches: &[Batch<'_>], jobs: usize, mut done: impl FnMut(Entry)) {
    let mut order: Vec<_> = batches.iter().collect();
    order.sort_by_key(|batch| std::cmp::Reverse(batch.cost()));
    let left = Mutex::new(VecDeque::from(order));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        let (sender, entries) = mpsc::channel();
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(batch) = next() {
                    // Nobody listens only when the listener has panicked, and then nothing matters any more.
                    guest::run(batch, |entry| drop(sender.send(entry)));
                }
            });
        }
        drop(sender);
        entries.into_iter().for_each(&mut done);
    });
}

/// Memory that new programs may take without swapping, in bytes (`MemAvailable`).
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
