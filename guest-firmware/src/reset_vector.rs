//! What a PC's BIOS has at the real-mode reset vector: the way back to the beginning.
//!
//! Linux on a hardware-reduced machine without EFI does not use the FADT's reset register: it takes
//! such a machine to have EFI, finds none, and jumps in real mode to F000:FFF0
//! (`reboot_init` and `native_machine_emergency_restart` in arch/x86/kernel/reboot.c).

/// The machine's reset register, an I/O port of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetRegister {
    /// Its port.
    pub port: u16,
    /// What resets the machine when it is written there.
    pub value: u8,
}

/// 16-bit code that writes the reset register, and stops should that return.
pub(crate) fn code(register: ResetRegister) -> [u8; 10] {
    let [low, high] = register.port.to_le_bytes();
    [
        0xba,
        low,
        high, // mov dx, port
        0xb0,
        register.value, // mov al, value
        0xee,           // out dx, al
        0xfa,           // cli
        0xf4,           // hlt
        0xeb,
        0xfd, // jmp to hlt
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_names_port_and_value() {
        let code = code(ResetRegister { port: 0xb12, value: 1 });
        assert_eq!(code, [0xba, 0x12, 0x0b, 0xb0, 1, 0xee, 0xfa, 0xf4, 0xeb, 0xfd]);
    }
}
