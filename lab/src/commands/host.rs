//! `dimmer-lab host`: runs a command where there is hardware-assisted KVM.

use std::ffi::OsString;
use std::time::Duration;

use crate::host::qemu::Size;
use crate::host::{self, Options};
use clap::Args;
use dimmer::units::Bytes;

/// Runs CMD on this machine if it has hardware-assisted KVM, else inside an emulated host that has: QEMU, in which CMD sees
/// this machine's files (changes to them are gone afterwards), working directory and environment.
///
/// The exit status is CMD's; 128 plus the signal's number if a signal ended it; 124 when it took longer than --timeout; 127
/// or 126 when there is no such program or it is none; 2 when the host fails.
#[derive(Debug, Args)]
pub struct Host {
    /// Kill CMD after this time; the start of an emulated host does not count
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// RAM of the emulated host: the most it may take of this machine's
    #[arg(long, value_name = "SIZE", default_value = "6G", value_parser = memory)]
    memory: u64,
    /// Processors of the emulated host
    #[arg(long, value_name = "N", default_value_t = Size::default().cpus, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Use the emulated host even where there is hardware-assisted KVM
    #[arg(long)]
    emulated: bool,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl Host {
    /// Ends with the exit status of CMD.
    ///
    /// # Errors
    /// Those of [`host::run`].
    pub fn run(self) -> super::Result {
        let size = Size { cpus: self.cpus, memory: self.memory };
        let options = Options { timeout: self.timeout, emulated: self.emulated, size };
        let status = host::run(&options, host::invocation(self.command)?)?;
        Ok(status.into())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds, such as 30 or 0.5")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be more than 0 and less than 2^64 seconds".into()),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 512 << 20;
    let Bytes(bytes) = text.parse::<Bytes>().map_err(|error| error.to_string())?;
    match bytes {
        LEAST.. if bytes.is_multiple_of(1 << 20) => Ok(bytes),
        _ => Err("must be a multiple of 1M, and 512M or more".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_positive_number_of_seconds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "1m", "", "nan", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_whole_mebibytes_and_enough_to_boot() {
        assert_eq!(memory("1G"), Ok(1 << 30));
        for text in ["511M", "0", "1073741825", "G", "17000000T"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }
}
