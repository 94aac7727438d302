//! Accesses of all widths, to ports and to addresses.

use core::arch::asm;

/// Writes `value` to a port, so many bytes of it: 1, 2 or 4.
pub fn to_port(port: u16, value: u32, width: u64) {
    // SAFETY: no device of this machine changes what this program stands on.
    unsafe {
        match width {
            1 => asm!("out dx, al", in("dx") port, in("al") value as u8),
            2 => asm!("out dx, ax", in("dx") port, in("ax") value as u16),
            _ => asm!("out dx, eax", in("dx") port, in("eax") value),
        }
    }
}

/// Reads so many bytes from a port: 1, 2 or 4.
pub fn from_port(port: u16, width: u64) -> u32 {
    let (mut byte, mut half, mut word) = (0_u8, 0_u16, 0_u32);
    // SAFETY: as above.
    unsafe {
        match width {
            1 => asm!("in al, dx", in("dx") port, out("al") byte),
            2 => asm!("in ax, dx", in("dx") port, out("ax") half),
            _ => asm!("in eax, dx", in("dx") port, out("eax") word),
        }
    }
    u32::from(byte) | u32::from(half) | word
}

/// Writes to an address, so many bytes: 1, 2, 4 or 8.
pub fn to(address: u64, value: u64, width: u64) {
    // SAFETY: callers name registers, or memory that is none of this program's.
    unsafe {
        match width {
            1 => asm!("mov [{}], {}", in(reg) address, in(reg_byte) value as u8),
            2 => asm!("mov [{}], {:x}", in(reg) address, in(reg) value),
            4 => asm!("mov [{}], {:e}", in(reg) address, in(reg) value),
            _ => asm!("mov [{}], {}", in(reg) address, in(reg) value),
        }
    }
}

/// Reads 8 bytes from an address, in so many at a time: 1, 2, 4 or 8.
pub fn from(address: u64, width: u64) -> u64 {
    let mut value: u64;
    // SAFETY: as above.
    unsafe {
        match width {
            1 => asm!("movzx {:e}, byte ptr [{}]", out(reg) value, in(reg) address),
            2 => asm!("movzx {:e}, word ptr [{}]", out(reg) value, in(reg) address),
            4 => asm!("mov {:e}, [{}]", out(reg) value, in(reg) address),
            _ => asm!("mov {}, [{}]", out(reg) value, in(reg) address),
        }
    }
    value
}

/// Writes a text to the serial console, whose line and modem control registers may have been set to anything: to another meaning of
/// the data register, and to a loop.
pub fn say(text: &[u8]) {
    to_port(0x3fb, 3, 1);
    to_port(0x3fc, 3, 1);
    text.iter().for_each(|letter| to_port(0x3f8, u32::from(*letter), 1));
}
