//! File descriptors: as many as the host allows, and some of them kept for what must not fail.
//!
//! A reset of the guest makes a VM and vCPUs anew. Clients could have taken the last descriptors meanwhile, and then the
//! guest's reset would be the machine's end; so what a reset needs is kept open, as nothing in particular, until then.

use std::fs::File;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a reset needs besides a descriptor for each vCPU: the new VM beside the old one, and what the host opens while it
/// loads the kernel.
const BESIDE_VCPUS: usize = 4;

/// Lets this process have as many descriptors as it may ask for.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}

/// Descriptors that are kept for a reset.
#[derive(Debug)]
pub struct Reserve {
    wanted: usize,
    /// What all of them are.
    nothing: File,
    kept: Vec<File>,
}

impl Reserve {
    /// Keeps what a reset of a machine with so many vCPUs needs.
    ///
    /// # Errors
    /// When there are not so many descriptors left.
    pub fn new(vcpus: usize) -> io::Result<Self> {
        let mut reserve =
            Self { wanted: vcpus + BESIDE_VCPUS, nothing: File::open("/dev/null")?, kept: Vec::new() };
        reserve.fill()?;
        Ok(reserve)
    }

    /// Gives them all away, for a reset that begins.
    pub fn release(&mut self) {
        self.kept.clear();
    }

    /// Keeps as many again, as far as there are any.
    ///
    /// # Errors
    /// When there are fewer left.
    pub fn fill(&mut self) -> io::Result<()> {
        while self.kept.len() < self.wanted {
            self.kept.push(self.nothing.try_clone()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_away_is_kept_again() {
        let mut reserve = Reserve::new(2).unwrap();
        assert_eq!(reserve.kept.len(), 6);
        reserve.release();
        assert!(reserve.kept.is_empty());
        reserve.fill().unwrap();
        assert_eq!(reserve.kept.len(), 6);
    }
}
