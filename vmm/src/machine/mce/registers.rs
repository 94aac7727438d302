//! What the machine-check registers hold for an error in memory (Intel SDM volume 3, chapter 16).

use crate::control::MceSeverity;

/// Banks of error-reporting registers that a vCPU has.
pub const BANKS: u64 = 10;
/// The bank in which the error is reported.
pub const ERROR_BANK: u8 = 9;
/// The bank in which the other processors learn that one of them has an error.
pub const BYSTANDER_BANK: u8 = 1;

/// IA32_MCG_CAP (section 16.3.1.1): the number of banks, and that IA32_MCG_CTL and software error
/// recovery are there.
pub const MCG_CTL_P: u64 = 1 << 8;
pub const MCG_SER_P: u64 = 1 << 24;

/// IA32_MCG_STATUS (section 16.3.1.2): restart IP valid, error IP valid, machine check in progress.
pub const MCG_RIPV: u64 = 1 << 0;
pub const MCG_EIPV: u64 = 1 << 1;
pub const MCG_MCIP: u64 = 1 << 2;

/// IA32_MCi_STATUS (sections 16.3.2.2 and 16.6.2).
pub const VAL: u64 = 1 << 63;
const UC: u64 = 1 << 61;
const EN: u64 = 1 << 60;
const MISCV: u64 = 1 << 59;
const ADDRV: u64 = 1 << 58;
/// Signaled: by a machine-check exception.
const S: u64 = 1 << 56;
/// Recovery action required.
const AR: u64 = 1 << 55;

/// MCA error codes (sections 16.9.2, 16.9.3.1 and 16.9.3.2): a read by the memory controller, memory
/// scrubbing, a load of data; the channel is not specified.
const CODE_READ: u64 = 0x009f;
const CODE_SCRUB: u64 = 0x00c0;
const CODE_DATA_LOAD: u64 = 0x0134;

/// IA32_MCi_MISC (section 16.3.2.4): the address is physical, and its bits from 12 on count.
pub const MISC_PHYSICAL_PAGE: u64 = (2 << 6) | 12;

/// IA32_MCi_STATUS and IA32_MCG_STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub bank: u64,
    pub global: u64,
}

/// What a processor that meets the error says (section 16.6.3, table 16-6).
pub const fn of(severity: MceSeverity) -> Status {
    let error = VAL | UC | EN | MISCV | ADDRV;
    match severity {
        MceSeverity::Ao => Status { bank: error | S | CODE_SCRUB, global: MCG_MCIP | MCG_RIPV },
        MceSeverity::Ar => {
            Status { bank: error | S | AR | CODE_DATA_LOAD, global: MCG_MCIP | MCG_EIPV | MCG_RIPV }
        }
        // No exception: the bank waits for somebody to look.
        MceSeverity::Ucna => Status { bank: error | CODE_READ, global: 0 },
    }
}

/// What the others say, which take part in the exception although they have no error (section
/// 16.10.4.1: it is broadcast): EN is clear, so the bank does not count, and S is set, so that Linux
/// clears it.
pub const BYSTANDER: Status = Status { bank: VAL | UC | S, global: MCG_MCIP | MCG_RIPV };

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux's handler compares them (arch/x86/kernel/cpu/mce/severity.c).
    #[test]
    fn registers_hold_the_architectural_values() {
        assert_eq!(of(MceSeverity::Ao), Status { bank: 0xbd00_0000_0000_00c0, global: 5 });
        assert_eq!(of(MceSeverity::Ar), Status { bank: 0xbd80_0000_0000_0134, global: 7 });
        assert_eq!(of(MceSeverity::Ucna), Status { bank: 0xbc00_0000_0000_009f, global: 0 });
        assert_eq!(BYSTANDER, Status { bank: 0xa100_0000_0000_0000, global: 5 });
        assert_eq!(MISC_PHYSICAL_PAGE, 0x8c);
    }
}
