//! Kernel images, processors, and what the kernel's log says of the tables.

use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};

use crate::Outcome;

crate::tests!("boot": bzimage, vmlinux, two_processors, intels_processors, a_large_window_on_a_small_host);

fn bzimage(kernel: &Kernel) -> Outcome {
    let image = kernel.bzimage.as_ref().ok_or("Debian's kernels are bzImages")?;
    let mut vm = Setup::new(kernel).image(image).boot()?;
    assert_eq!(vm.guest().kernel(), kernel.release);
    Ok(())
}

fn vmlinux(kernel: &Kernel) -> Outcome {
    let image = kernel.vmlinux.as_ref().ok_or("a vmlinux is extracted from Debian's kernels")?;
    let mut vm = Setup::new(kernel).image(image).boot()?;
    assert_eq!(vm.guest().kernel(), kernel.release);
    Ok(())
}

fn two_processors(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=2G")
        .arguments(
            "--memory-hotplug method=acpi,slots=1024,size=8G --memory-hotplug method=virtio-mem,size=4G",
        )
        .boot()?;
    assert_eq!(vm.shell("nproc")?.trim(), "2");
    let slots = vm.shell("ls -d /sys/bus/acpi/devices/PNP0C80:* | wc -l")?;
    assert_eq!(slots.trim(), "1024");
    assert_no_complaint(&mut vm)
}

/// A guest that sees another vendor's processors than the host has takes them as they are.
fn intels_processors(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments("--cpus 2 --memory size=2G --cpu-vendor intel").boot()?;
    assert_eq!(vm.shell("nproc")?.trim(), "2");
    let vendors = vm.shell("sed -n 's/^vendor_id.*: //p' /proc/cpuinfo")?;
    assert_eq!(vendors, "GenuineIntel\nGenuineIntel\n");
    assert_no_complaint(&mut vm)
}

/// Fails when the kernel's log has a warning, or worse, that is not known to be harmless.
fn assert_no_complaint(vm: &mut TestVm) -> Outcome {
    let log = vm.guest().kernel_log(0)?;
    // Levels 0 to 4 are warnings and worse.
    let complaints: Vec<_> = log
        .records
        .iter()
        .filter(|record| record.level <= 4)
        .map(|record| record.text.as_str())
        .filter(|text| !is_harmless(text))
        .collect();
    assert_eq!(complaints, Vec::<&str>::new(), "the kernel complains");
    Ok(())
}

/// What Debian's kernels say at these levels on a machine without PCI, with AMD's processor and no
/// `_CPC`, and on a slow host.
fn is_harmless(text: &str) -> bool {
    const HARMLESS: [&str; 5] = [
        "PCI: Fatal: No config space access function found",
        "PCI: System does not support PCI",
        "amd_pstate: the _CPC object is not present",
        "hrtimer: interrupt took",
        "clocksource: Long readout interval, skipping watchdog check",
    ];
    HARMLESS.iter().any(|harmless| text.starts_with(harmless))
}

/// A window costs nothing: neither host memory nor time.
fn a_large_window_on_a_small_host(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--memory size=4G --memory-hotplug method=virtio-mem,size=512G")
        .boot()?;
    let device = vm.rest.resize("vmem0", 1 << 30)?;
    assert_eq!(device["ranges"][0]["size"], 512_u64 << 30);
    vm.settled()?;
    Ok(())
}
