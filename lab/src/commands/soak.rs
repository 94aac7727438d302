//! `dimmer-lab soak`: whether this machine's hosts can be trusted with guests.

use std::hint;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::host::crew::Crew;
use crate::host::{self, crew};
use crate::output::{complain, is_closed, say};
use crate::soak::{self, End, Tally, Task};
use clap::Args;
use dimmer_images::{Cache, Kernel, fetch};

/// Boots guests with two processors, one after the other on every seat, puts each under stress, and says how many were lost.
///
/// Ends with 0 when none was lost, else with 2: a lost guest is the host's failure.
#[derive(Debug, Args)]
pub struct Soak {
    /// How many guests
    #[arg(long, value_name = "N", default_value_t = 20)]
    guests: usize,
    /// How often a program sleeps, wakes and starts another on each of a guest's processors
    #[arg(long, value_name = "N", default_value_t = 100)]
    rounds: u32,
    /// Name of a kernel, or the path of one (`PATH[,modules=DIR]`)
    #[arg(long, value_name = "KERNEL", default_value = "6.12")]
    kernel: String,
    /// Threads that keep processors of this machine busy meanwhile
    #[arg(long, value_name = "N", default_value_t = 0)]
    load: usize,
    /// Carry out tasks from standard input: the part that runs on the host with KVM
    #[arg(long, hide = true)]
    worker: bool,
}

impl Soak {
    /// See [`Soak`].
    ///
    /// # Errors
    /// When there is no kernel, or this program cannot start itself.
    pub fn run(&self) -> super::Result {
        let kernels = fetch(&Cache::open()?, &[&self.kernel], false)?;
        dimmer_images::initramfs(&kernels[0])?;
        if self.worker {
            crew::serve(|| |task: Task| soak::one(&kernels[0], task.rounds))?;
            return Ok(ExitCode::SUCCESS);
        }
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let (hosts, seats) =
            if host::needs_emulation() { (processors, crew::SEATS) } else { (1, processors) };
        let arguments = ["soak", "--worker", "--kernel", &self.kernel].map(Into::into);
        let tally = self.soak(&kernels[0], &Crew::new(arguments, hosts, seats)?);
        let is_whole = tally.well == self.guests;
        Ok(if is_whole { 0 } else { super::UNREAD }.into())
    }

    fn soak(&self, kernel: &Kernel, crew: &Crew) -> Tally {
        let begun = Instant::now();
        let task = Task { kernel: kernel.name.clone(), rounds: self.rounds };
        let ends = AtomicBool::new(false);
        let mut tally = Tally::default();
        thread::scope(|scope| {
            for _ in 0..self.load {
                scope.spawn(|| {
                    while !ends.load(Ordering::Relaxed) {
                        hint::spin_loop();
                    }
                });
            }
            let tasks = (0..self.guests).take_while(|_| !is_closed()).map(|_| task.clone());
            crew.carry_out_all(tasks, |number, end| {
                let lost =
                    |lost: crew::Lost| End::Lost { how: "with its host".into(), why: lost.to_string() };
                if let Some(line) = tally.add(number, &end.unwrap_or_else(lost)) {
                    let _ = say(format_args!("{line}"));
                }
                let (done, minutes) = (tally.well + tally.lost, begun.elapsed().as_secs_f64() / 60.0);
                complain(format_args!(
                    "{done} of {} guests, {} lost, {minutes:.1} minutes",
                    self.guests, tally.lost
                ));
            });
            ends.store(true, Ordering::Relaxed);
        });
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        let _ = say(format_args!(
            "{} guests on {}, two processors each: {} lost; {minutes:.1} minutes, {} at a time in {} hosts",
            tally.well + tally.lost,
            kernel.name,
            tally.lost,
            crew.seats(),
            crew.hosts()
        ));
        tally
    }
}
