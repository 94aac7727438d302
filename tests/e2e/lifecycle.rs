//! How machines pause, start again and end, and what they say of it.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use dimmer::control::{Activity, VcpuStatus};
use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::guest::GuestError;
use dimmer_lab::promised;
use dimmer_lab::vm::{self, Setup, TestVm};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::{GIB, Outcome};

crate::tests!("lifecycle":
    a_reboot_keeps_the_devices,
    a_reset_through_the_keyboard_controller,
    a_reset_without_a_descriptor_left,
    a_pause_stops_the_guest,
    power_off,
    the_power_button,
    shutdown_and_signals,
    a_panic,
    a_panic_before_there_is_an_init,
    a_panic_that_the_driver_tells,
    words_on_the_console,
    a_triple_fault,
    a_guest_that_does_not_answer,
);

/// Waits for the end, and checks exit status and message.
fn assert_end(vm: &mut TestVm, status: i32, message: &str) -> Outcome {
    let seen = vm.wait()?;
    let log = vm.log();
    assert_eq!(seen.code(), Some(status), "dimmer said: {log}");
    assert!(log.contains(message), "dimmer said: {log}");
    Ok(())
}

/// Two DIMMs of 1 GiB and 3 GiB of virtio-mem: all 40 blocks may be movable.
const PLUGGED: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-63 Movable, 80-103 Movable";

fn a_reboot_keeps_the_devices(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=acpi,slots=4,size=4G --memory-hotplug method=virtio-mem,size=8G")
        .boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.add_dimm("d1", GIB)?;
    vm.rest.resize("vmem0", 3 * GIB)?;
    assert_layout(&mut vm, PLUGGED)?;
    for (resets, by_guest) in [(1, true), (2, false)] {
        match by_guest {
            true => vm.guest().reboot()?,
            false => drop(vm.rest.tell(Method::PUT, "/vm.reboot", None)?),
        }
        vm.wait_for_resets(resets)?;
        vm.connect()?;
        // Ends when the new guest has taken everything again.
        vm.rest.resize("vmem0", 3 * GIB)?;
        assert_layout(&mut vm, PLUGGED)?;
        let devices = vm.rest.tell(Method::GET, "/memory-devices", None)?;
        let states: Vec<_> =
            devices.as_array().into_iter().flatten().map(|device| &device["state"]).collect();
        assert_eq!(states, ["plugged"; 3]);
    }
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200, "a DIMM found at boot can be ejected");
    Ok(())
}

fn a_reset_through_the_keyboard_controller(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).cmdline("reboot=k").boot()?;
    vm.guest().reboot()?;
    vm.wait_for_resets(1)?;
    vm.connect().map_err(Into::into)
}

/// Clients that come when there is no descriptor left are sent away, and the guest's reset does without another one.
fn a_reset_without_a_descriptor_left(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments("--cpus 2").boot()?;
    vm.shell("(sleep 10; echo b > /proc/sysrq-trigger) > /dev/null 2>&1 &")?;
    let pid = vm.pid();
    let first = vcpu_thread(pid)?;
    let process = Pid::from_raw(i32::try_from(pid)?);
    let limit =
        |most| prlimit(process, Resource::Nofile, Rlimit { current: Some(most), maximum: Some(4096) });
    // Numbers below the highest that is in use are free as well: clients take them first.
    limit(highest_descriptor(pid)? + 1)?;
    let mut clients: Vec<UnixStream> = Vec::new();
    wait_until("a client that is sent away", || {
        let client = UnixStream::connect(vm.agent_socket())?;
        client.set_nonblocking(true)?;
        clients.push(client);
        Ok(clients.iter().any(|mut client| matches!(client.read(&mut [0]), Ok(0))))
    })?;
    assert!(clients.len() < 60, "these are as many clients as there are places for");
    assert_eq!(vcpu_thread(pid)?, first, "the guest has not reset itself yet");
    wait_until("other vCPU threads", || Ok(vcpu_thread(pid).is_ok_and(|thread| thread != first)))?;
    limit(4096)?;
    drop(clients);
    vm.wait_for_resets(1)?;
    Ok(vm.connect()?)
}

fn highest_descriptor(pid: u32) -> Result<u64, Box<dyn Error>> {
    let names = fs::read_dir(format!("/proc/{pid}/fd"))?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse().ok());
    numbers.max().ok_or_else(|| "it has descriptors".into())
}

/// The thread of the first vCPU.
fn vcpu_thread(pid: u32) -> Result<String, Box<dyn Error>> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "vcpu0") {
            return Ok(path.display().to_string());
        }
    }
    Err("no thread is called vcpu0".into())
}

fn a_pause_stops_the_guest(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments("--cpus 2").boot()?;
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["state"], "paused");
    vm.guest().set_patience(Duration::from_secs(2));
    assert!(matches!(vm.guest().layout(), Err(GuestError::Timeout { .. })), "a paused guest answers");
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    vm.guest().set_patience(Duration::from_secs(120));
    vm.guest().layout()?;
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["state"], "running");
    Ok(())
}

fn power_off(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).boot()?;
    vm.guest().power_off()?;
    assert_end(&mut vm, 0, "the guest powered off")
}

fn the_power_button(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).boot()?;
    vm.rest.tell(Method::PUT, "/vm.power-button", None)?;
    assert_end(&mut vm, 0, "the guest powered off")
}

