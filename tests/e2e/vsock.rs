//! The socket device: programs of the host's and the guest's talk with each other.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("vsock":
    a_program_of_the_hosts_and_one_of_the_guests,
    many_at_once_while_memory_comes_and_goes,
    connections_end_with_a_snapshot,
);

struct Bench {
    _dir: tempfile::TempDir,
    path: PathBuf,
    vm: TestVm,
}

impl Bench {
    fn boot(kernel: &Kernel) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("v");
        let memory = "--memory-hotplug method=virtio-mem,size=4G";
        let vsock = format!("--vsock cid=5,path={}", path.display());
        let vm =
            Setup::new(kernel).arguments(promised::MACHINE).arguments(memory).arguments(&vsock).boot()?;
        Ok(Self { _dir: dir, path, vm })
    }

    /// The guest sends back all that comes to `port`, `times` times.
    fn echo(&mut self, port: u32, times: usize) -> Outcome {
        let script = format!(
            "(for i in $(seq {times}); do mkfifo /tmp/f{port}; /init vsock listen {port} < /tmp/f{port} | cat > /tmp/f{port}; \
             rm /tmp/f{port}; done) > /dev/null 2>&1 &"
        );
        Ok(self.vm.shell(&script).map(drop)?)
    }

    fn info(&self) -> Result<Value, Box<dyn Error>> {
        Ok(self.vm.rest.tell(Method::GET, "/vm.info", None)?["vsock"].clone())
    }
}

/// A client of the host's that is connected to the guest's `port`, as soon as somebody listens there.
fn client(path: &Path, port: u32) -> Result<BufReader<UnixStream>, Box<dyn Error>> {
    let mut connected = None;
    wait_until("somebody to listen in the guest", || {
        let mut stream = UnixStream::connect(path)?;
        writeln!(stream, "CONNECT {port}")?;
        let (mut stream, mut line) = (BufReader::new(stream), String::new());
        stream.read_line(&mut line)?;
        connected = line.starts_with("OK ").then_some(stream);
        Ok(connected.is_some())
    })?;
    Ok(connected.ok_or("nobody listens")?)
}

/// Some bytes of which no two are alike for a while.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 251) % 256).expect("a byte")).collect()
}

/// Sends `length` bytes, says that these were all, and wants the same back.
fn exchange(mut client: BufReader<UnixStream>, length: usize) -> std::io::Result<bool> {
    let sent = bytes(length);
    let (mut writer, said) = (client.get_ref().try_clone()?, sent.clone());
    let writing = thread::spawn(move || {
        writer.write_all(&said)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard)?;
    writing.join().map_err(|_| std::io::Error::other("a thread panicked"))??;
    Ok(heard == sent)
}

fn a_program_of_the_hosts_and_one_of_the_guests(kernel: &Kernel) -> Outcome {
    let mut bench = Bench::boot(kernel)?;
    // The guest to the host: more than there is room for at once.
    let listener = UnixListener::bind(format!("{}_52", bench.path.display()))?;
    let host = thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard)?;
        stream.write_all(b"thanks")?;
        Ok(heard)
    });
    let answer = bench
        .vm
        .shell("dd if=/dev/zero bs=64k count=32 2> /dev/null | tr '\\0' x | /init vsock connect 52")?;
    assert_eq!(answer, "thanks");
    let heard = host.join().map_err(|_| "a thread panicked")??;
    assert!(heard.len() == 2 << 20 && heard.iter().all(|byte| *byte == b'x'), "{} bytes", heard.len());
    let nobody = bench.vm.shell("/init vsock connect 53; echo $?")?;
    assert_eq!(nobody, "1\n", "nobody listens at 53");
    // The host to the guest, and back.
    bench.echo(1024, 1)?;
    assert!(exchange(client(&bench.path, 1024)?, 1 << 20)?);
    wait_until("the end of the connections", || Ok(bench.info()?["connections"] == 0))?;
    let info = bench.info()?;
    assert_eq!((&info["cid"], &info["received_bytes"]), (&json!(5), &json!((1 << 20) + 6)));
    assert_eq!(info["sent_bytes"], 3 << 20);
    Ok(())
}

/// Buffers lie in memory that was plugged later, and goes.
fn many_at_once_while_memory_comes_and_goes(kernel: &Kernel) -> Outcome {
    let mut bench = Bench::boot(kernel)?;
    let ports = 2000..2004;
    for port in ports.clone() {
        bench.echo(port, 2)?;
    }
    let clients: Vec<_> = ports
        .map(|port| {
            let path = bench.path.clone();
            thread::spawn(move || -> Result<(), String> {
                for _ in 0..2 {
                    let client = client(&path, port).map_err(|error| error.to_string())?;
                    let same = exchange(client, 512 << 10).map_err(|error| error.to_string())?;
                    assert!(same, "port {port}");
                }
                Ok(())
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        for size in [GIB, 128 * MIB] {
            bench.vm.rest.resize("vmem0", size)?;
        }
    }
    for client in clients {
        client.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

fn connections_end_with_a_snapshot(kernel: &Kernel) -> Outcome {
    let Bench { _dir, path, mut vm } = Bench::boot(kernel)?;
    let place = |name: &str| path.with_file_name(name);
    let listen = "(/init vsock listen 1024 < /dev/zero > /dev/null; echo $? > /tmp/ended) > /dev/null 2>&1 &";
    vm.shell(listen)?;
    let before = client(&path, 1024)?;
    let fork = json!({"id": "c", "api_socket": place("api"), "agent_socket": place("agent")});
    let refused = vm.rest.ask(Method::POST, "/vm.fork", Some(&fork))?;
    assert_eq!(refused.status, 409);
    assert!(refused.body["detail"].as_str().is_some_and(|why| why.contains("--vsock")), "{}", refused.body);
    vm.snapshot(&place("snapshot"))?;
    // The socket is that machine's as long as it is there.
    drop((vm, before));
    let mut vm = TestVm::restore(&place("snapshot"), "")?;
    vm.connect()?;
    wait_until("the end of the guest's program", || Ok(vm.shell("cat /tmp/ended || true")? == "1\n"))?;
    vm.shell(listen)?;
    let mut after = client(&path, 1024)?;
    let mut zeroes = vec![1; 1 << 20];
    after.read_exact(&mut zeroes)?;
    assert!(zeroes.iter().all(|byte| *byte == 0));
    Ok(())
}
