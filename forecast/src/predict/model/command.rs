//! What the oracle says about a distribution's own programs: commands of steps, and udev.

use std::collections::BTreeSet;

use dimmer_oracle::linux::DaxDriver;
use dimmer_oracle::release::Release;
use dimmer_report::{BlockState, Layout};

use super::Prediction;
use super::words::online_type;
use crate::scenario::{Action, Effect, OnlineWord, Run};

/// Since this release `kmem` takes soft-reserved memory as soon as it is loaded (`dax_match_type`, drivers/dax/bus.c); before,
/// `device_dax` takes every device (`match_always`).
const KMEM_TAKES_ITS_OWN: Release = Release::new(6, 3);

impl Prediction {
    /// Does to memory what the command is said to do, in order. A command tells nobody what each block failed with.
    pub(super) fn command(&mut self, run: &Run) -> Result<Effect, String> {
        let mut all = Effect::default();
        for deed in run.deeds() {
            let Effect { dax, .. } = self.act(&deed)?;
            all.dax = dax.or(all.dax);
        }
        Ok(all)
    }

    /// A rule of udev takes the place of the one before it.
    pub(super) fn udev(&mut self, word: OnlineWord) -> Effect {
        self.linux.udev = online_type(word);
        Effect::default()
    }

    /// udev loads the drivers of dax devices while a distribution boots.
    pub(super) fn udev_loads_drivers(&mut self) {
        let kmem = self.linux.release >= KMEM_TAKES_ITS_OWN;
        let driver = if kmem { DaxDriver::Kmem } else { DaxDriver::DeviceDax };
        let ids: Vec<String> = self.linux.dax.keys().cloned().collect();
        for id in ids {
            // One that no driver takes has none.
            let _ = self.linux.bind_dax(&id, Some(driver), None);
        }
    }
}

/// The blocks that a step was to take offline and that are online after it, as `layout` shows.
pub(super) fn refused(action: &Action<'_>, layout: &Layout) -> BTreeSet<u64> {
    let Action::Run(run) = action else { return BTreeSet::new() };
    let mut wanted = BTreeSet::new();
    for deed in run.deeds() {
        match deed {
            Action::Offline(blocks) => wanted.extend(&blocks.0),
            Action::Online(blocks) => wanted.retain(|index| !blocks.blocks.0.contains(index)),
            _ => {}
        }
    }
    let online = layout.blocks.iter().filter(|block| block.state == BlockState::Online);
    let online: BTreeSet<u64> = online.map(|block| block.index).collect();
    wanted.intersection(&online).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::scenario::Scenario;

    const TEXT: &str = r#"
shows = "What a distribution does by itself"
[machine]
memory_hotplug = ["method=acpi,slots=4,size=8G"]
firmware_range = ["kind=soft-reserved,size=1G"]
[guest]
distribution = "debian-12"
[[step]]
udev = "online_movable"
[[step]]
plug = { id = "d0", size = "256M" }
[[step]]
run = { command = "chmem", does = [{ offline = "56" }, { online = { blocks = "56", how = "online_kernel" } }] }
"#;

    /// What the blocks of the soft-reserved range and of the DIMM show after each step.
    fn shown(release: Release) -> Vec<String> {
        let scenario = Scenario::parse(TEXT, Path::new("a.toml")).unwrap();
        let mut model = Prediction::new(&scenario, release).unwrap();
        let look = |model: &Prediction| {
            [48, 56].map(|index| dimmer_oracle::words::shown(&model.linux.memory, index)).join(" ")
        };
        let mut all = vec![look(&model)];
        for step in &scenario.steps {
            model.apply(&step.action()).unwrap();
            all.push(look(&model));
        }
        all
    }

    #[test]
    fn the_kernel_comes_before_udev_and_leaves_to_it_what_it_does_not_do() {
        let since = ["Normal absent", "Normal absent", "Normal Normal", "Normal Normal"];
        assert_eq!(shown(Release::new(6, 12)), since);
        // device_dax has the range, and no kernel puts anything online.
        let before = ["absent absent", "absent absent", "absent Movable", "absent Normal"];
        assert_eq!(shown(Release::new(6, 1)), before);
    }

    #[test]
    fn what_a_command_could_not_take_offline_is_seen() {
        let scenario = Scenario::parse(TEXT, Path::new("a.toml")).unwrap();
        let action = scenario.steps[2].action();
        let layout = crate::layout::sample::layout([crate::layout::sample::blocks(
            56,
            57,
            BlockState::Online,
            &["Normal"],
        )]);
        assert!(refused(&action, &layout).is_empty(), "it was to come online again");
        let text = TEXT.replace(", { online = { blocks = \"56\", how = \"online_kernel\" } }", "");
        let scenario = Scenario::parse(&text, Path::new("a.toml")).unwrap();
        assert_eq!(refused(&scenario.steps[2].action(), &layout), BTreeSet::from([56]));
    }
}
