//! Memory that goes back to the host and stays in reach: whoever touches it again gets other memory.
#![expect(unsafe_code, reason = "gives up what is in memory")]

use std::ops::Range;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::Afterwards;
use rustix::mm::{Advice, madvise};

use super::bind::bind;
use super::error::at;
use super::{Bound, Mapping, MappingError, Store, len};

/// Parts of files that an area may come to lie over, when pieces are cut out of larger ones: each makes two mappings more, of which
/// a process has some 65,000 (`vm.max_map_count`), and which pieces is the guest's choice.
const MOST_PARTS: usize = 1024;
const STEP: &str = "give back";

impl Mapping {
    /// Gives back what is behind `part`, whole pages that are in use and stay so; returns how many bytes it was about.
    ///
    /// A file has a hole there afterwards, and anonymous memory reads as zeroes. Where a part lies over a file (see
    /// [`base`](Self::base)) and may read as `Anything`, it reads as the file again; else it lies over nothing from then on,
    /// or stays as it is where too many parts would come of that.
    ///
    /// Huge pages of the host's pool stay, because another may not be there when the guest wants one: that would be the machine's
    /// end. So do persistent memory, and what was set aside in a file.
    ///
    /// # Errors
    /// [`MappingError`] when the host refuses; all of `part` can be used as before then.
    pub fn release(
        &self,
        part: &Range<u64>,
        bound: &[Bound],
        afterwards: Afterwards,
    ) -> Result<u64, MappingError> {
        let size = part.end - part.start;
        match &self.store {
            Store::Huge(_) | Store::Persistent { .. } => Ok(0),
            Store::File { .. } if self.spec.reserve => Ok(0),
            Store::File { .. } => self.store.empty(part).map_err(at(STEP, size)).map(|()| size),
            Store::Anonymous if afterwards == Afterwards::ZeroesOrSame && self.lies_over_a_file(part) => {
                self.cut_out(part, bound)
            }
            Store::Anonymous => {
                let start = self.address(part.start).cast();
                // SAFETY: the caller says that nobody needs what is in the part; it stays mapped.
                let given = unsafe { madvise(start, len(size), Advice::LinuxDontNeed) };
                given.map_err(at(STEP, size)).map(|()| size)
            }
        }
    }

    /// Puts fresh memory over `part` in one step, so that a guest that touches it meanwhile does so before or afterwards.
    fn cut_out(&self, part: &Range<u64>, bound: &[Bound]) -> Result<u64, MappingError> {
        let size = part.end - part.start;
        if lock(&self.bases).len() >= MOST_PARTS {
            return Ok(0);
        }
        self.map(part).map_err(at(STEP, size))?;
        self.forget_base(part);
        self.advise(part);
        for Bound { part, nodes } in bound {
            // The memory is there all the same, at worst in another place.
            if let Err(error) = bind(self.address(part.start), len(part.end - part.start), nodes) {
                tracing::warn!("memory that was free is no longer bound to host nodes {nodes:?}: {error}");
            }
        }
        Ok(size)
    }
}
