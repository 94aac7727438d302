//! `dimmer-lab check`: scenarios on real guests, held against the oracle and against what their authors wrote.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use crate::check::entry::Which;
use crate::check::shard::Assigned;
use crate::check::{Batch, Entry, Format, Outcome, Plan, Report, Seat, Shard, away, model, run};
use crate::distribution;
use crate::host::crew::Crew;
use crate::host::qemu::Size;
use crate::host::{self, crew};
use crate::library::{Source, find_all};
use crate::output::{complain, stdout};
use crate::predict::release;
use clap::Args;
use dimmer_images::{Cache, Kernel, fetch};

/// `dimmer-lab check`
#[derive(Debug, Args)]
pub struct Check {
    /// Scenario files, directories of such, or names of the library's; the whole library when there are none, but for what runs
    /// on a distribution.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Name of a kernel, or the path of one (`PATH[,modules=DIR]`); may be repeated.
    #[arg(long, value_name = "KERNEL", default_values = ["6.1", "6.12"])]
    kernel: Vec<String>,
    /// How many guests to run at a time [default: one per processor, as far as there is memory].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How to write the report.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the report to this file instead of to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a page of HTML into this directory as well, with pictures of memory after every step.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Check one of several shares of the work, such as 2/5 for the second of five [default: as Kubernetes, Slurm or a CI
    /// matrix says in the environment, else all].
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// With the whole library, check what runs on a distribution as well; images are built first.
    #[arg(long)]
    distributions: bool,
    /// Boot a guest for every scenario.
    #[arg(long)]
    fresh: bool,
    /// Have each machine go on from a snapshot of itself behind each step, and in the middle of those that take their time.
    #[arg(long)]
    restore_each_step: bool,
    /// Hold what the scenarios expect against what the oracle says, without any guest.
    #[arg(long, conflicts_with_all = ["jobs", "shard", "fresh", "worker", "restore_each_step"])]
    predict: bool,
    /// Check what standard input asks for: the part that runs on the host with KVM.
    #[arg(long, hide = true)]
    worker: bool,
}

impl Check {
    /// Ends with 0 when everything is as expected, with 1 when something differs, and with 2 when something could not be
    /// carried out.
    pub fn run(&self) -> super::Result {
        let sources = self.sources()?;
        sources.iter().try_for_each(Source::validate)?;
        self.prepare_page()?;
        if self.predict {
            return self.predict(&sources);
        }
        let names: Vec<&str> = self.kernel.iter().map(String::as_str).collect();
        let kernels = kernels(&names)?;
        let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        let flavours = self::kernels(&Plan::flavours(&sources, &names).into_iter().collect::<Vec<_>>())?;
        let share = self.share()?;
        if self.worker {
            away::serve(&sources, &[kernels, flavours].concat(), || self.seat())?;
            return Ok(ExitCode::SUCCESS);
        }
        let plan = Plan::new(&sources, &kernels, &flavours, !self.fresh);
        prepare_distributions(&plan)?;
        let mut output = self.output()?;
        let report = self.check(plan, share)?;
        self.write(&report, &mut output)
    }

    /// What is to be checked. The oracle needs no image of a distribution.
    fn sources(&self) -> Result<Vec<Source>, Box<dyn Error>> {
        let mut sources = find_all(&self.scenarios)?;
        if self.scenarios.is_empty() && !self.distributions && !self.predict {
            let all = sources.len();
            sources.retain(|source| source.scenario.guest.distribution.is_none());
            if !self.worker {
                let left_out = all - sources.len();
                complain(format_args!(
                    "{left_out} scenarios on a distribution are left out (--distributions)"
                ));
            }
        }
        Ok(sources)
    }

    fn predict(&self, sources: &[Source]) -> super::Result {
        let begun = Instant::now();
        let mut entries = Vec::new();
        for kernel in &self.kernel {
            let release = release(kernel).map_err(|error| format!("--kernel: {error}"))?;
            entries.extend(sources.iter().map(|source| model::entry(source, kernel, release)));
        }
        entries.sort_by(|a, b| (&a.scenario, &a.kernel).cmp(&(&b.scenario, &b.kernel)));
        let report = Report { shard: None, entries, seconds: begun.elapsed().as_secs_f64() };
        let mut output = self.output()?;
        self.write(&report, &mut output)
    }

    /// Makes the page's directory, so that it does not fail only at the end.
    fn prepare_page(&self) -> Result<(), Box<dyn Error>> {
        let Some(directory) = &self.report else { return Ok(()) };
        fs::create_dir_all(directory)
            .map_err(|error| format!("--report {}: {error}", directory.display()).into())
    }

    /// Writes the report wherever it is to go.
    fn write(&self, report: &Report, output: &mut dyn Write) -> super::Result {
        report.write(self.format, output)?;
        output.flush()?;
        if let Some(directory) = &self.report {
            let wrong = |error| format!("--report {}: {error}", directory.display());
            let page = report.write_page(directory).map_err(wrong)?;
            complain(format_args!("the page is {}", page.display()));
        }
        Ok(ExitCode::from(report.status()))
    }

