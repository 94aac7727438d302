//! Batches on several guests at a time.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use dimmer_images::Kernel;

use super::guest::Seat;
use super::{Batch, Entry};
use crate::library::Source;

/// How many guests a host has room for at a time: `most`, as far as there is memory for the largest ones.
pub fn seats(batches: &[Batch<'_>], most: usize, memory: u64) -> usize {
    let largest = batches.iter().map(Batch::memory).max().unwrap_or(1);
    most.min(usize::try_from(memory / 10 * 8 / largest).unwrap_or(usize::MAX)).max(1)
}

/// Runs `batches` on this host, on so many seats that `seat` makes, and hands over what becomes of each scenario.
pub fn here(batches: &[Batch<'_>], seats: usize, seat: impl Fn() -> Seat, done: impl FnMut(Entry)) {
    let guests: Vec<Mutex<Seat>> = (0..seats).map(|_| Mutex::new(seat())).collect();
    let check = |seat: usize, source: &Source, kernel: &Kernel, another| {
        guests[seat].lock().unwrap_or_else(PoisonError::into_inner).check(source, kernel, another)
    };
    run(batches, seats, check, done);
}

/// Has `check` run the scenarios of `batches`, those of a batch one after the other on one of the seats and the longest
/// batches first, and hands over what becomes of each as soon as that is known.
pub fn run(
    batches: &[Batch<'_>],
    seats: usize,
    check: impl Fn(usize, &Source, &Kernel, bool) -> Entry + Sync,
    mut done: impl FnMut(Entry),
) {
    let mut order: Vec<_> = batches.iter().collect();
    order.sort_by_key(|batch| std::cmp::Reverse(batch.cost()));
    let left = Mutex::new(VecDeque::from(order));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        let (sender, entries) = mpsc::channel();
        for seat in 0..seats {
            let (sender, next, check) = (sender.clone(), &next, &check);
            scope.spawn(move || {
                while let Some(Batch { kernel, sources }) = next() {
                    for (number, source) in sources.iter().enumerate() {
                        let another = number + 1 < sources.len();
                        // Nobody listens only when the listener has panicked, and then nothing matters any more.
                        let _ = sender.send(check(seat, source, kernel, another));
                    }
                }
            });
        }
        drop(sender);
        entries.into_iter().for_each(&mut done);
    });
}

/// Memory that new programs may take without swapping, in bytes (`MemAvailable`).
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