fn shutdown_and_signals(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).start()?;
    vm.rest.tell(Method::PUT, "/vm.shutdown", None)?;
    assert_end(&mut vm, 0, "through the API")?;
    let terminate = |vm: &TestVm| -> Outcome {
        // It has started once it answers.
        vm.rest.tell(Method::GET, "/vm.info", None)?;
        let pid = Pid::from_raw(i32::try_from(vm.pid())?).ok_or("process 0")?;
        Ok(kill_process(pid, Signal::TERM)?)
    };
    // A guest that has not come so far that it hears of the power button.
    let mut vm = Setup::new(kernel).arguments("--stop-timeout 1").start()?;
    terminate(&vm)?;
    assert_end(&mut vm, 0, "SIGTERM: the guest did not power off within 1 s")?;
    let mut vm = Setup::new(kernel).start()?;
    terminate(&vm)?;
    wait_until("the power button", || {
        Ok(vm.rest.events()?.iter().any(|event| event["event"] == "power_button"))
    })?;
    terminate(&vm)?;
    assert_end(&mut vm, 0, "ended by SIGTERM\n")?;
    let mut vm = Setup::new(kernel).boot()?;
    terminate(&vm)?;
    assert_end(&mut vm, 0, "the guest powered off")
}

fn a_panic(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).boot()?;
    vm.guest().set_patience(Duration::from_secs(1));
    // The answer to this never comes.
    drop(vm.guest().exec(&["/bin/sh", "-c", "echo c > /proc/sysrq-trigger"], b""));
    assert_end(&mut vm, 1, "the guest's kernel panicked: sysrq triggered crash")
}

fn a_panic_before_there_is_an_init(kernel: &Kernel) -> Outcome {
    // `panic=0` behind the usual `panic=-1`: the kernel stops for good instead of resetting.
    let mut vm = Setup::new(kernel).cmdline("rdinit=/nothing root=/dev/nothing panic=0").start()?;
    assert_end(&mut vm, 1, "the guest's kernel panicked: ")
}

fn a_triple_fault(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).cmdline("reboot=t").boot()?;
    vm.guest().reboot()?;
    assert_end(&mut vm, 1, "triple fault")
}

/// Without a look at the console, the kernel's driver for pvpanic says it.
fn a_panic_that_the_driver_tells(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).unwatched().boot()?;
    let mut events = vm::dimmer();
    events.args(["ctl", "--json", "--api-socket"]).arg(vm.api_socket()).args(["events", "--since", "0"]);
    let events = events.stdout(Stdio::piped()).spawn()?;
    vm.guest().crash()?;
    assert_end(&mut vm, 1, "the guest's kernel panicked; its console may say why")?;
    let events = String::from_utf8(events.wait_with_output()?.stdout)?;
    let panicked =
        events.lines().find(|line| line.contains("\"event\":\"panicked\"")).ok_or("no such event")?;
    assert!(
        panicked.contains("Kernel panic - not syncing: sysrq triggered crash"),
        "its last words: {panicked}"
    );
    Ok(())
}

/// A program that writes what a panicking kernel writes ends nothing, and its control characters reach nobody's terminal
/// but the console's own.
fn words_on_the_console(kernel: &Kernel) -> Outcome {
    let words = "printf 'Kernel panic - not syncing: \\033[2Jno\\n---[ end Kernel panic - not syncing: no ]---\\n' \
        > /dev/ttyS0";
    let mut vm = Setup::new(kernel).unwatched().boot()?;
    vm.shell(words)?;
    vm.shell("true")?;
    let mut watched = Setup::new(kernel).boot()?;
    // It ends before the agent can answer.
    let _ = watched.shell(words);
    assert_end(&mut watched, 1, "the guest's kernel panicked: \\u{1b}[2Jno")
}

fn a_guest_that_does_not_answer(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).cmdline("unknown_nmi_panic").arguments("--cpus 2").boot()?;
    // Where the kernel has the loop of a processor with nothing to do, up to the next function.
    let symbols = vm.shell("grep -A 1 ' do_idle$' /proc/kallsyms | cut -d ' ' -f 1")?;
    let symbols = symbols.lines().map(|line| u64::from_str_radix(line, 16)).collect::<Result<Vec<_>, _>>()?;
    let [start, end] = symbols[..] else { return Err(format!("symbols: {symbols:x?}").into()) };
    let idle = start..end;
    vm.shell("(while :; do :; done) > /dev/null 2>&1 &")?;
    wait_until("one in a program and one in the kernel", || {
        let vcpus = vm.rest.vcpus()?;
        let is = |user: bool, activity| {
            let here = |vcpu: &&VcpuStatus| (vcpu.user, vcpu.activity) == (user, activity);
            vcpus.iter().filter(here).any(|vcpu| (vcpu.rip >> 63 == 0) == user && vcpu.cr3 != 0)
        };
        Ok(vcpus.len() == 2 && is(true, Activity::Running) && is(false, Activity::Halted))
    })?;
    // A machine that is paused meets it when it goes on.
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    let before = vm.rest.vcpus()?;
    for vcpu in before.iter().filter(|vcpu| vcpu.activity == Activity::Halted) {
        let idles = vcpu.callers.iter().any(|caller| idle.contains(caller));
        assert!(idles && vcpu.registers.rsp >> 63 == 1, "{vcpu} has no caller in {idle:x?}");
    }
    vm.rest.tell(Method::PUT, "/vm.nmi", None)?;
    assert_eq!(vm.rest.vcpus()?, before, "they stand still");
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    // What the kernel says in such an interrupt reaches the console only behind it, and so behind the end.
    assert_end(&mut vm, 1, "the guest's kernel panicked")
}
