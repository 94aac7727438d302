//! The machine that is the emulated host: QEMU without any acceleration, whose processor has AMD's virtualization.
//!
//! It ends with this process, however that ends: the kernel kills it. Nothing of it is left in a file system: its ports
//! are socket pairs and its console is a file without a name.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use dimmer_agent::frames;
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};

use super::bound;

/// The kernel's command line. Its console only takes what goes wrong, for each byte costs; a panic ends the machine. The rest
/// saves time: no relocation, no mitigations, no waiting for entropy, no calibration (`lpj` suits a time-stamp counter of
/// 4 GHz; slower ones make short delays longer, which is harmless), no patching of locks for one processor and back, no
/// zeroing of memory that is overwritten at once.
///
/// No machine checks, since guests would see the host's CR4.MCE as their own: KVM keeps that bit set while a guest runs and
/// intercepts reads of CR4 (Linux, arch/x86/kvm/svm/svm.c, `svm_set_cr4` and `init_vmcb`), but QEMU takes them for reads of
/// CR0 (docs/hosts.md). Linux leaves the bit as it finds it (arch/x86/kernel/head_64.S), so a guest with `mce=off` had it.
const COMMAND_LINE: &str = "console=ttyS0 loglevel=4 panic=-1 noreplace-smp nokaslr mitigations=off tsc=reliable \
    no_timer_check lpj=16000000 random.trust_cpu=on rcupdate.rcu_expedited=1 audit=0 apparmor=0 8250.nr_uarts=1 \
    cryptomgr.notests init_on_alloc=0 mce=off";

/// Everything QEMU can emulate but XSAVE: with it, a nested guest's CPUID 0xD does not follow what the guest wrote to XCR0,
/// and its kernel warns (seen with QEMU 7.2; as if KVM never learned of the write). Without it there is no warning. What
/// needs XSAVE goes with it, since QEMU would still show it: Linux 7.3 takes AVX without looking for XSAVE, and stops.
///
/// And but fast string instructions, which are slow here: where they are shown, kernels clear and copy pages by `rep stosb`
/// and `rep movsb`, which QEMU carries out byte by byte, else by eight bytes at a time. A guest boots in 0.76 of the time.
const PROCESSOR: &str = "max,-xsave,-avx,-avx2,-fma,-f16c,-vaes,-vpclmulqdq,-erms,-fsrm,-fzrm,-fsrs,-fsrc";

/// How large the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Processors. With more than one, QEMU loses guests and in the end the host: `docs/hosts.md` shows the defect.
    pub cpus: u32,
    /// RAM in bytes. QEMU takes it from this machine only as it is used.
    pub memory: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self { cpus: 1, memory: 6 << 30 }
    }
}

/// This side's ends of the ports.
#[derive(Debug)]
pub struct Ports {
    /// See [`frames::CONTROL`].
    pub control: UnixStream,
    /// See [`frames::STDIN`].
    pub stdin: UnixStream,
    /// See [`frames::STDOUT`].
    pub stdout: UnixStream,
    /// See [`frames::STDERR`].
    pub stderr: UnixStream,
}

/// A running QEMU. Dropping it kills it.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    console: File,
}

