//! As much of the ELF format (System V ABI, chapter 4) as kernels and modules need: 64-bit, little-endian.

/// An ELF file in memory. Reads beyond its end give nothing instead of a panic.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    bytes: &'a [u8],
}

const HEADER_SIZE: u64 = 64;

impl<'a> Elf<'a> {
    /// `bytes` as an ELF file, if it is a 64-bit little-endian one.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_elf = bytes.starts_with(b"\x7fELF\x02\x01") && bytes.len() as u64 >= HEADER_SIZE;
        is_elf.then_some(Self { bytes })
    }

    /// Whether it asks for a dynamic linker (`PT_INTERP`).
    #[must_use]
    pub fn is_dynamic(self) -> bool {
        self.segments().any(|segment| self.u32(segment) == Some(3))
    }

    /// Where the last of its headers, segments and sections ends: what is behind is not part of it.
    #[must_use]
    pub fn end(self) -> Option<u64> {
        let table = |offset, entry, count| {
            let size = u64::from(self.u16(entry)?) * u64::from(self.u16(count)?);
            self.u64(offset)?.checked_add(size)
        };
        let mut end = HEADER_SIZE.max(table(32, 54, 56)?).max(table(40, 58, 60)?);
        for segment in self.segments() {
            end = end.max(self.u64(segment + 8)?.checked_add(self.u64(segment + 32)?)?);
        }
        for section in self.sections().filter(|section| self.u32(section + 4) != Some(NOBITS)) {
            end = end.max(self.u64(section + 24)?.checked_add(self.u64(section + 32)?)?);
        }
        Some(end)
    }

    /// The bytes of the section called `name`.
    #[must_use]
    pub fn section(self, name: &str) -> Option<&'a [u8]> {
        let names = self.sections().nth(usize::from(self.u16(62)?))?;
        let names = self.contents(names)?;
        let is_called = |section: u64| {
            let start = usize::try_from(self.u32(section)?).ok()?;
            let rest = names.get(start..)?.strip_prefix(name.as_bytes())?;
            rest.starts_with(&[0]).then_some(())
        };
        let section = self.sections().find(|section| is_called(*section).is_some())?;
        self.contents(section)
    }

    fn contents(self, section: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(self.u64(section + 24)?).ok()?;
        let size = usize::try_from(self.u64(section + 32)?).ok()?;
        self.bytes.get(start..start.checked_add(size)?)
    }

    /// Offsets of the program headers.
    fn segments(self) -> impl Iterator<Item = u64> {
        self.headers(32, 54, 56)
    }

    /// Offsets of the section headers.
    fn sections(self) -> impl Iterator<Item = u64> {
        self.headers(40, 58, 60)
    }

    fn headers(self, offset: u64, entry: u64, count: u64) -> impl Iterator<Item = u64> {
        let start = self.u64(offset).unwrap_or(0);
        let (size, count) = (self.u16(entry).unwrap_or(0), self.u16(count).unwrap_or(0));
        let limit = self.bytes.len() as u64;
        (0..u64::from(count)).map_while(move |index| {
            let at = start.checked_add(index * u64::from(size))?;
            (at < limit).then_some(at)
        })
    }

    fn u16(self, at: u64) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn array<const N: usize>(self, at: u64) -> Option<[u8; N]> {
        self.bytes.get(usize::try_from(at).ok()?..)?.first_chunk().copied()
    }
}

/// Type of a section without bytes in the file (`SHT_NOBITS`).
const NOBITS: u32 = 8;

/// A small relocatable file with one section `name` of `contents`, for tests.
#[cfg(test)]
pub(crate) fn sample(name: &str, contents: &[u8]) -> Vec<u8> {
    let names = format!("\0{name}\0.shstrtab\0");
    let sections = HEADER_SIZE + contents.len() as u64 + names.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[40..48].copy_from_slice(&sections.to_le_bytes());
    for (at, value) in [(54, 56u16), (58, 64), (60, 3), (62, 2)] {
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(contents);
    bytes.extend_from_slice(names.as_bytes());
    let names_at = HEADER_SIZE + contents.len() as u64;
    let header = |name: u32, kind: u32, offset: u64, size: usize| {
        let mut header = vec![0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        header
    };
    bytes.extend(header(0, 0, 0, 0));
    bytes.extend(header(1, 1, HEADER_SIZE, contents.len()));
    bytes.extend(header(u32::try_from(name.len()).unwrap() + 2, 3, names_at, names.len()));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_section_is_found_by_its_name() {
        let bytes = sample(".modinfo", b"hello");
        let elf = Elf::new(&bytes).unwrap();
        assert_eq!(elf.section(".modinfo"), Some(b"hello".as_slice()));
        assert_eq!(elf.section(".mod"), None);
        assert_eq!(elf.end(), Some(bytes.len() as u64));
        assert!(!elf.is_dynamic());
    }

    #[test]
    fn this_test_is_a_dynamic_program_and_the_agent_is_static() {
        let this = std::fs::read("/proc/self/exe").unwrap();
        assert!(Elf::new(&this).unwrap().is_dynamic());
        for program in [crate::AGENT, crate::HOST_INIT] {
            assert!(!Elf::new(program).unwrap().is_dynamic());
        }
    }

    proptest! {
        #[test]
        fn damage_is_never_a_panic(at in 0usize..400, value: u8, cut in 0usize..400) {
            let mut bytes = sample(".modinfo", b"hello");
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Some(elf) = Elf::new(&bytes) {
                let _ = (elf.section(".modinfo"), elf.end(), elf.is_dynamic());
            }
        }
    }
}
