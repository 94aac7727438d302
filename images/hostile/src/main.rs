//! A guest that misuses every device, from ring 0 of a machine of its own: no kernel, no interrupts, two processors at once.
//!
//! Its command line is `seed=N rounds=N window=ADDRESS`: the window is where DIMMs come. It says on the serial console when it
//! begins and when it ends, and powers the machine off then. What is not attacked: what would only end the machine (reset,
//! panic device), and KVM's own interrupt controllers.

#![no_std]
#![no_main]

mod access;
mod chance;
mod entry;
mod memory;
mod slots;
mod virtio;

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU64, Ordering};

use chance::Chance;
use memory::{Places, number};

/// What both processors work on: 0 until the first has read its command line.
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static WINDOW: AtomicU64 = AtomicU64::new(0);
static RAM: AtomicU64 = AtomicU64::new(0);
/// Processors that are done.
static DONE: AtomicU64 = AtomicU64::new(0);

#[unsafe(no_mangle)]
extern "C" fn first_processor(info: u64) -> ! {
    access::say(b"hostile: begins\n");
    let line = memory::command_line(info);
    RAM.store(memory::end_of_ram(info), Ordering::SeqCst);
    WINDOW.store(number(line, b"window=").unwrap_or(0), Ordering::SeqCst);
    SEED.store(number(line, b"seed=").unwrap_or(1), Ordering::SeqCst);
    ROUNDS.store(number(line, b"rounds=").unwrap_or(100), Ordering::SeqCst);
    entry::wake_second();
    attack(0);
    while DONE.load(Ordering::SeqCst) < 2 {
        core::hint::spin_loop();
    }
    access::say(b"\nhostile: done\n");
    loop {
        // SLP_EN and the sleep type of soft off (ACPI 6.5, section 4.8.3.7).
        access::to_port(0xb10, 1 << 5 | 5 << 2, 1);
    }
}

#[unsafe(no_mangle)]
extern "C" fn second_processor() -> ! {
    attack(1);
    loop {
        core::hint::spin_loop();
    }
}

fn attack(processor: u64) {
    let mut chance = Chance::new(SEED.load(Ordering::SeqCst) * 2 + processor);
    let places = Places::new(RAM.load(Ordering::SeqCst), WINDOW.load(Ordering::SeqCst), processor);
    for _ in 0..ROUNDS.load(Ordering::SeqCst) {
        match chance.below(8) {
            0 => virtio::storm(&mut chance),
            1 | 2 => virtio::session(&mut chance, &places),
            3 => virtio::kicks(&mut chance),
            4 => virtio::plug(&mut chance, &places),
            5 => slots::storm(&mut chance),
            6 => slots::ejects(&mut chance),
            _ => slots::flood(&mut chance),
        }
    }
    DONE.fetch_add(1, Ordering::SeqCst);
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    access::say(b"\nhostile: a mistake of its own\n");
    loop {
        core::hint::spin_loop();
    }
}
