//! Which pages of a block a step breaks.

use dimmer_oracle::zone::PAGE;

/// Where in its block the first page lies that is taken for broken; little that these guests do comes there.
const FIRST: u64 = (61 << 20) + 5 * PAGE;
/// How far on the next one is: the largest piece of free memory that Linux keeps. A piece that loses a page is split, and
/// what is left of it is the first that programs are given.
const NEXT: u64 = 4 << 20;
/// How many there are in the smallest block.
pub const MOST_BROKEN: u64 = ((128 << 20) - FIRST).div_ceil(NEXT);

/// The address of the page `number` that is broken in a block, in bytes from the block's start.
pub const fn broken_page(number: u64) -> u64 {
    FIRST + number * NEXT
}
