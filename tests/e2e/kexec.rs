//! Another kernel takes over without the machine being reset: it finds the devices as the first one
//! left them.

use std::error::Error;

use dimmer::ctl::client::Method;
use dimmer_agent::protocol::{KexecLoad, Status};
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{CMDLINE, Setup, TestVm};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::{GIB, MIB, Outcome};

crate::tests!("kexec":
    a_kernel_after_the_kernel,
    a_crash_kernel_asks_what_is_plugged,
    nothing_to_start,
);

/// Where guests find the kernel to load, and its initramfs.
pub const KERNEL: &str = "/next/kernel";
pub const INITRAMFS: &str = "/next/initramfs";

/// First address behind boot RAM.
const WINDOW: u64 = 6 * GIB;

/// Gives the guest its own kernel and initramfs as files.
pub fn with_itself<'a>(setup: Setup<'a>, kernel: &Kernel) -> Result<Setup<'a>, Box<dyn Error>> {
    let bzimage = kernel.bzimage.as_deref().ok_or("there is no bzImage of this kernel")?;
    Ok(setup.file(KERNEL, bzimage).file(INITRAMFS, &dimmer_images::initramfs(kernel)?))
}

fn load(cmdline: &str, on_crash: bool) -> KexecLoad {
    KexecLoad {
        kernel: KERNEL.to_owned(),
        initramfs: INITRAMFS.to_owned(),
        cmdline: cmdline.to_owned(),
        on_crash,
    }
}

/// Waits for the next kernel, which must not be there because the machine started it.
pub fn wait_for_the_next_kernel(vm: &mut TestVm) -> Outcome {
    vm.rebooted()?;
    let resets = vm.rest.tell(Method::GET, "/vm.info", None)?["resets"].clone();
    assert_eq!(resets, 0, "the machine was reset\n{}\n{}", vm.log(), vm.console());
    Ok(())
}

/// The kinds of request that the driver of vmem0 sent behind number `after`, each with its answer.
fn requests(vm: &TestVm, after: usize) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let requests = vm.rest.requests("vmem0")?.into_iter();
    let later = requests.filter(|request| request["number"].as_u64() > Some(after as u64));
    Ok(later.map(|request| (word(&request["request"]), word(&request["response"]))).collect())
}

/// The driver begins with giving everything back, as it knows nothing of what the first kernel did
/// (linux.md 4: `UNPLUG_ALL` when something is plugged at its probe).
fn a_kernel_after_the_kernel(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=acpi,slots=2,size=2G --memory-hotplug method=virtio-mem,size=4G";
    let setup = Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments);
    let mut vm = with_itself(setup, kernel)?.boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    let plugged = format!("{}, 48-55 Movable, 64-71 Movable", promised::BOOT);
    assert_layout(&mut vm, &plugged)?;
    let before = vm.rest.requests("vmem0")?.len();

    vm.guest().kexec_load(&load(CMDLINE, false))?;
    vm.guest().kexec()?;
    wait_for_the_next_kernel(&mut vm)?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, &plugged)?;
    let requests = requests(&vm, before)?;
    let pairs: Vec<_> =
        requests.iter().map(|(request, answer)| (request.as_str(), answer.as_str())).collect();
    assert_eq!(pairs[0], ("unplug-all", "ack"));
    assert!(pairs.len() > 1 && pairs[1..].iter().all(|pair| *pair == ("plug", "ack")), "{pairs:?}");
    assert_eq!(vm.rest.device("d0")?["state"], "plugged");
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200, "a DIMM that was found can be ejected");
    Ok(())
}

/// A segment of the memory in /proc/vmcore: an ELF program header (elf(5)).
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

/// The segments that the headers of an ELF core file name.
fn segments(core: &[u8]) -> Result<Vec<Segment>, Box<dyn Error>> {
    const LOAD: u32 = 1;
    let u16_at = |at: usize| core.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    let u64_at = |at: usize| core.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let kind_at = |at: usize| core.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let headers = || {
        let (start, size, count) = (usize::try_from(u64_at(32)?).ok()?, u16_at(54)?, u16_at(56)?);
        let starts = (0..count).map(|index| start + usize::from(index) * usize::from(size));
        let read = |at| {
            Some((
                kind_at(at)?,
                Segment { offset: u64_at(at + 8)?, address: u64_at(at + 24)?, size: u64_at(at + 32)? },
            ))
        };
        starts.map(read).collect::<Option<Vec<_>>>()
    };
    let all = headers().ok_or("the core file is cut short")?;
    Ok(all.into_iter().filter(|(kind, _)| *kind == LOAD).map(|(_, segment)| segment).collect())
}

