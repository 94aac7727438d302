//! Who called what a vCPU's kernel does: the words of its stack that are addresses behind a call.
//!
//! Kernels for x86-64 keep no frame pointers, and their unwinding tables are not at hand here. So a word that an earlier call left behind
//! is taken for one of a call under way, as in the lines that Linux itself marks with a question mark.

use std::cell::Cell;

use dimmer_devices::memory_map::MemoryMap;
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress};

/// A stack of Linux, which begins at a multiple of its size (arch/x86/include/asm/page_64_types.h, `THREAD_SIZE` and `IRQ_STACK_SIZE`).
const STACK: u64 = 16 << 10;
/// How many stacks lead to each other: an exception's, an interrupt's and a program's.
const STACKS: usize = 3;
/// How many calls are told.
const MOST: usize = 32;
const PAGE: u64 = 4096;
/// Where Linux' code lies, its modules' as well (Documentation/arch/x86/x86_64/mm.rst).
const CODE: std::ops::Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_ff00_0000;
/// Where Linux' stacks lie: in the upper half.
const KERNEL: u64 = 1 << 63;

/// Reads the guest's memory at its virtual addresses, within a page; false where nothing is.
type Read<'a> = &'a dyn Fn(u64, &mut [u8]) -> bool;

/// Addresses that the kernel of a vCPU which stands still is to return to, the innermost first; at most 32, and none where it cannot be
/// told. `rsp` is the stack's pointer.
pub fn callers(vcpu: &VcpuFd, memory: &MemoryMap, rsp: u64) -> Vec<u64> {
    // The page that was looked at last, and where it is: most words lie in the page of the one before.
    let last = Cell::new(None);
    find(rsp, &|address, bytes| {
        let page = address / PAGE;
        let known = last.get().filter(|(known, _)| *known == page).map(|(_, place)| place);
        let look = || {
            vcpu.translate_gva(page * PAGE)
                .ok()
                .filter(|found| found.valid != 0)
                .map(|found| found.physical_address)
        };
        let Some(place) = known.or_else(look) else { return false };
        last.set(Some((page, place)));
        memory.read_slice(bytes, GuestAddress(place + address % PAGE)).is_ok()
    })
}

fn find(rsp: u64, read: Read<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    let mut top = rsp;
    for _ in 0..STACKS {
        let words = stack(top, read);
        found.extend(
            words.iter().copied().filter(|word| is_behind_a_call(*word, read)).take(MOST - found.len()),
        );
        // An interrupt's stack begins with the pointer of the one that it interrupts (arch/x86/include/asm/irq_stack.h).
        match words.last() {
            Some(next) if *next >= KERNEL && !CODE.contains(next) && next / STACK != top / STACK => {
                top = *next
            }
            _ => break,
        }
    }
    found
}

/// The words from `top` to the end of its stack, or to where nothing is.
fn stack(top: u64, read: Read<'_>) -> Vec<u64> {
    let mut bytes = [0; 8];
    let end = (top | (STACK - 1)).saturating_add(1);
    let places = (top & !7..end).step_by(bytes.len());
    let there = places
        .take_while(|at| *at >= KERNEL)
        .map_while(|at| read(at, &mut bytes).then(|| u64::from_le_bytes(bytes)));
    there.collect()
}

/// Whether what lies before this address is a call: near to what is told there, or to where a register or a word of memory points
/// (Intel SDM volume 2, CALL: E8, or FF with 2 in the middle of its second byte).
fn is_behind_a_call(address: u64, read: Read<'_>) -> bool {
    let mut before = [0; 7];
    let length = before.len() as u64;
    if !CODE.contains(&address) || address % PAGE < length {
        return false;
    }
    let indirect = |bytes: &[u8]| bytes[0] == 0xff && bytes[1] >> 3 & 7 == 2;
    read(address - length, &mut before)
        && (before[2] == 0xe8 || [0, 1, 4, 5].iter().any(|start| indirect(&before[*start..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const TASK: u64 = 0xffff_c900_0001_0000;
    const INTERRUPT: u64 = 0xffff_c900_0000_4000;

    /// Memory of single bytes: pages that hold nothing else are zero, and others are not there.
    fn read(memory: &[(u64, &[u8])], address: u64, bytes: &mut [u8]) -> bool {
        bytes.fill(0);
        let mut there = false;
        for (start, content) in memory {
            there |= start / PAGE == address / PAGE;
            for (at, byte) in (*start..).zip(*content) {
                if let Some(place) =
                    at.checked_sub(address).and_then(|at| bytes.get_mut(usize::try_from(at).ok()?))
                {
                    *place = *byte;
                }
            }
        }
        there
    }

    #[test]
    fn calls_are_found_across_stacks() {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        // Behind: a near call, `call *%rax`, `call *%r8`, `call *8(%rip)`; at 0x90 something else.
        let calls: [(u64, &[u8]); 5] = [
            (TEXT + 0x10, &[0xe8, 1, 2, 3, 4]),
            (TEXT + 0x30, &[0xff, 0xd0]),
            (TEXT + 0x50, &[0x41, 0xff, 0xd0]),
            (TEXT + 0x70, &[0xff, 0x15, 8, 0, 0, 0]),
            (TEXT + 0x90, &[0x0f, 0x1f, 0, 0, 0]),
        ];
        let inner = words(&[5, TEXT + 0x15, TEXT + 0x95, TEXT + 0x32]);
        let link = words(&[TASK + 0x3fe0]);
        let outer = words(&[TEXT + 0x53, TEXT + 0x76, 0x15, 0]);
        let mut memory = calls.to_vec();
        memory.extend([
            (INTERRUPT + 0x3f00, &*inner),
            (INTERRUPT + 0x3ff8, &*link),
            (TASK + 0x3fe0, &*outer),
        ]);
        let read = |address, bytes: &mut [u8]| read(&memory, address, bytes);
        let found: Vec<_> = find(INTERRUPT + 0x3f00, &read).iter().map(|address| address - TEXT).collect();
        assert_eq!(found, [0x15, 0x32, 0x53, 0x76]);
        assert!(find(0x7fff_0000, &read).is_empty(), "a program's stack");
        assert!(find(u64::MAX, &read).is_empty(), "the last address of all");
        assert!(find(TASK + 0x4000, &read).is_empty(), "where nothing is");
    }

    #[test]
    fn stacks_that_lead_in_circles_come_to_an_end() {
        let (first, second) = ((TASK + 0x3ff8).to_le_bytes(), (INTERRUPT + 0x3ff8).to_le_bytes());
        let memory: [(u64, &[u8]); 2] = [(INTERRUPT + 0x3ff8, &first), (TASK + 0x3ff8, &second)];
        assert!(find(INTERRUPT + 0x3ff8, &|address, bytes| read(&memory, address, bytes)).is_empty());
    }
}
