//! Binding memory to NUMA nodes of the host: `mbind(2)`, which rustix does not have.
#![expect(unsafe_code, reason = "a system call without a wrapper")]

use std::io;

/// No page was taken yet, so none is to be moved.
const NO_FLAGS: libc::c_uint = 0;

/// Makes the pages that `[start, start + len)` will take come from `nodes` and from nowhere else.
///
/// # Errors
/// What the kernel said: `EINVAL` for a node that the host does not have.
pub(super) fn bind(start: *mut u8, len: usize, nodes: &[u32]) -> io::Result<()> {
    let mask = mask(nodes);
    // The kernel reads one bit less than it is told (mm/mempolicy.c, get_nodes).
    let bits = mask.len() * bits_of_word() + 1;
    // SAFETY: the mask has the bits that the kernel is told of, and a policy for pages to come changes
    // no content.
    let result =
        unsafe { libc::syscall(libc::SYS_mbind, start, len, libc::MPOL_BIND, mask.as_ptr(), bits, NO_FLAGS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const fn bits_of_word() -> usize {
    libc::c_ulong::BITS as usize
}

/// A set of nodes as the kernel reads it: bit `n` of the words, lowest word first, is node `n`.
fn mask(nodes: &[u32]) -> Vec<libc::c_ulong> {
    let highest = nodes.iter().max().map_or(0, |node| *node as usize);
    let mut words = vec![0; highest / bits_of_word() + 1];
    for node in nodes {
        words[*node as usize / bits_of_word()] |= 1 << (*node as usize % bits_of_word());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_bits_of_words() {
        assert_eq!(mask(&[0]), [1]);
        assert_eq!(mask(&[3, 1]), [0b1010]);
        assert_eq!(mask(&[64, 0, 129]), [1, 1, 2]);
    }
}
