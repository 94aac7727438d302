//! `dimmer-lab images`: kernels and the initramfs.

use std::process::ExitCode;

use crate::distribution;
use crate::output::say;
use clap::{Args, Subcommand};
use dimmer::units::MIB;
use dimmer_images::{Cache, Kernel, fetch, initramfs, kernels, list, prune};

/// Fetches, lists and locates kernels and the initramfs. A KERNEL is a name from `images list` or the path of a bzImage or
/// vmlinux.
#[derive(Debug, Args)]
pub struct Images {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Download kernels from Debian into the cache, those that are not there yet, and what the emulated host needs
    Fetch {
        /// Ask Debian for newer versions of kernels that are there
        #[arg(long)]
        renew: bool,
        /// Names of kernels
        #[arg(value_name = "KERNEL", required = true)]
        kernels: Vec<String>,
    },
    /// Build the root file system of a distribution into the cache, of Debian's packages
    Build {
        /// Use the newest packages, also where the image is there
        #[arg(long)]
        renew: bool,
        /// A package that the image is to have as well (may be repeated)
        #[arg(long = "package", value_name = "PACKAGE")]
        packages: Vec<String>,
        /// debian-12 or debian-13
        #[arg(value_name = "DISTRIBUTION")]
        name: String,
    },
    /// List the kernels that have a name, and which of them are in the cache
    List,
    /// Remove from the cache what there is a newer version of
    Prune,
    /// Print the path of a kernel and that of its initramfs, a line each
    Path {
        /// Name of a kernel, or the path of one (`PATH[,modules=DIR]`)
        #[arg(value_name = "KERNEL")]
        kernel: String,
    },
}

impl Images {
    /// Does what the subcommand says; paths and lists go to standard output, progress to standard error.
    ///
    /// # Errors
    /// Those of the images crate.
    pub fn run(self) -> super::Result {
        let cache = Cache::open()?;
        match self.action {
            Action::Fetch { renew, kernels } => fetch_all(&cache, &kernels, renew)?,
            Action::Build { renew, packages, name } => {
                let image = distribution::build(&cache, &name, &packages, renew)?;
                say(format_args!("{}", image.display()))?;
            }
            Action::List => print_list(&cache)?,
            Action::Prune => print_removed(&cache)?,
            Action::Path { kernel } => {
                let kernel = Kernel::resolve_in(&cache, &kernel)?;
                say(format_args!("{}\n{}", kernel.image().display(), initramfs(&kernel)?.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn fetch_all(cache: &Cache, names: &[String], renew: bool) -> Result<(), Box<dyn std::error::Error>> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    if !crate::host::detect::here().is_hardware() && !names.contains(&kernels::HOST) {
        names.push(kernels::HOST);
    }
    for kernel in fetch(cache, &names, renew)? {
        initramfs(&kernel)?;
        let version = kernel.version.as_deref().unwrap_or("(a file)");
        say(format_args!("{:<11} {version}  {}", kernel.name, kernel.image().display()))?;
    }
    Ok(())
}

fn print_list(cache: &Cache) -> Result<(), Box<dyn std::error::Error>> {
    for (source, kernel) in list(cache)? {
        let alias = source.alias.map(|alias| format!("({alias})")).unwrap_or_default();
        let version = kernel.and_then(|kernel| kernel.version).unwrap_or_else(|| "not fetched".into());
        say(format_args!("{:<11} {alias:<7} {version}", source.name))?;
    }
    Ok(())
}

fn print_removed(cache: &Cache) -> Result<(), Box<dyn std::error::Error>> {
    let removed = prune(cache)?;
    for one in &removed {
        say(format_args!("{:>5} MiB  {}", one.bytes.div_ceil(MIB), one.path.display()))?;
    }
    let all: u64 = removed.iter().map(|one| one.bytes).sum();
    say(format_args!("{:>5} MiB  in all", all.div_ceil(MIB)))?;
    Ok(())
}
