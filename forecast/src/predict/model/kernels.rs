//! What the oracle says about steps with a whole kernel: another one starts, or much of its memory is used.

use dimmer_oracle::virtio_mem::Request;

use super::Prediction;
use crate::scenario::{Action, Effect, Load, OutcomeWord, Pool, Size};

/// The sizes of huge pages on x86-64.
const HUGE: u64 = 2 << 20;
const GIGANTIC: u64 = 1 << 30;

/// What keeps memory in use; a step takes the place of the one before it that is about the same user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum User {
    Load,
    Lock,
    /// Of a node, of pages of so many bytes.
    Pool(u32, u64),
}

impl Prediction {
    fn uses(&mut self, user: User, bytes: u64) {
        self.used.insert(user, bytes);
        self.linux.in_use = self.used.values().fold(0, |sum, used| sum.saturating_add(*used));
    }

    /// Whether the model knows of the guest's memory: not of that of a crash kernel.
    pub fn knows_the_memory(&self) -> bool {
        !self.crashed
    }

    /// Whether the guest can take a step of which something can be said.
    pub(super) fn check_that_it_runs(&self, action: &Action<'_>) -> Result<(), String> {
        let name = action.name();
        match action {
            Action::Reboot => Ok(()),
            _ if self.crashed => Err(format!("{name}: a crash kernel runs, and only a reboot can follow")),
            _ if self.linux.exhausted => Err(format!(
                "{name}: the guest has spent its memory on memmaps in vain, or has memory that it has no addresses for, and \
                 what it does from then on is not known"
            )),
            _ => Ok(()),
        }
    }

    /// Another kernel like this one finds the devices as this one leaves them. It begins with giving all memory of
    /// virtio-mem devices back, of which it knows nothing (`virtio_mem_init_vq`, `unplug_all_required`).
    pub(super) fn kexec(&mut self) -> Effect {
        let devices = self.linux.virtio_mem.iter();
        let plugged: Vec<String> =
            devices.filter(|(_, device)| device.plugged() > 0).map(|(id, _)| id.clone()).collect();
        self.boot(self.requested());
        for id in plugged {
            if let Some(device) = self.linux.virtio_mem.get_mut(&id) {
                device.requests.insert(0, Request::UnplugAll);
            }
        }
        Effect::default()
    }

    /// A crash kernel leaves all devices as they are (`virtio_mem_init_kdump`).
    pub(super) fn crash(&mut self) -> Result<Effect, String> {
        if self.guest.crashkernel.is_none() {
            return Err(
                "crash: the guest needs `crashkernel`, memory for the kernel that is to start".to_owned()
            );
        }
        self.crashed = true;
        Ok(Effect::default())
    }

    /// What programs use lies where it can be moved.
    pub(super) fn load(&mut self, Load(percent): Load) -> Effect {
        let blocks = self.linux.memory.blocks().values().filter(|block| block.is_online()).count() as u64;
        self.uses(User::Load, blocks * self.linux.memory.block_size() / 100 * percent);
        Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() }
    }

    /// What a program has locked moves, too (`isolate_lru_page` takes pages that are unevictable).
    pub(super) fn lock(&mut self, Size(bytes): Size) -> Effect {
        self.uses(User::Lock, bytes);
        Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() }
    }

    /// Pages of a pool that nobody uses are dissolved when their block goes offline (`dissolve_free_hugetlb_folios`), so
    /// that they change nothing. Those of 1 GiB are never taken from movable memory (`alloc_gigantic_folio`).
    pub(super) fn huge_pages(&mut self, pool: &Pool) -> Result<Effect, String> {
        let size = pool.size.0;
        if ![HUGE, GIGANTIC].contains(&size) {
            return Err(format!("hugepages: there are pages of 2M and of 1G, none of {}", pool.size));
        }
        self.uses(User::Pool(pool.node, size), size.saturating_mul(pool.count));
        Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::scenario::Scenario;

    #[test]
    fn a_step_takes_the_place_of_the_one_before_it() {
        let scenario = Scenario::parse("shows = \"nothing\"", Path::new("one.toml")).unwrap();
        let mut prediction = Prediction::new(&scenario, "6.12".parse().unwrap()).unwrap();
        let pool = |count| Pool { size: Size(HUGE), count, node: 0 };
        prediction.huge_pages(&pool(10)).unwrap();
        prediction.lock(Size(5));
        prediction.huge_pages(&pool(2)).unwrap();
        assert_eq!(prediction.linux.in_use, 5 + 2 * HUGE);
        prediction.lock(Size(0));
        assert_eq!(prediction.linux.in_use, 2 * HUGE);
    }
}
