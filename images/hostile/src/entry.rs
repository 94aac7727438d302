//! From PVH's protected mode (Xen, docs/misc/pvh.pandoc) and from real mode to long mode with 16 GiB mapped one to one.

core::arch::global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long begin

    .text
    .code32
    .global begin
begin:
    cli
    mov ebp, ebx
    mov esp, offset first_stack
    xor ecx, ecx
2:  mov eax, ecx
    shl eax, 21
    or eax, 0x83
    mov [directories + ecx * 8], eax
    mov eax, ecx
    shr eax, 11
    mov [directories + ecx * 8 + 4], eax
    inc ecx
    cmp ecx, 16 * 512
    jb 2b
    xor ecx, ecx
3:  mov eax, ecx
    shl eax, 12
    add eax, offset directories + 3
    mov [pointers + ecx * 8], eax
    inc ecx
    cmp ecx, 16
    jb 3b
    mov eax, offset pointers + 3
    mov [top], eax
    mov eax, offset first
    jmp into_long_mode

// A processor that was woken goes on here, in 32 bits.
second_in_32_bits:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, offset second_stack
    mov eax, offset second

// EAX says where it goes on, ESP is its stack.
into_long_mode:
    mov edi, eax
    mov eax, offset top
    mov cr3, eax
    mov eax, cr4
    or eax, 0x620
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    and eax, 0xfffffffb
    or eax, 0x80000003
    mov cr0, eax
    lgdt [descriptor]
    push 8
    push edi
    retf

    .code64
first:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov edi, ebp
    call first_processor
second:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    call second_processor

// Copied to 0x8000, where a start-up interrupt with vector 8 begins (SDM, volume 3, 9.4.4.1).
    .code16
    .global wake_begin, wake_end
wake_begin:
    cli
    xor ax, ax
    mov ds, ax
    .byte 0x66 // all 32 bits of the table's address
    lgdt [wake_place]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea
    .long second_in_32_bits
    .word 24
wake_descriptor:
    .word 31
    .long segments
wake_end:
    .set wake_place, 0x8000 + wake_descriptor - wake_begin
    .code64

    .data
    .balign 8
segments:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cf9a000000ffff
descriptor:
    .word 31
    .quad segments

    .bss
    .balign 4096
top:         .skip 4096
pointers:    .skip 4096
directories: .skip 16 * 4096
    .skip 16384
first_stack:
    .skip 16384
second_stack:
    "#
);

unsafe extern "C" {
    static wake_begin: u8;
    static wake_end: u8;
}

/// Wakes processor 1, which goes on in `second_processor`.
pub fn wake_second() {
    const PLACE: *mut u8 = 0x8000 as *mut u8;
    const COMMAND_HIGH: *mut u32 = 0xfee0_0310 as *mut u32;
    const COMMAND_LOW: *mut u32 = 0xfee0_0300 as *mut u32;
    // SAFETY: the two symbols are the ends of one piece of code, and nothing else is at 0x8000; the local APIC is where it is
    // after a reset.
    unsafe {
        let (start, end) = (&raw const wake_begin, &raw const wake_end);
        core::ptr::copy_nonoverlapping(start, PLACE, end.addr() - start.addr());
        // INIT, then two start-up interrupts, to the processor whose APIC ID is 1.
        for command in [0x4500, 0x4608, 0x4608] {
            COMMAND_HIGH.write_volatile(1 << 24);
            COMMAND_LOW.write_volatile(command);
            for _ in 0..100_000 {
                core::hint::spin_loop();
            }
        }
    }
}
