//! The generation ID: by it a guest that goes on from a snapshot notices that it is not the only one that does.
//!
//! It is the machine's from its beginning to its end, resets included (Microsoft, "Virtual Machine Generation ID":
//! another one where a snapshot is gone on from, the same one after a reboot). So it is never saved.

use std::fmt;
use std::io;

use dimmer_acpi::generation;
use dimmer_guest_firmware as firmware;
use rustix::rand::{GetRandomFlags, getrandom};

// The place in memory is as AML says that it is.
const _: () = assert!(firmware::GENERATION_ID_SIZE == generation::SIZE);
const _: () = assert!(firmware::GENERATION_ID_START.is_multiple_of(generation::ALIGNMENT));

/// A generation ID as it lies in guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationId([u8; generation::SIZE]);

impl GenerationId {
    /// One that no machine has had.
    ///
    /// # Errors
    /// What the host says.
    pub fn fresh() -> io::Result<Self> {
        let mut id = [0; generation::SIZE];
        // So few bytes come all at once, or not at all (getrandom(2)).
        rustix::io::retry_on_intr(|| getrandom(&mut id, GetRandomFlags::empty()))?;
        Ok(Self(id))
    }

    /// Its bytes.
    pub const fn bytes(self) -> [u8; generation::SIZE] {
        self.0
    }
}

/// As a GUID is written, whose first three parts are numbers with the lowest byte first (UEFI 2.10, appendix A).
impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ORDER: [usize; generation::SIZE] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (place, index) in ORDER.into_iter().enumerate() {
            let dash = if [4, 6, 8, 10].contains(&place) { "-" } else { "" };
            write!(f, "{dash}{:02x}", self.0[index])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_written_as_uefi_writes_it() {
        let id = GenerationId([
            0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x0f,
        ]);
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddee0f");
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(GenerationId::fresh().unwrap(), GenerationId::fresh().unwrap());
    }
}
