//! How far a kernel that lays out its address space at random (KASLR) can address memory.
//!
//! It may leave the direct map no more room than RAM, rounded up to a TiB, and 10 TiB (`CONFIG_RANDOMIZE_MEMORY_PHYSICAL_PADDING`;
//! arch/x86/mm/kaslr.c, `kernel_randomize_memory`). What became of memory behind that has changed, also within stable series;
//! it was read in 5.10.262, 6.1.192 and 6.12.95 as Debian has them:
//!
//! - 5.10, and others before 6.11: nothing looks at it, and memory behind is mapped over what lies there.
//! - 6.11 to 6.14, and stable kernels of 2024 and 2025: `add_memory` refuses it (`E2BIG`, "exceeds maximum addressable range").
//! - since 6.15, and in 6.1.192 and 6.12.95: with `CONFIG_ZONE_DEVICE`, which distributions set, the direct map stays whole.

use crate::linux::Linux;
use crate::mistake::Mistake;
use crate::release::Release;
use crate::zone::PAGE;

const TIB: u64 = 1 << 40;
/// What is left behind RAM.
const PADDING: u64 = 10 * TIB;

/// What a release makes of memory that KASLR has left no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// There is none.
    Nothing,
    /// It is refused.
    Refused,
    /// It is mapped over something else.
    Unchecked,
}

impl Release {
    /// What this release makes of memory behind the room that KASLR may leave.
    pub fn behind_kaslr(self) -> Behind {
        let stable = [Self::new(6, 1), Self::new(6, 6), Self::new(6, 12)];
        if self >= Self::new(6, 15) || stable.contains(&self) {
            Behind::Nothing
        } else if self >= Self::new(6, 11) {
            Behind::Refused
        } else {
            Behind::Unchecked
        }
    }
}

/// The first address that KASLR may leave no room for, when RAM ends at `end`.
pub const fn reach(end: u64) -> u64 {
    end.next_multiple_of(TIB) + PADDING
}

impl Linux {
    /// The first address that it cannot have memory at, as far as KASLR has its way.
    pub fn reach(&self) -> Option<u64> {
        let leaves_all = self.memory.makes(Mistake::KaslrLeavesAll);
        if leaves_all || !self.settings.kaslr || self.release.behind_kaslr() == Behind::Nothing {
            return None;
        }
        let early = self.memory.blocks().values().filter(|block| block.early);
        early.flat_map(|block| &block.parts).map(|part| reach(part.frames.end * PAGE)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::Settings;
    use crate::policy::Policy;

    #[test]
    fn memory_that_kaslr_leaves_no_room_for_is_refused_or_never_looked_at_or_comes() {
        let far = 12 * TIB..12 * TIB + (1 << 30);
        for (release, kaslr, comes, lost) in [
            (Release::new(6, 12), true, true, false),
            (Release::new(6, 13), true, false, false),
            (Release::new(6, 13), false, true, false),
            (Release::new(5, 10), true, false, true),
        ] {
            let boot = crate::boot::BootMemory {
                usable: vec![0..0x9_fc00, 1 << 20..1 << 30],
                nodes: vec![(0..u64::MAX, 0)],
            };
            let memory = boot.boot(Policy::default());
            let mut linux = Linux::new(release, Settings { kaslr, ..Settings::default() }, memory);
            linux.plug_dimm("far", std::slice::from_ref(&far), 0);
            linux.plug_dimm("near", std::slice::from_ref(&(4 << 30..5 << 30)), 0);
            assert_eq!((linux.dimms.contains_key("far"), linux.exhausted), (comes, lost), "{release}");
            assert!(linux.dimms.contains_key("near"), "{release}");
            let why = linux.why(far.start >> 27);
            assert_eq!(why.contains("KASLR leaves no addresses from 11T on"), !comes, "{release}: {why}");
        }
    }
}
