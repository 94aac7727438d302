//! The kernel of a scenario's guest, others that it starts, and what uses its memory.

use dimmer::ctl::client::Method;
use dimmer_agent::protocol::KexecLoad;
use dimmer_images::Kernel;

use super::{Real, RealError};
use crate::distribution::{self, Disks};
use crate::scenario::{Effect, Load, OutcomeWord, Pool, Scenario, Size};
use crate::vm::{CMDLINE, Setup, VmError};

/// Has the kernel say why a block cannot go offline.
const SAY_WHY: &str = "dyndbg=\"file memory_hotplug.c +p\"";
/// Where guests have the kernel that they start, and its initramfs.
const NEXT_KERNEL: &str = "/next/kernel";
const NEXT_INITRAMFS: &str = "/next/initramfs";
/// Fills memory until so many percent are in use, by a file that is nowhere else.
const FILL: &str = r#"
mkdir -p /load
grep -q " /load " /proc/mounts || mount -t tmpfs -o size=100% load /load
rm -f /load/fill
total=$(awk '/MemTotal/ { print $2 }' /proc/meminfo)
left=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)
fill=$(( (total / 100 * $0 - (total - left)) / 1024 ))
[ "$fill" -le 0 ] || dd if=/dev/zero of=/load/fill bs=1M count=$fill status=none
"#;

/// Has the agent's program lock memory, and waits until it has it or has ended.
const LOCK: &str = r#"
[ ! -e /run/lock.pid ] || kill "$(cat /run/lock.pid)"
mkdir -p /run && rm -f /run/lock.pid /run/lock.out
[ "$0" -gt 0 ] || exit 0
"/proc/$PPID/exe" lock "$0" > /run/lock.out 2>&1 &
echo $! > /run/lock.pid
while [ ! -s /run/lock.out ]; do kill -0 "$(cat /run/lock.pid)" || exit 1; sleep 0.1; done
kill -0 "$(cat /run/lock.pid)"
"#;

/// What a scenario's machine is to be started with.
pub(super) fn setup<'a>(scenario: &Scenario, kernel: &'a Kernel) -> Result<Setup<'a>, VmError> {
    let more = format!("{SAY_WHY} {}", scenario.guest.cmdline());
    let mut setup = match &scenario.guest.distribution {
        None => Setup::new(kernel).cmdline(&more),
        Some(wanted) => {
            let missing = |error: Box<dyn std::error::Error>| VmError::Images(crate::chain(&*error));
            Disks::find(*wanted, &scenario.guest.packages, kernel)
                .map_err(missing)?
                .setup(kernel, &more)
                .arguments("--rng")
        }
    };
    setup = setup.arguments(&scenario.machine.arguments().join(" "));
    if scenario.guest.kaslr {
        setup = setup.image(bzimage(kernel)?);
    }
    if scenario.starts_another_kernel() {
        let initramfs =
            dimmer_images::initramfs(kernel).map_err(|error| VmError::Images(crate::chain(&error)))?;
        setup = setup.file(NEXT_KERNEL, bzimage(kernel)?).file(NEXT_INITRAMFS, &initramfs);
    }
    Ok(setup)
}

/// The command line of a kernel that the guest starts itself.
pub(super) fn cmdline(scenario: &Scenario) -> String {
    format!("{CMDLINE} {SAY_WHY} {}", scenario.guest.cmdline())
}

fn bzimage(kernel: &Kernel) -> Result<&std::path::Path, VmError> {
    let missing = || VmError::Images(format!("there is no bzImage of {}", kernel.name));
    kernel.bzimage.as_deref().ok_or_else(missing)
}

impl Real {
    /// Resets the machine.
    pub(super) fn reboot(&mut self) -> Result<Effect, RealError> {
        self.resets += 1;
        self.forget_the_kernel();
        self.vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
        self.vm.wait_for_resets(self.resets)?;
        match self.has_distribution {
            true => distribution::await_boot(&mut self.vm)?,
            false => self.vm.connect()?,
        }
        Ok(Effect::default())
    }

    pub(super) fn kexec(&mut self) -> Result<Effect, RealError> {
        self.load_kernel(false)?;
        self.vm.guest().kexec()?;
        self.next_kernel()
    }

    pub(super) fn crash(&mut self) -> Result<Effect, RealError> {
        self.load_kernel(true)?;
        self.vm.guest().crash()?;
        self.next_kernel()
    }

    fn load_kernel(&mut self, on_crash: bool) -> Result<(), RealError> {
        let (kernel, initramfs) = (NEXT_KERNEL.to_owned(), NEXT_INITRAMFS.to_owned());
        // A crash kernel has the memory that was set aside, and decides on no other.
        let cmdline = if on_crash { CMDLINE.to_owned() } else { self.cmdline.clone() };
        self.vm.guest().kexec_load(&KexecLoad { kernel, initramfs, cmdline, on_crash })?;
        Ok(())
    }

    fn next_kernel(&mut self) -> Result<Effect, RealError> {
        self.forget_the_kernel();
        self.vm.rebooted()?;
        Ok(Effect::default())
    }

    fn forget_the_kernel(&mut self) {
        self.log = 0;
        self.pinned.clear();
    }

    pub(super) fn load(&mut self, Load(percent): Load) -> Result<Effect, RealError> {
        self.has_done(FILL, percent)
    }

    pub(super) fn lock(&mut self, Size(bytes): Size) -> Result<Effect, RealError> {
        self.has_done(LOCK, bytes)
    }

    /// Has the guest run a script with a number.
    fn has_done(&mut self, script: &str, number: u64) -> Result<Effect, RealError> {
        let executed = self.vm.guest().exec(&["sh", "-c", script, &number.to_string()], b"")?;
        let done = executed.status == dimmer_agent::protocol::Status::Code(0);
        let outcome = Some(if done { OutcomeWord::Done } else { OutcomeWord::Refused });
        Ok(Effect { outcome, ..Effect::default() })
    }

    /// Sets the size of a pool; the kernel takes what it finds.
    pub(super) fn huge_pages(&mut self, pool: &Pool) -> Result<Effect, RealError> {
        let Pool { size, count, node } = pool;
        let directory = format!("/sys/devices/system/node/node{node}/hugepages/hugepages-{}kB", size.0 >> 10);
        let set = format!("echo {count} > {directory}/nr_hugepages; cat {directory}/nr_hugepages");
        let has = self.vm.shell(&set)?.trim().parse::<u64>().unwrap_or(0);
        let outcome = match has {
            has if has == *count => OutcomeWord::Done,
            0 => OutcomeWord::Refused,
            _ => OutcomeWord::Partial,
        };
        Ok(Effect { outcome: Some(outcome), ..Effect::default() })
    }
}
