//! What the machine-check registers hold for an error in memory: Intel's (Intel SDM volume 3, chapter 16), and AMD's, which has
//! the same registers with other bits (AMD APM volume 2, chapter 9).

use crate::control::MceSeverity;
use crate::spec::CpuVendor;

/// Banks of error-reporting registers that a vCPU has.
pub const BANKS: u64 = 10;
/// The bank in which the error is reported.
pub const ERROR_BANK: u8 = 9;
/// The bank in which the other processors learn that one of them has an error.
pub const BYSTANDER_BANK: u8 = 1;

/// MCG_CAP (Intel section 16.3.1.1; AMD section 9.3.1): the number of banks, that MCG_CTL is there, and that software error
/// recovery is, which AMD's say in CPUID.
pub const MCG_CTL_P: u64 = 1 << 8;
pub const MCG_SER_P: u64 = 1 << 24;

/// MCG_STATUS (Intel section 16.3.1.2; AMD section 9.3.1): restart IP valid, error IP valid, machine check in progress.
pub const MCG_RIPV: u64 = 1 << 0;
pub const MCG_EIPV: u64 = 1 << 1;
pub const MCG_MCIP: u64 = 1 << 2;

/// MCi_STATUS of both (Intel sections 16.3.2.2 and 16.6.2; AMD section 9.3.2).
pub const VAL: u64 = 1 << 63;
const UC: u64 = 1 << 61;
const EN: u64 = 1 << 60;
const MISCV: u64 = 1 << 59;
const ADDRV: u64 = 1 << 58;
/// Intel's, signaled: by a machine-check exception.
const S: u64 = 1 << 56;
/// Intel's, recovery action required.
const AR: u64 = 1 << 55;
/// AMD's: an uncorrected error of data that nobody has used yet.
const DEFERRED: u64 = 1 << 44;
/// AMD's: data that is known to be bad. Of a deferred error, AMD's own memory controllers need not say so; but without it Linux
/// 6.12 takes the address for none of memory (arch/x86/kernel/cpu/mce/amd.c, `amd_mce_usable_address`; 6.1 does not look).
const POISON: u64 = 1 << 43;
/// AMD's: found by scrubbing.
const SCRUB: u64 = 1 << 40;

/// Intel's error codes (sections 16.9.2 and 16.9.3.1): a read by the memory controller, memory scrubbing; the channel is
/// not specified.
const CODE_READ: u64 = 0x009f;
const CODE_SCRUB: u64 = 0x00c0;
/// A load of data, in the cache: the same of both (Intel section 16.9.3.2).
const CODE_DATA_LOAD: u64 = 0x0134;
/// AMD's: a generic read of memory, on the bus, answered.
const CODE_BUS_READ: u64 = 0x0a13;

/// Intel's MCi_MISC (section 16.3.2.4): the address is physical, and its bits from 12 on count. AMD's counts corrected errors.
const MISC_PHYSICAL_PAGE: u64 = (2 << 6) | 12;

/// MCi_STATUS, MCi_MISC and MCG_STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub bank: u64,
    pub misc: u64,
    pub global: u64,
}

impl Status {
    /// Whether it comes with an exception. If not, the bank waits for somebody to look.
    pub const fn is_exception(self) -> bool {
        self.global & MCG_MCIP != 0
    }
}

/// What a processor that meets the error says.
pub const fn of(vendor: CpuVendor, severity: MceSeverity) -> Status {
    match vendor {
        CpuVendor::Intel => intel(severity),
        CpuVendor::Amd => amd(severity),
    }
}

/// Intel SDM volume 3, section 16.6.3, table 16-6.
const fn intel(severity: MceSeverity) -> Status {
    let error = VAL | UC | EN | MISCV | ADDRV;
    let (bank, global) = match severity {
        MceSeverity::Ao => (error | S | CODE_SCRUB, MCG_MCIP | MCG_RIPV),
        MceSeverity::Ar => (error | S | AR | CODE_DATA_LOAD, MCG_MCIP | MCG_EIPV | MCG_RIPV),
        MceSeverity::Ucna => (error | CODE_READ, 0),
    };
    Status { bank, misc: MISC_PHYSICAL_PAGE, global }
}

/// AMD APM volume 2, section 9.3.2: there is no exception for an error that nobody has met; it is deferred.
const fn amd(severity: MceSeverity) -> Status {
    let error = VAL | EN | ADDRV | POISON;
    let (bank, global) = match severity {
        MceSeverity::Ao => (error | DEFERRED | SCRUB | CODE_BUS_READ, 0),
        MceSeverity::Ar => (error | UC | CODE_DATA_LOAD, MCG_MCIP | MCG_EIPV | MCG_RIPV),
        MceSeverity::Ucna => (error | DEFERRED | CODE_BUS_READ, 0),
    };
    Status { bank, misc: 0, global }
}

/// What Intel's other processors say, which take part in the exception although they have no error (section
/// 16.10.4.1: it is broadcast): EN is clear, so the bank does not count, and S is set, so that Linux
/// clears it. AMD's are left alone.
pub const BYSTANDER: Status = Status { bank: VAL | UC | S, misc: 0, global: MCG_MCIP | MCG_RIPV };

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux's handler compares them (arch/x86/kernel/cpu/mce/severity.c).
    #[test]
    fn registers_hold_intels_architectural_values() {
        let of = |severity| of(CpuVendor::Intel, severity);
        let misc = 0x8c;
        assert_eq!(of(MceSeverity::Ao), Status { bank: 0xbd00_0000_0000_00c0, misc, global: 5 });
        assert_eq!(of(MceSeverity::Ar), Status { bank: 0xbd80_0000_0000_0134, misc, global: 7 });
        assert_eq!(of(MceSeverity::Ucna), Status { bank: 0xbc00_0000_0000_009f, misc, global: 0 });
        assert_eq!(BYSTANDER, Status { bank: 0xa100_0000_0000_0000, misc: 0, global: 5 });
    }

    /// As `mce_severity_amd` and `amd_mce_usable_address` take them.
    #[test]
    fn registers_hold_amds_architectural_values() {
        let of = |severity| of(CpuVendor::Amd, severity);
        assert_eq!(of(MceSeverity::Ao), Status { bank: 0x9400_1900_0000_0a13, misc: 0, global: 0 });
        assert_eq!(of(MceSeverity::Ar), Status { bank: 0xb400_0800_0000_0134, misc: 0, global: 7 });
        assert_eq!(of(MceSeverity::Ucna), Status { bank: 0x9400_1800_0000_0a13, misc: 0, global: 0 });
        assert!(of(MceSeverity::Ar).is_exception() && !of(MceSeverity::Ao).is_exception());
    }
}