/// `count` bytes of the guest's file `path` from `offset` on.
fn read_file(vm: &mut TestVm, path: &str, offset: u64, count: u64) -> Result<Vec<u8>, Box<dyn Error>> {
    let (skip, count) = (format!("skip={offset}"), format!("count={count}"));
    let input = format!("if={path}");
    let command = ["dd", &input, &skip, &count, "bs=4096", "iflag=skip_bytes,count_bytes", "status=none"];
    let read = vm.guest().exec(&command, b"")?;
    match read.status {
        Status::Code(0) => Ok(read.stdout.0),
        status => Err(format!("{command:?} ended with {status:?}: {}", read.stderr.text()).into()),
    }
}

/// The first kernel's memory is read block by block, each only if the device says that it is plugged.
fn a_crash_kernel_asks_what_is_plugged(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=virtio-mem,size=4G";
    let setup =
        Setup::new(kernel).cmdline("crashkernel=256M").arguments(promised::MACHINE).arguments(arguments);
    let mut vm = with_itself(setup, kernel)?.boot()?;
    vm.rest.resize("vmem0", 100 * MIB)?;
    vm.settled()?;
    // The agent's pages begin with a 1.
    let held = vm.guest().pin(&"48".parse()?)?;
    vm.guest().kexec_load(&load(CMDLINE, true))?;
    let before = vm.rest.requests("vmem0")?.len();
    vm.guest().crash()?;
    wait_for_the_next_kernel(&mut vm)?;

    let segments = segments(&read_file(&mut vm, "/proc/vmcore", 0, 4096)?)?;
    let holds = |segment: &&Segment| (segment.address..segment.address + segment.size).contains(&WINDOW);
    let segment = segments.iter().find(holds).ok_or("the core holds nothing of block 48")?;
    let offset = |address: u64| segment.offset + (address - segment.address);
    let plugged = read_file(&mut vm, "/proc/vmcore", offset(held.address), 8)?;
    assert_eq!(plugged, [1, 0, 0, 0, 0, 0, 0, 0], "a page that was plugged");
    let unplugged = WINDOW + 100 * MIB;
    assert_eq!(read_file(&mut vm, "/proc/vmcore", offset(unplugged), 8)?, [0; 8], "one that was not");

    let later = vm.rest.requests("vmem0")?.split_off(before);
    let asked: Vec<_> = later
        .iter()
        .map(|request| (&request["request"], &request["range"]["start"], &request["response"]))
        .collect();
    let block = |address: u64| json!(address / (2 * MIB) * (2 * MIB));
    let expected = [
        (&json!("state"), &block(held.address), &json!("plugged")),
        (&json!("state"), &block(unplugged), &json!("unplugged")),
    ];
    assert_eq!(asked, expected);
    let strays: u64 = vm.rest.audit()?.areas.iter().map(|area| area.stray_accesses).sum();
    assert_eq!(strays, 0, "nothing that is not plugged was touched");
    assert_eq!(vm.rest.device("vmem0")?["plugged_size"], 100 * MIB);
    Ok(())
}

fn nothing_to_start(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).file("/next/text", std::path::Path::new("/proc/version")).boot()?;
    let refused = vm.guest().kexec();
    assert!(refused.is_err_and(|error| error.to_string().contains("No kernel is loaded")));
    let text = KexecLoad { kernel: "/next/text".into(), initramfs: "/next/text".into(), ..load("", false) };
    let refused = vm.guest().kexec_load(&text);
    assert!(refused.is_err_and(|error| error.to_string().contains("ENOEXEC")));
    // Without memory set aside there is no place for a crash kernel.
    let refused = vm.guest().kexec_load(&KexecLoad { on_crash: true, ..text });
    assert!(refused.is_err());
    Ok(())
}
