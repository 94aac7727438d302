//! What this guest knows of its memory, and where it lets devices read and write.

use core::arch::asm;

use crate::access;
use crate::chance::Chance;

/// Each processor has so much RAM for rings and buffers, from here on: far from its code.
const ARENA: u64 = 64 << 20;
const ARENA_SIZE: u64 = 16 << 20;
/// Where all registers of virtio devices begin.
pub const REGISTERS: u64 = 0xd000_0000;

/// Addresses to choose from.
pub struct Places {
    ram: u64,
    window: u64,
    /// Where this processor's own rings and buffers are.
    pub arena: u64,
}

impl Places {
    /// Those of a machine whose RAM ends at `ram`, and whose DIMMs come from `window` on.
    pub fn new(ram: u64, window: u64, processor: u64) -> Self {
        Self { ram, window, arena: ARENA + processor * ARENA_SIZE }
    }

    /// An address in the arena, mostly; else one at the edge of RAM, across it and beyond, where memory comes and goes, where
    /// registers are, or anywhere.
    pub fn any(&self, chance: &mut Chance) -> u64 {
        let near = chance.below(8192);
        match chance.below(16) {
            0 => self.ram - near,
            1 => self.ram + near,
            2 | 3 => self.window + chance.below(4 << 30),
            4 => self.window + (chance.below(64) << 21) - near % 32,
            5 => REGISTERS + chance.below(0x2_0000),
            6 => u64::MAX - near,
            7 => chance.any(),
            _ => self.arena + 0x10_0000 + chance.below(0x8_0000),
        }
    }

    /// An address for a ring: as [`any`](Self::any), mostly aligned.
    pub fn ring(&self, chance: &mut Chance) -> u64 {
        let address =
            if chance.below(4) == 0 { self.any(chance) } else { self.arena + chance.below(64) * 0x4000 };
        if chance.below(8) == 0 { address } else { address & !0xf }
    }

    /// Writes a number of two or eight bytes, where this guest may write.
    pub fn put(&self, address: u64, value: u64, width: u64) {
        let own = address >= self.arena && address < self.arena + ARENA_SIZE;
        let theirs = address >= self.window && address < self.window + (8 << 30);
        if own || theirs {
            access::to(address, value, width);
        }
    }
}

/// The end of RAM below 4 GiB, by the memory map of PVH's start info.
pub fn end_of_ram(info: u64) -> u64 {
    let (map, count) = (access::from(info + 40, 8), access::from(info + 48, 4));
    let entries = (0..count).map(|index| map + index * 24);
    let ram = entries.filter(|entry| access::from(entry + 16, 4) == 1);
    let ends = ram.map(|entry| access::from(entry, 8) + access::from(entry + 8, 8));
    ends.filter(|end| *end <= 3 << 30).max().unwrap_or(0)
}

/// The command line, up to its final zero.
pub fn command_line(info: u64) -> &'static [u8] {
    let start = access::from(info + 24, 8) as *const u8;
    let mut length = 0;
    // SAFETY: PVH puts a text with a zero behind it there, and nothing changes it.
    unsafe {
        while length < 4096 && *start.add(length) != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(start, length)
    }
}

/// The number behind `key` in `line`, decimal.
pub fn number(line: &[u8], key: &[u8]) -> Option<u64> {
    let at = line.windows(key.len()).position(|part| part == key)?;
    let digits = line[at + key.len()..].iter().take_while(|letter| letter.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// What the compiler counts on.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") count => _) };
    to
}

/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { asm!("rep stosb", inout("rdi") to => _, in("al") byte as u8, inout("rcx") count => _) };
    to
}

/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    for index in 0..count {
        // SAFETY: the caller's promise.
        let (one, other) = unsafe { (one.add(index).read_volatile(), other.add(index).read_volatile()) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(one, other, count) }
}
