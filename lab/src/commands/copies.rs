//! `dimmer-lab copies`: what a restore and a fork take, beside a boot.

use std::process::ExitCode;

use clap::Args;
use dimmer_images::{Cache, fetch};
use dimmer_lab::copies::{self, Round};
use dimmer_lab::host::crew::{self, Crew};

/// Measures how long it takes to have a guest whose agent answers, by a boot, a restore and a fork, and what memory an idle
/// child has for itself.
#[derive(Debug, Args)]
pub struct Copies {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Name of a kernel, or the path of one (`PATH[,modules=DIR]`)
    #[arg(long, value_name = "KERNEL", default_value = "6.12")]
    kernel: String,
    /// Carry out tasks from standard input: the part that runs on the host with KVM
    #[arg(long, hide = true)]
    worker: bool,
}

impl Copies {
    /// See [`Copies`].
    ///
    /// # Errors
    /// When there is no kernel, this program cannot start itself, or a machine fails.
    pub fn run(&self) -> super::Result {
        let kernels = fetch(&Cache::open()?, &[&self.kernel], false)?;
        dimmer_images::initramfs(&kernels[0])?;
        if self.worker {
            crew::serve(|| |_: ()| copies::round(&kernels[0]))?;
            return Ok(ExitCode::SUCCESS);
        }
        let arguments = ["copies", "--worker", "--kernel", &self.kernel].map(Into::into);
        let crew = Crew::new(arguments, 1, 1)?;
        let mut rounds: Vec<Round> = Vec::new();
        for number in 1..=self.rounds {
            let round: Result<Round, String> = crew.carry_out(0, &()).map_err(|lost| lost.to_string())?;
            rounds.push(round?);
            eprintln!("{number} of {} rounds", self.rounds);
        }
        print!("{}", copies::table(&rounds));
        Ok(ExitCode::SUCCESS)
    }
}
