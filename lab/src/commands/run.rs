//! `dimmer-lab run`: a distribution in a guest, for a shell or for one command.

use std::process::ExitCode;
use std::time::Duration;

use crate::distribution::{self, Guest, WINDOWS};
use crate::host;
use crate::vm::{Setup, dimmer};
use clap::Args;
use dimmer_images::Cache;

/// Boots a distribution with memory windows, and gives a shell on its console, or runs CMD in it and ends with CMD's exit status.
///
/// What is missing is built first (`images build`). Nothing that the guest writes to its root file system stays.
///
/// Examples: dimmer-lab run debian-12
///           dimmer-lab run debian-12 --kernel 6.12 -- lsmem
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Run {
    /// debian-12 or debian-13
    #[arg(value_name = "DISTRIBUTION")]
    distribution: String,
    /// Name of a kernel, or the path of one (`PATH,modules=DIR`) (default: the distribution's)
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// Virtual CPUs: N[,max=M]
    #[arg(long, value_name = "N", default_value = "1")]
    cpus: String,
    /// Boot RAM
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    memory: String,
    /// A window for memory devices, as `dimmer run` has it (may be repeated; default: one for DIMMs and a virtio-mem device, 32G each)
    #[arg(long, value_name = "KEY=VALUE,...")]
    memory_hotplug: Vec<String>,
    /// A network device, as `dimmer run` has it (may be repeated)
    #[arg(long, value_name = "KEY=VALUE,...")]
    net: Vec<String>,
    /// One more disk, as `dimmer run` has it (may be repeated)
    #[arg(long, value_name = "KEY=VALUE,...")]
    disk: Vec<String>,
    /// UNIX socket of the machine's API, for a guest with a shell
    #[arg(long, value_name = "PATH")]
    api_socket: Option<String>,
    /// Words for the kernel's command line
    #[arg(long, value_name = "WORDS", default_value = "", allow_hyphen_values = true)]
    cmdline: String,
    /// Seconds that CMD may take
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    timeout: u64,
    /// What to run
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Run {
    /// See [`Run`].
    ///
    /// # Errors
    /// What keeps the guest from running.
    pub fn run(self) -> super::Result {
        let guest = Guest::new(&Cache::open()?, &self.distribution, self.kernel.as_deref())?;
        host::reexec_if_needed();
        let setup = self.setup(&guest);
        if self.command.is_empty() { self.shell(&setup) } else { self.execute(setup) }
    }

    fn setup<'a>(&self, guest: &'a Guest) -> Setup<'a> {
        let mut setup = guest.setup(&self.cmdline);
        setup = setup.flag("--cpus", self.cpus.clone()).flag("--memory", format!("size={}", self.memory));
        let windows: Vec<String> = match self.memory_hotplug.is_empty() {
            true => WINDOWS.map(str::to_owned).to_vec(),
            false => self.memory_hotplug.clone(),
        };
        let devices = [("--memory-hotplug", &windows), ("--net", &self.net), ("--disk", &self.disk)];
        for (flag, values) in devices {
            setup = values.iter().fold(setup, |setup, value| setup.flag(flag, value.clone()));
        }
        setup.arguments("--rng")
    }

    /// The console is ours.
    fn shell(&self, setup: &Setup<'_>) -> super::Result {
        let dir = tempfile::tempdir()?;
        let mut machine = dimmer();
        machine.arg("run").args(setup.words(dir.path())?).args(["--serial", "stdio"]);
        machine.args(self.api_socket.iter().flat_map(|path| ["--api-socket", path]));
        let status = machine.status()?;
        Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)))
    }

    fn execute(&self, setup: Setup<'_>) -> super::Result {
        let mut vm = setup.start()?;
        distribution::await_boot(&mut vm)?;
        vm.guest().set_patience(Duration::from_secs(self.timeout));
        let executed = vm.guest().exec(&self.command, b"")?;
        std::io::Write::write_all(&mut std::io::stdout(), &executed.stdout.0)?;
        std::io::Write::write_all(&mut std::io::stderr(), &executed.stderr.0)?;
        Ok(ExitCode::from(super::guest::exit_status(executed.status)))
    }
}
