//! Why a virtio-mem device has no more plugged.

use super::{Mode, VirtioMem};
use crate::absent::size;
use crate::cost::{Cost, Fit, Shortage};
use crate::linux::Linux;
use crate::zone::PAGE;

impl VirtioMem {
    /// Why no more of its region is there.
    pub(crate) fn why_not_more(&self, linux: &Linux) -> String {
        let plugged = size(self.plugged());
        if self.refused {
            return "its driver does not promise to leave unplugged memory alone, as drivers do since Linux 5.17, so \
                    the device takes none"
                .to_owned();
        }
        if self.broken {
            return "its driver has given the device up after an error".to_owned();
        }
        if matches!(self.mode, Mode::Refused) {
            let blocks = size(self.spec.block_size);
            return format!("this release's driver takes no device with blocks of {blocks}");
        }
        if self.plugged() >= self.requested {
            let plugged = if self.plugged() == 0 { "nothing" } else { &plugged };
            return format!("{plugged} is plugged, and no more is requested");
        }
        if !self.could_add(&linux.memory, linux.release, self.step) {
            let offline = size(self.offline(&linux.memory));
            return format!(
                "of {plugged} that is plugged, {offline} is offline: the driver adds no more until that is put online \
                 (see auto_online_blocks)"
            );
        }
        let pages = self.step.max(linux.memory.block_size()) / PAGE;
        let shortage = Shortage { cost: Cost::of(pages, 0), means: linux.means() };
        let why = match shortage.means.fit(shortage.cost) {
            Fit::Fits => "the driver could not add more".to_owned(),
            Fit::Open | Fit::Fails => format!("as for the next {}, {shortage}", size(pages * PAGE)),
        };
        format!("{plugged} of the requested {} is plugged; {why}", size(self.requested))
    }
}
