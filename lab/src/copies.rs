//! What it takes to have a guest whose agent answers: by a boot, by a restore, by a fork; all in one run, so that their ratio
//! holds whatever the host is.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use serde::{Deserialize, Serialize};

use crate::vm::{self, Setup, TestVm};

/// The machine of each guest.
const MACHINE: &str = "--cpus 2 --memory size=512M --memory-hotplug method=acpi,slots=16,size=16G \
    --memory-hotplug method=virtio-mem,size=16G";

/// What is measured: times in milliseconds until the agent answers, but for the snapshot, which is until it is on disk; and
/// memory in KiB.
pub const COLUMNS: [&str; 8] = [
    "boot",
    "snapshot",
    "restore, read",
    "restore, mapped",
    "fork of a guest that runs",
    "fork of one that stands still",
    "again",
    "memory of an idle child (KiB)",
];

/// One round's numbers, in the order of [`COLUMNS`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round(pub Vec<u64>);

/// Measures everything once.
///
/// # Errors
/// What a machine said.
pub fn round(kernel: &Kernel) -> Result<Round, String> {
    vm::audited(|| measure(kernel)).map_err(|error| crate::chain(&*error))
}

fn measure(kernel: &Kernel) -> Result<Round, Box<dyn Error>> {
    let dir = tempfile::Builder::new().prefix("dimmer-snapshot-").tempdir()?;
    let place = dir.path().join("snapshot");
    let (vm, boot) = timed(|| Ok(Setup::new(kernel).arguments(MACHINE).boot()?))?;
    let ((), snapshot) = timed(|| Ok(vm.snapshot(&place)?))?;
    let mut all = vec![boot, snapshot];
    for how in ["copy", "map"] {
        let restore = || {
            let mut vm = TestVm::restore(&place, &format!("--restore-memory {how}"))?;
            vm.connect()?;
            Ok(vm)
        };
        all.push(timed(restore)?.1);
    }
    let fork = || Ok(vm.fork()?);
    all.push(timed(fork)?.1);
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    all.push(timed(fork)?.1);
    let (child, again) = timed(fork)?;
    all.extend([again, own_memory(child.pid())?]);
    Ok(Round(all))
}

fn timed<T>(act: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(T, u64), Box<dyn Error>> {
    let begun = Instant::now();
    let done = act()?;
    Ok((done, u64::try_from(begun.elapsed().as_millis())?))
}

/// What a process has for itself, in KiB: of a child's memory, the pages that it has written.
fn own_memory(pid: u32) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    Ok(line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no Anonymous")?.parse()?)
}

/// The rounds as a table: median, smallest and largest of each, and of the times the median of their shares of the round's boot.
pub fn table(rounds: &[Round]) -> String {
    let mut text = format!("{:<32}{:>9}{:>9}{:>9}  of a boot\n", "", "median", "least", "most");
    for (index, column) in COLUMNS.iter().enumerate() {
        let mut all: Vec<u64> = rounds.iter().filter_map(|Round(round)| round.get(index).copied()).collect();
        let boots = rounds.iter().filter_map(|Round(round)| round.first().copied());
        let mut shares: Vec<f64> = all.iter().zip(boots).map(|(value, boot)| share(*value, boot)).collect();
        all.sort_unstable();
        shares.sort_unstable_by(f64::total_cmp);
        let (Some(least), Some(most)) = (all.first(), all.last()) else { continue };
        let share = if column.ends_with("(KiB)") {
            String::new()
        } else {
            format!("  1/{:.1}", 1.0 / shares[shares.len() / 2])
        };
        let _ = writeln!(text, "{column:<32}{:>9}{least:>9}{most:>9}{share}", all[all.len() / 2]);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds")]
fn share(value: u64, boot: u64) -> f64 {
    value.max(1) as f64 / boot.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_medians_and_shares_of_the_same_rounds_boot() {
        let round = |boot: u64, fork: u64| Round(vec![boot, 0, 0, 0, fork, 0, 0, 4000]);
        let text = table(&[round(1000, 100), round(4000, 200), round(2000, 500)]);
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert_eq!(
            line("boot").split_whitespace().collect::<Vec<_>>(),
            ["boot", "2000", "1000", "4000", "1/1.0"]
        );
        assert!(line("fork of a guest").ends_with("200      100      500  1/10.0"), "{text}");
        assert!(line("memory").ends_with("4000     4000     4000"), "{text}");
    }
}
