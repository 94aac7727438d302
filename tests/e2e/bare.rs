//! Guests of a few instructions in place of a kernel, for what no kernel does: the machine lives on.

#![expect(
    unsafe_code,
    reason = "the guest's instructions are assembled into this program, between two symbols"
)]

use std::fs;
use std::process::Stdio;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::rest::Rest;
use dimmer_lab::vm::{self, Setup};

use crate::patience::wait_until;
use crate::{GIB, Outcome};

crate::tests!("bare": running_into_the_void, a_console_that_nobody_reads);

/// Where the guest lies in memory; also its entry.
const START: u64 = 16 << 20;
/// The window for DIMMs of a machine with less than 4 GiB.
const WINDOW: u64 = 4 * GIB;

// Starts in protected mode without paging, as PVH has it (Xen, docs/misc/pvh.pandoc), and never comes
// back. Its memory, at 17 MiB: a page directory pointer table, a page directory, an interrupt table and a
// segment table of a page each, then two pseudo-descriptors, then a stack.
std::arch::global_asm!(
    ".pushsection .rodata",
    ".global void_guest_start, void_guest_end",
    ".code32",
    "void_guest_start:",
    "mov esp, 0x1106000",
    // Page extensions: 2 MiB of itself where they are, and 2 MiB of the window at 768 MiB.
    "mov dword ptr [0x1100000], 0x1101001",
    "mov dword ptr [0x1101000 + 8 * 8], 0x1000083",
    "mov dword ptr [0x1101000 + 384 * 8], {window_low} + 0x83",
    "mov dword ptr [0x1101004 + 384 * 8], {window_high}",
    "mov eax, 0x1100000",
    "mov cr3, eax",
    "mov eax, cr4",
    "or eax, 0x20",
    "mov cr4, eax",
    "mov eax, cr0",
    "or eax, 0x80000000",
    "mov cr0, eax",
    // A code segment, and a gate through it: #UD, number 6, goes to `2:`, which `call 5b` returns to.
    "mov dword ptr [0x1103008], 0x0000ffff",
    "mov dword ptr [0x110300c], 0x00cf9a00",
    "mov word ptr [0x1104000], 15",
    "mov dword ptr [0x1104002], 0x1103000",
    "lgdt [0x1104000]",
    "jmp 6f",
    "5:",
    "pop eax",
    "mov [0x1102000 + 6 * 8], ax",
    "mov word ptr [0x1102002 + 6 * 8], 8",
    "mov word ptr [0x1102004 + 6 * 8], 0x8e00",
    "shr eax, 16",
    "mov [0x1102006 + 6 * 8], ax",
    "mov word ptr [0x1104008], 0x7ff",
    "mov dword ptr [0x110400a], 0x1102000",
    "lidt [0x1104008]",
    // Where nothing is, there are ones to read, and writes are lost: M.
    "mov edi, 768 << 20",
    "mov dx, 0x3f8",
    "cmp dword ptr [edi], -1",
    "jne 4f",
    "mov dword ptr [edi], 0",
    "cmp dword ptr [edi], -1",
    "jne 4f",
    "mov al, 'M'",
    "out dx, al",
    // There is no instruction to run: U.
    "xor esi, esi",
    "jmp edi",
    "6:",
    "call 5b",
    "2:",
    "test esi, esi",
    "jnz 3f",
    "cmp [esp], edi",
    "jne 4f",
    "mov al, 'U'",
    "out dx, al",
    // And KVM cannot add what is not there: A.
    "mov esi, 1",
    "paddd mm0, [edi]",
    "jmp 4f",
    "3:",
    "mov al, 'A'",
    "out dx, al",
    "4:",
    "hlt",
    "jmp 4b",
    "void_guest_end:",
    ".code64",
    ".popsection",
    window_low = const WINDOW & 0xffff_ffff,
    window_high = const WINDOW >> 32,
);

fn void_guest() -> &'static [u8] {
    unsafe extern "C" {
        static void_guest_start: u8;
        static void_guest_end: u8;
    }
    let (start, end) = (&raw const void_guest_start, &raw const void_guest_end);
    // SAFETY: both symbols are in the same piece of read-only data, the second behind the first.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// An ELF file that loads `code` at [`START`] and has its PVH entry there (System V ABI, ELF-64 object
