//! `dimmer-lab demo`: the main job.

use std::process::ExitCode;

use crate::output::{complain, while_read};
use crate::{demo, host, picture, vm};
use clap::Args;
use dimmer_images::{Cache, Kernel, fetch};

/// Boots an unmodified Debian kernel with six DIMMs and then with a virtio-mem device, and shows that its memory layouts
/// are, block by block, those that the kernel series introducing memory groups promised. Fetches what it needs.
///
/// The exit status is 0 when everything is as promised, 1 when something differs.
#[derive(Debug, Args)]
pub struct Demo {
    /// Name or path of the kernel
    #[arg(long, value_name = "KERNEL", default_value = demo::KERNEL)]
    kernel: String,
}

impl Demo {
    /// Ends with 0 or 1.
    ///
    /// # Errors
    /// What keeps the demonstration from being given to its end.
    pub fn run(self) -> super::Result {
        if !host::is_emulated() {
            complain(format_args!(
                "dimmer-lab: demo: boots an unmodified kernel {} twice, gives it memory devices while it runs, and holds \
                 every memory block against what the kernel promises. What is missing is fetched first.",
                self.kernel
            ));
        }
        let kernel = self.kernel()?;
        host::reexec_if_needed();
        let right = vm::audited(|| Ok(demo::run(&kernel, picture::is_coloured(), &mut while_read())?))?;
        Ok(ExitCode::from(u8::from(!right)))
    }

    /// The kernel with its initramfs, made on this machine: inside an emulated host nothing that is made stays.
    fn kernel(&self) -> Result<Kernel, Box<dyn std::error::Error>> {
        let cache = Cache::open()?;
        let kernel = fetch(&cache, &[self.kernel.as_str()], false)?.remove(0);
        dimmer_images::initramfs(&kernel)?;
        Ok(kernel)
    }
}
