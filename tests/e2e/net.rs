//! Network devices: guests on one wire, and a guest and its host, who say much to each other while memory comes and goes.

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Instant;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_images::busybox::Busybox;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};

use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("net":
    two_guests_on_one_wire,
    a_guest_and_its_host,
);

/// Bytes a second that a wire may carry.
const RATE: u64 = MIB;

fn boot(kernel: &Kernel, arguments: &str) -> Result<TestVm, Box<dyn Error>> {
    let memory = "--memory-hotplug method=acpi,slots=4,size=4G --memory-hotplug method=virtio-mem,size=4G";
    Ok(Setup::new(kernel).arguments(promised::MACHINE).arguments(memory).arguments(arguments).boot()?)
}

/// Gives the guest's device an address of its own.
fn address(vm: &mut TestVm, address: &str) -> Outcome {
    vm.shell(&format!("ip link set eth0 up && ip addr add {address}/24 dev eth0"))?;
    Ok(())
}

/// Lets `frames` of one guest through to the other, until one of them has gone.
fn connect(from: &UnixStream, to: &UnixStream) -> io::Result<()> {
    let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    Ok(())
}

fn two_guests_on_one_wire(kernel: &Kernel) -> Outcome {
    let dir = tempfile::Builder::new().prefix("dimmer-net-").tempdir()?;
    let (mut guests, mut ends) = (Vec::new(), Vec::new());
    for name in ["a", "b"] {
        let path = dir.path().join(name);
        let listener = UnixListener::bind(&path)?;
        let (mac, limit) = (format!("02:00:00:00:00:0{name}"), format!("bps={RATE}"));
        guests.push(boot(kernel, &format!("--net socket={},mac={mac},mtu=1400,{limit}", path.display()))?);
        ends.push(listener.accept()?.0);
    }
    connect(&ends[0], &ends[1])?;
    connect(&ends[1], &ends[0])?;
    let [first, second] = &mut guests[..] else { unreachable!("two were started") };
    address(first, "10.7.0.1")?;
    address(second, "10.7.0.2")?;
    let seen =
        first.shell("cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu /sys/class/net/eth0/carrier")?;
    assert_eq!(seen, "02:00:00:00:00:0a\n1400\n1\n");
    let said = first.shell("ping -c 3 10.7.0.2")?;
    assert!(said.contains("3 packets received"), "{said}");
    // One that hears nothing to say would say that it is done, and the other one leave.
    second.shell("(tail -f /dev/null | nc -l -p 7000 > /tmp/it) > /dev/null 2>&1 &")?;
    first.shell("dd if=/dev/urandom of=/tmp/it bs=1M count=4 2>/dev/null")?;
    wait_until("a listener", || Ok(second.shell("netstat -lnt")?.contains(":7000")))?;
    let sum = first.shell("md5sum < /tmp/it")?;
    let begun = Instant::now();
    first.shell("nc 10.7.0.2 7000 < /tmp/it")?;
    wait_until("all of it", || Ok(second.shell("md5sum < /tmp/it")? == sum))?;
    // Frames are more than what is in them; a tenth of a second may have been saved before.
    assert!(begun.elapsed().as_secs_f64() > (4 * MIB) as f64 / RATE as f64 - 0.1, "{:?}", begun.elapsed());
    let refused = first.fork().err().ok_or("a child on the same wire")?.to_string();
    assert!(refused.contains("net0 is on a wire"), "{refused}");
    // A guest that goes takes the wire with it.
    let mut first = guests.remove(0);
    drop(guests);
    drop(ends);
    wait_until("no link", || Ok(first.shell("cat /sys/class/net/eth0/carrier")?.trim() == "0"))
}

/// Numbers of tests that run beside each other.
static NUMBER: AtomicU8 = AtomicU8::new(0);

/// Makes the host's end of the guest's wire ready, with the guests' busybox, and takes all that is said on a port of it.
fn host(busybox: &Path, tap: &str, address: &str) -> Result<TcpListener, Box<dyn Error>> {
    for words in [format!("addr add {address}/24 dev {tap}"), format!("link set {tap} up")] {
        let done = Command::new(busybox).arg("ip").args(words.split(' ')).output()?;
        assert!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(TcpListener::bind((address, 0))?)
}

fn a_guest_and_its_host(kernel: &Kernel) -> Outcome {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (tap, here, there) =
        (format!("dimmer{number}"), format!("10.8.{number}.1"), format!("10.8.{number}.2"));
    let mut vm = boot(kernel, &format!("--net tap={tap}"))?;
    let dir = tempfile::Builder::new().prefix("dimmer-net-").tempdir()?;
    let busybox = dir.path().join("busybox");
    fs::write(&busybox, Busybox::find_or_fetch(kernel.cache())?.image)?;
    fs::set_permissions(&busybox, fs::Permissions::from_mode(0o755))?;
    let listener = host(&busybox, &tap, &here)?;
    let port = listener.local_addr()?.port();
    address(&mut vm, &there)?;
    let said = vm.shell(&format!("ping -c 2 {here}"))?;
    assert!(said.contains("2 packets received"), "{said}");
    vm.shell("dd if=/dev/urandom of=/tmp/it bs=1M count=4 2>/dev/null")?;
    let expected = vm.shell("md5sum < /tmp/it")?;
    for turn in 0..4_u64 {
        let (listener, path) = (listener.try_clone()?, dir.path().join("it"));
        let receiver = thread::spawn(move || -> io::Result<()> {
            let mut bytes = Vec::new();
            listener.accept()?.0.read_to_end(&mut bytes)?;
            fs::write(path, bytes)
        });
        vm.shell(&format!("(nc {here} {port} < /tmp/it) > /dev/null 2>&1 &"))?;
        // Its buffers come from memory that is on its way in or out.
        if turn % 2 == 0 {
            vm.rest.add_dimm("d0", GIB)?;
            vm.rest.resize("vmem0", GIB)?;
        } else {
            vm.rest.resize("vmem0", 0)?;
            vm.rest.remove_dimm("d0")?;
        }
        receiver.join().map_err(|_| "the receiver panicked")??;
        let sum = Command::new("md5sum").stdin(fs::File::open(dir.path().join("it"))?).output()?;
        assert_eq!(String::from_utf8_lossy(&sum.stdout), expected);
    }
    let nets = vm.rest.tell(Method::GET, "/vm.info", None)?["nets"].clone();
    assert!(nets[0]["sent"].as_u64() > Some(0) && nets[0]["received"].as_u64() > Some(0), "{nets}");
    Ok(())
}
