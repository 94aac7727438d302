//! The layouts that the kernel series introducing memory groups promised, for a machine with
//! 4 GiB of RAM (2 GiB below 4 GiB), `auto-movable` and a ratio of 301 %, block by block; and what
//! QEMU showed with the same kernels.
//!
//! Boot RAM gives 1,048,478 early kernel pages, and 301 % of them are 96 blocks of movable memory.
//! Six DIMMs of 32 blocks: each is movable or kernel memory as a whole, and three fit. A
//! virtio-mem device decides block by block, and each kernel block of its own buys three more.

/// Blocks of boot RAM.
pub const BOOT: &str = "0 none, 1-15 DMA32, 32-47 Normal";

/// Six DIMMs of 4 GiB, one after another.
pub const SIX_DIMMS: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-143 Movable, 144-239 Normal";

/// A virtio-mem device grown to 12 GiB.
pub const GROWN_12G: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-143 Movable";

/// Then to 14 GiB.
pub const GROWN_14G: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-143 Movable, \
    144 Normal, 145-147 Movable, 148 Normal, 149-151 Movable, \
    152 Normal, 153-155 Movable, 156 Normal, 157-159 Movable";

/// Then to 16 GiB.
pub const GROWN_16G: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-143 Movable, \
    144 Normal, 145-147 Movable, 148 Normal, 149-151 Movable, \
    152 Normal, 153-155 Movable, 156 Normal, 157-159 Movable, \
    160 Normal, 161-163 Movable, 164 Normal, 165-167 Movable, \
    168 Normal, 169-171 Movable, 172 Normal, 173-175 Movable";

/// Then shrunk to 4 GiB: movable blocks go first, from the top; kernel blocks stay.
pub const SHRUNK_4G: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-71 Movable, \
    144 Normal, 148 Normal, 152 Normal, 156 Normal, 160 Normal, 164 Normal, 168 Normal, 172 Normal";

/// How such a machine is started, but for its memory devices.
pub const MACHINE: &str = "--memory size=4G,low=2G";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::parse;

    #[test]
    fn every_layout_is_as_large_as_it_says() {
        let blocks = |text| parse(text).unwrap().len();
        let boot = blocks(BOOT);
        assert_eq!(boot, 32);
        assert_eq!(blocks(SIX_DIMMS) - boot, 6 * 32);
        let sizes = [(GROWN_12G, 12), (GROWN_14G, 14), (GROWN_16G, 16), (SHRUNK_4G, 4)];
        for (layout, gib) in sizes {
            assert_eq!(blocks(layout) - boot, gib * 8);
        }
    }
}