/// file format, sections 2 and 8; Xen, xen/include/public/elfnote.h).
pub fn elf(code: &[u8]) -> Vec<u8> {
    const ENTRY: u32 = 18;
    const HEADERS: u64 = 64 + 2 * 56;
    let size = code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // An executable for x86-64; program headers; no sections, no flags; sizes and numbers.
    [2_u16, 62].iter().for_each(|half| file.extend(half.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    [START, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    [64_u16, 56, 2, 64, 0, 0].iter().for_each(|half| file.extend(half.to_le_bytes()));
    // What is loaded, and a note: kind and flags, offset, virtual and physical address, sizes, alignment.
    let entry = u32::try_from(START).expect("below 4 GiB");
    let note: Vec<u8> =
        [4, 4, ENTRY, u32::from_le_bytes(*b"Xen\0"), entry].into_iter().flat_map(u32::to_le_bytes).collect();
    let segments = [(1_u32, HEADERS, START, size), (4, HEADERS + size, 0, note.len() as u64)];
    for (kind, offset, address, size) in segments {
        [kind, 5].iter().for_each(|word| file.extend(word.to_le_bytes()));
        [offset, address, address, size, size, 4].iter().for_each(|word| file.extend(word.to_le_bytes()));
    }
    file.extend(code);
    file.extend(note);
    file
}

/// A guest in kernel mode that reads, writes, and runs what is not there: it gets ones, nothing, and
/// an invalid-opcode exception, the machine counts, and says once that something is odd.
fn running_into_the_void(kernel: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    let image = dir.path().join("guest");
    fs::write(&image, elf(void_guest()))?;
    let vm = Setup::new(kernel)
        .image(&image)
        .arguments("--memory size=512M --memory-hotplug method=acpi,slots=1,size=1G")
        .start()?;
    wait_until("the guest's last letter", || Ok(vm.console().contains('A')))?;
    assert_eq!((vm.console().as_str(), vm.log().matches("it gets #UD").count()), ("MUA", 1), "{}", vm.log());
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["state"], "running");
    let audit = vm.rest.audit()?;
    let window =
        audit.areas.iter().find(|area| area.range.start == WINDOW).ok_or("the window is at 4 GiB")?;
    assert!(window.stray_accesses >= 3 && window.mapped == 0, "{window:?}");
    Ok(())
}

/// A guest that writes to its console without end, and never comes back.
const TALKATIVE: &[u8] = &[
    0xba, 0xf8, 0x03, 0, 0, // mov edx, 0x3f8
    0xb0, b'x', // mov al, 'x'
    0xee, // out dx, al
    0xeb, 0xfd, // jmp to the one before
];

/// Once the pipe behind the console is full, the guest goes on without it, and the machine does as it is told.
fn a_console_that_nobody_reads(_: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    let (image, socket) = (dir.path().join("guest"), dir.path().join("api"));
    fs::write(&image, elf(TALKATIVE))?;
    let mut command = vm::dimmer();
    command.arg("run").arg("--kernel").arg(&image).arg("--api-socket").arg(&socket);
    let mut machine = command
        .args(["--memory", "size=512M", "--stop-timeout", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let console = machine.stdout.take().ok_or("it is piped")?;
    // A page of it: how many pieces fit in there is the host's business, so it is full when no more come.
    rustix::pipe::fcntl_setpipe_size(&console, 4096)?;
    let (mut last, mut looks) = (0, 0);
    wait_until("a full pipe", || {
        let now = rustix::io::ioctl_fionread(&console)?;
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        Ok(now > 0 && looks == 20)
    })?;
    let rest = Rest::new(&socket)?;
    for (path, state) in [("/vm.pause", "paused"), ("/vm.resume", "running")] {
        rest.tell(Method::PUT, path, None)?;
        assert_eq!(rest.tell(Method::GET, "/vm.info", None)?["state"], state);
    }
    let pid = rustix::process::Pid::from_child(&machine);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    assert_eq!(machine.wait()?.code(), Some(0));
    Ok(())
}