    /// The share by the flag, else by the environment.
    fn share(&self) -> Result<Option<Assigned>, Box<dyn Error>> {
        match self.shard {
            Some(shard) => Ok(Some(Assigned { shard, by: "--shard".to_owned() })),
            None => Ok(Shard::from_environment(|name| std::env::var(name).ok())?),
        }
    }

    /// Where the report goes.
    fn output(&self) -> Result<Box<dyn Write>, Box<dyn Error>> {
        let Some(path) = &self.output else { return Ok(Box::new(stdout())) };
        let file = File::create(path).map_err(|error| format!("--output {}: {error}", path.display()))?;
        Ok(Box::new(file))
    }

    /// Checks all batches, here or in emulated hosts.
    fn carry_out(&self, batches: &[Batch<'_>], done: impl FnMut(Entry)) -> io::Result<()> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        if !host::needs_emulation() {
            let memory = run::available_memory().unwrap_or_default();
            let seats = self.jobs.map_or_else(|| run::seats(batches, processors, memory), usize::from);
            run::here(batches, seats, || self.seat(), done);
            return Ok(());
        }
        let hosts = processors.min(self.jobs.map_or(batches.len(), usize::from)).max(1);
        let room = run::seats(batches, crew::SEATS, Size::default().memory);
        let seats = self.jobs.map_or(room, |jobs| usize::from(jobs).div_ceil(hosts));
        let crew = Crew::new(self.worker_arguments().into_iter().map(Into::into), hosts, seats)?;
        let check = |seat, source: &Source, kernel: &Kernel, another| {
            away::check(&crew, seat, source, kernel, another)
        };
        run::run(batches, crew.seats(), check, done);
        Ok(())
    }

    fn check(&self, plan: Plan<'_>, share: Option<Assigned>) -> io::Result<Report> {
        let begun = Instant::now();
        let shard = share.as_ref().map_or(Shard::whole(), |assigned| assigned.shard);
        let batches = shard.select(plan.batches, |batch| batch.cost());
        let skipped = shard.select(plan.skipped, |_| 1);
        let total: usize = batches.iter().map(|batch| batch.sources.len()).sum();
        let mut progress = io::stderr();
        if let Some(Assigned { shard, by }) = &share {
            writeln!(progress, "shard {shard}, as {by} says")?;
        }
        writeln!(progress, "{total} checks with {} guests", batches.len())?;
        let skipped = skipped.iter();
        let skip =
            skipped.map(|(source, kernel)| Entry::new(source, &kernel.name, Outcome::Skipped, Which::None));
        let mut entries: Vec<Entry> = skip.collect();
        let before = entries.len();
        let done = |entry| {
            entries.push(entry);
            // A report without its progress is still a report.
            let _ =
                writeln!(progress, "{}", line(&entries[entries.len() - 1], entries.len() - before, total));
        };
        self.carry_out(&batches, done)?;
        entries.sort_by(|a, b| (&a.scenario, &a.kernel).cmp(&(&b.scenario, &b.kernel)));
        let shard = share.map(|assigned| assigned.shard.to_string());
        Ok(Report { shard, entries, seconds: begun.elapsed().as_secs_f64() })
    }

    fn seat(&self) -> Seat {
        Seat::new(self.restore_each_step)
    }

    /// The same check, for the host with KVM.
    fn worker_arguments(&self) -> Vec<String> {
        let mut all = vec!["check".to_owned(), "--worker".to_owned()];
        all.extend(self.kernel.iter().map(|kernel| format!("--kernel={kernel}")));
        all.extend(self.restore_each_step.then(|| "--restore-each-step".to_owned()));
        all.extend(self.distributions.then(|| "--distributions".to_owned()));
        all.push("--".to_owned());
        all.extend(self.scenarios.iter().cloned());
        all
    }
}

/// The kernels of these names with their initramfs, made on this machine: inside an emulated host nothing that is made
/// stays.
fn kernels(names: &[&str]) -> Result<Vec<Kernel>, Box<dyn Error>> {
    let kernels = fetch(&Cache::open()?, names, false)?;
    for kernel in &kernels {
        dimmer_images::initramfs(kernel)?;
    }
    Ok(kernels)
}

/// Makes the images of distributions that scenarios boot, here for the same reason.
fn prepare_distributions(plan: &Plan<'_>) -> Result<(), Box<dyn Error>> {
    for batch in &plan.batches {
        let guest = &batch.sources[0].scenario.guest;
        if let Some(wanted) = guest.distribution {
            distribution::prepare(&Cache::open()?, wanted, &guest.packages, [batch.kernel])?;
        }
    }
    Ok(())
}

/// A line of progress.
fn line(entry: &Entry, number: usize, total: usize) -> String {
    let guest = match entry.guest {
        Which::Forked => ", forked guest",
        Which::Fresh | Which::None => "",
    };
    let Entry { scenario, kernel, outcome, seconds, .. } = entry;
    format!(
        "[{number}/{total}] {scenario} on {kernel}: {}, {} ({seconds:.1} s{guest})",
        outcome.word(),
        outcome.line()
    )
}
