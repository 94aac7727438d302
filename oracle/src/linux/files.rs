//! The files `state` and `online` of a memory block (drivers/base/memory.c, drivers/base/core.c).

use super::super::memory::Errno;
use super::super::policy::OnlineType;
use super::super::rule::Rule;
use super::Linux;

impl Linux {
    /// Writes `word` to `state` (`state_store`).
    ///
    /// # Errors
    /// What the write fails with.
    pub fn write_state(&mut self, index: u64, word: &str) -> Result<(), Errno> {
        let how = match word {
            "online" => OnlineType::Policy,
            "online_kernel" => OnlineType::Kernel,
            "online_movable" => OnlineType::Movable,
            "offline" => return self.offline(index),
            _ => return Err(Errno::EINVAL),
        };
        self.online(index, how).map(drop)
    }

    /// Writes `word` to `online` (`online_store`). What the block is already succeeds.
    ///
    /// # Errors
    /// What the write fails with.
    pub fn write_online(&mut self, index: u64, word: &str) -> Result<(), Errno> {
        let online = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?.is_online();
        match word {
            "1" if !online => {
                self.meet_kept_word(index);
                self.device_online(index).map(drop)
            }
            "0" if online => self.offline(index),
            "0" | "1" => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// A block is about to go online in a way that nobody names now.
    pub(super) fn meet_kept_word(&mut self, index: u64) {
        if self.memory.blocks()[&index].online_type.is_some() {
            self.memory.meet(Rule::KeptWordCounts);
        }
    }
}