impl Qemu {
    /// Starts the machine with `program`, which runs QEMU, and `kernel`, an ELF `vmlinux`, and `initramfs`.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(program: Command, size: Size, kernel: &Path, initramfs: &Path) -> io::Result<(Self, Ports)> {
        let console = File::from(memfd_create("console", MemfdFlags::CLOEXEC)?);
        // QEMU opens it once more for its serial port: only appending keeps the two from overwriting each other.
        fcntl_setfl(&console, fcntl_getfl(&console)? | OFlags::APPEND)?;
        let mut inherited = vec![OwnedFd::from(console.try_clone()?)];
        let mut command = machine(program, size, kernel, initramfs, inherited[0].as_raw_fd());
        let mut port = |name| {
            let (ours, theirs) = UnixStream::pair()?;
            add_port(&mut command, name, theirs.as_raw_fd());
            inherited.push(theirs.into());
            Ok::<_, io::Error>(ours)
        };
        let ports = Ports {
            control: port(frames::CONTROL)?,
            stdin: port(frames::STDIN)?,
            stdout: port(frames::STDOUT)?,
            stderr: port(frames::STDERR)?,
        };
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console.try_clone()?);
        bound::bind(&mut command, inherited);
        Ok((Self { child: command.spawn()?, console }, ports))
    }

    /// How QEMU ended, waiting for it to. Call it only when something shows that it did, such as the end of its ports.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// What the machine's console and QEMU itself have said so far.
    ///
    /// # Errors
    /// What the system says.
    pub fn console(&self) -> io::Result<Vec<u8>> {
        let (mut text, mut console) = (Vec::new(), &self.console);
        console.rewind()?;
        console.read_to_end(&mut text)?;
        Ok(text)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The machine without its ports. `console` is the number of a file descriptor that QEMU will inherit.
fn machine(mut command: Command, size: Size, kernel: &Path, initramfs: &Path, console: RawFd) -> Command {
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    command.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR]);
    nodes(&mut command, size);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs).args(["-append", COMMAND_LINE]);
    let console = format!("file,id=console,append=on,path=/proc/self/fd/{console}");
    command.args(["-chardev", &console, "-serial", "chardev:console"]);
    let shared = "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap";
    command.args(["-fsdev", shared, "-device", "virtio-9p-pci,fsdev=root,mount_tag=root"]);
    command.args(["-device", "virtio-serial-pci,id=ports"]);
    command
}

/// Processors and memory in two nodes, for tests of machines whose memory is bound to a node of the host. An odd
/// processor is on the first; QEMU wants whole MiB per node.
fn nodes(command: &mut Command, size: Size) {
    const GRAIN: u64 = 1 << 20;
    let second = size.memory / 2 / GRAIN * GRAIN;
    let cut = size.cpus.div_ceil(2);
    command.args(["-smp", &size.cpus.to_string(), "-m", &format!("{}B", size.memory)]);
    for (node, memory, cpus) in [(0, size.memory - second, 0..cut), (1, second, cut..size.cpus)] {
        command.args(["-object", &format!("memory-backend-ram,id=ram{node},size={memory}B")]);
        let cpus = match cpus.clone().last() {
            Some(last) => format!(",cpus={}-{last}", cpus.start),
            None => String::new(),
        };
        command.args(["-numa", &format!("node,nodeid={node},memdev=ram{node}{cpus}")]);
    }
}

fn add_port(command: &mut Command, name: &str, socket: RawFd) {
    command.args(["-chardev", &format!("socket,id={name},fd={socket}")]);
    command.args(["-device", &format!("virtserialport,bus=ports.0,chardev={name},name={name}")]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_the_size_and_the_files_it_was_given() {
        let size = Size { cpus: 3, memory: 5 << 30 };
        let command = machine(Command::new("qemu"), size, Path::new("/k/vmlinux"), Path::new("/i.cpio"), 9);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
        let value = |name| arguments.iter().skip_while(|argument| **argument != name).nth(1).copied();
        assert_eq!(value("-smp"), Some("3"));
        assert_eq!(value("-m"), Some("5368709120B"));
        assert_eq!((value("-kernel"), value("-initrd")), (Some("/k/vmlinux"), Some("/i.cpio")));
        assert!(value("-chardev").is_some_and(|console| console.ends_with("/proc/self/fd/9")));
    }

    #[test]
    fn every_processor_and_all_memory_is_on_one_of_two_nodes() {
        let nodes = |cpus, memory| {
            let mut command = Command::new("qemu");
            nodes(&mut command, Size { cpus, memory });
            let arguments = command.get_args().map(|argument| argument.to_str().unwrap().to_owned());
            arguments.filter(|argument| argument.contains("ram")).collect::<Vec<_>>()
        };
        let three = [
            "memory-backend-ram,id=ram0,size=3145729B",
            "node,nodeid=0,memdev=ram0,cpus=0-1",
            "memory-backend-ram,id=ram1,size=2097152B",
            "node,nodeid=1,memdev=ram1,cpus=2-2",
        ];
        assert_eq!(nodes(3, (5 << 20) + 1), three);
        assert_eq!(nodes(1, 2 << 20)[3], "node,nodeid=1,memdev=ram1", "one without processors");
    }
}
