//! Steps with programs of the guest, and what else a distribution needs.

use std::time::Duration;

use dimmer_agent::report::{Block, BlockState};
use serde::Deserialize;

use super::{Real, RealError};
use crate::scenario::{Action, Effect, OnlineWord, Ran, Run};
use crate::vm::VmError;

/// Where the rule of a step is.
const RULE: &str = "/etc/udev/rules.d/40-dimmer-scenario.rules";
/// Has lsmem say all of each block.
const LSMEM: &str = "lsmem --json --all --bytes --output RANGE,STATE,BLOCK,NODE,ZONES";

/// What `lsmem --json` prints.
#[derive(Debug, Deserialize)]
struct Printed {
    memory: Vec<Row>,
}

/// A block of it. What it has no name for it calls `None`.
#[derive(Debug, Deserialize)]
struct Row {
    state: String,
    block: serde_json::Value,
    node: serde_json::Value,
    zones: String,
}

impl Real {
    /// Runs a command, which may take as long as the step says.
    pub(super) fn run(&mut self, run: &Run) -> Result<Effect, RealError> {
        self.vm.guest().set_patience(Duration::from_secs(run.seconds().into()));
        let executed = self.vm.guest().exec(&["/bin/sh", "-c", run.command()], b"");
        self.vm.guest().set_patience(crate::vm::PATIENCE);
        let executed = executed?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output = text(&executed.stdout.0) + &text(&executed.stderr.0);
        let ran = Some(Ran { status: executed.status, output });
        let device = run
            .deeds()
            .filter_map(|deed| if let Action::Dax(dax) = deed { Some(&dax.id) } else { None })
            .last();
        let dax = device.map(|id| self.dax_state(id)).transpose()?;
        Ok(Effect { ran, dax, ..Effect::default() })
    }

    /// Has lsmem print memory.
    pub(super) fn lsmem(&mut self) -> Result<Effect, RealError> {
        let printed = self.vm.shell(LSMEM)?;
        let blocks = blocks(&printed).map_err(|cause| VmError::Host { step: "understand lsmem", cause })?;
        Ok(Effect { listed: Some(blocks), ..Effect::default() })
    }

    /// Gives udev another rule.
    pub(super) fn udev(&mut self, word: OnlineWord) -> Result<Effect, RealError> {
        let rule = format!(
            r#"SUBSYSTEM=="memory", ACTION=="add", ATTR{{state}}=="offline", ATTR{{state}}="{}""#,
            word.word()
        );
        let change = match word {
            OnlineWord::Offline => format!("rm -f {RULE}"),
            _ => format!("mkdir -p /etc/udev/rules.d && echo '{rule}' > {RULE}"),
        };
        self.vm.shell(&format!("{change} && udevadm control --reload"))?;
        Ok(Effect::default())
    }

    /// Waits until a distribution's udev has done with what a step has brought.
    pub(super) fn await_udev(&mut self) -> Result<(), RealError> {
        if self.has_distribution {
            self.vm.shell("udevadm settle")?;
        }
        Ok(())
    }
}

/// The blocks that `lsmem --json` has printed, ascending.
fn blocks(printed: &str) -> std::io::Result<Vec<Block>> {
    let printed: Printed = serde_json::from_str(printed)?;
    printed
        .memory
        .iter()
        .map(|row| row.block().ok_or_else(|| std::io::Error::other(format!("{row:?}"))))
        .collect()
}

impl Row {
    fn block(&self) -> Option<Block> {
        let zone = |name: &str| if name == "None" { "none" } else { name }.to_owned();
        Some(Block {
            index: number(&self.block)?,
            state: if self.state == "online" { BlockState::Online } else { BlockState::Offline },
            zones: self.zones.split('/').map(zone).collect(),
            nodes: vec![u32::try_from(number(&self.node)?).ok()?],
            removable: None,
            group: None,
        })
    }
}

/// A number, which lsmem writes as one or as a text.
fn number(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of Debian 12's lsmem (util-linux 2.38).
    const PRINTED: &str = r#"{
   "memory": [
      {"range": "0x0000000000000000-0x0000000007ffffff", "state": "online", "block": "0", "node": "0", "zones": "None"},
      {"range": "0x0000000180000000-0x0000000187ffffff", "state": "offline", "block": "48", "node": "1", "zones": "Normal/Movable"}
   ]
}"#;

    #[test]
    fn what_lsmem_prints_is_what_sysfs_has() {
        let seen: Vec<_> =
            blocks(PRINTED).unwrap().iter().map(|block| (block.index, crate::expect::shows(block))).collect();
        assert_eq!(seen, [(0, "none".to_owned()), (48, "offline:Normal/Movable".to_owned())]);
        assert_eq!(blocks(PRINTED).unwrap()[1].nodes, [1]);
        assert!(blocks(&PRINTED.replace("48", "48-50")).is_err(), "of each block alone");
    }
}
