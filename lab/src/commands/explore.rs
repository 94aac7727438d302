//! `dimmer-lab explore`: random machines and histories, the oracle beside a real guest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::explore::campaign::Campaign;
use crate::explore::record::Record;
use crate::explore::report::Report;
use crate::explore::worker;
use crate::host;
use crate::host::crew::Crew;
use crate::output::{complain, is_closed, say};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use dimmer_images::{Cache, Kernel, fetch};
use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;

/// Hunts for a memory block that is not where the oracle says: random machines and histories, checked after
/// every step. What shows a difference is shrunk to a small scenario file, `explore-SEED-RUN-KERNEL.toml`.
#[derive(Debug, Args)]
pub struct Explore {
    /// Seed of all machines and histories
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Number of histories, each of which runs on every kernel
    #[arg(long, value_name = "N", default_value_t = 20)]
    runs: u64,
    /// Number of the first history
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Begin no history after this time, such as 30m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    budget: Option<Duration>,
    /// Name of a kernel, or the path of one (`PATH[,modules=DIR]`); may be repeated
    #[arg(long, value_name = "KERNEL", default_values = ["6.12"])]
    kernel: Vec<String>,
    /// Guests at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Write a JSON line for each history to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write a page of HTML into this directory, with pictures of memory where it differs
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print the histories as scenarios, and run none
    #[arg(long)]
    print: bool,
    /// Directory for scenario files
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Have the oracle get this rule wrong, to see that it is found
    #[arg(long, value_name = "MISTAKE", hide_short_help = true, value_parser = mistakes())]
    plant: Option<Mistake>,
    /// Also take steps that Linux may end in more than one way
    #[arg(long, hide_short_help = true)]
    inexact: bool,
    /// Carry out tasks from standard input: the part that runs on the host with KVM
    #[arg(long, hide = true)]
    worker: bool,
}

impl Explore {
    /// Ends with 0 when guests and oracle agreed throughout, else with 1.
    pub fn run(&self) -> super::Result {
        let kernels = self.kernels()?;
        if self.worker {
            worker::serve(&kernels)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.print {
            for (name, scenario) in self.campaign(&kernels)?.scenarios() {
                say(format_args!("# On {name}.\n{}", scenario.to_toml()))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(directory) = &self.report {
            // That there can be no page is better known before than after.
            fs::create_dir_all(directory).map_err(|error| wrong(directory, &error))?;
        }
        let crew = self.crew()?;
        let begun = Instant::now();
        let campaign = self.campaign(&kernels)?;
        let record = campaign
            .run(Record::new(self.record.as_deref())?, |seat, task| worker::carry_out(&crew, seat, task))?;
        let time = begun.elapsed();
        if let Some(directory) = &self.report {
            let report = Report { campaign: &campaign, record: &record, time };
            let page = report.write_page(directory).map_err(|error| wrong(directory, &error))?;
            complain(format_args!("the page is {}", page.display()));
        }
        if is_closed() {
            return Ok(super::UNREAD.into());
        }
        say(format_args!("{}", record.coverage))?;
        say(format_args!("seed {}: {}", self.seed, record.summary(time)))?;
        Ok(ExitCode::from(u8::from(!record.is_clean())))
    }

    fn campaign(&self, kernels: &[Kernel]) -> Result<Campaign, Box<dyn std::error::Error>> {
        let with_release = |kernel: &Kernel| Ok((kernel.name.clone(), kernel.release.parse::<Release>()?));
        Ok(Campaign {
            seed: self.seed,
            runs: self.from..self.from.saturating_add(self.runs),
            kernels: kernels.iter().map(with_release).collect::<Result<_, Box<dyn std::error::Error>>>()?,
            only_exact: !self.inexact,
            mistake: self.plant,
            jobs: usize::from(self.jobs),
            budget: self.budget,
            directory: self.directory.clone(),
        })
    }

    /// Workers with a seat for each job: here, or in as many emulated hosts as there are processors for.
    fn crew(&self) -> io::Result<Crew> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let jobs = usize::from(self.jobs);
        let hosts = if host::needs_emulation() { jobs.min(processors) } else { 1 };
        let kernels = self.kernel.iter().map(|kernel| format!("--kernel={kernel}"));
        let arguments = ["explore".to_owned(), "--worker".to_owned()].into_iter().chain(kernels);
        Crew::new(arguments.map(Into::into), hosts, jobs.div_ceil(hosts))
    }

    /// The kernels with their initramfs, made on this machine: inside an emulated host nothing that is made stays.
    fn kernels(&self) -> Result<Vec<Kernel>, Box<dyn std::error::Error>> {
        let names: Vec<&str> = self.kernel.iter().map(String::as_str).collect();
        let kernels = fetch(&Cache::open()?, &names, false)?;
        for kernel in &kernels {
            dimmer_images::initramfs(kernel)?;
        }
        Ok(kernels)
    }
}

fn wrong(directory: &Path, error: &io::Error) -> String {
    format!("--report {}: {error}", directory.display())
}

/// The mistakes by their names.
fn mistakes() -> impl TypedValueParser<Value = Mistake> {
    let values =
        Mistake::ALL.iter().map(|mistake| PossibleValue::new(mistake.name()).help(mistake.about().trim()));
    let named = |name: String| Mistake::ALL.iter().copied().find(|mistake| mistake.name() == name);
    PossibleValuesParser::new(values).map(move |name| named(name).expect("the parser has no other names"))
}
