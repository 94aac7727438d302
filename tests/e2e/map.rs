//! The map on a terminal: keys go in, and what the screen then shows comes from a real guest.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::Outcome;
use crate::layouts::assert_layout;
use screen::Screen;

mod screen;

crate::tests!("map": keys_change_the_guest_and_the_map_shows_it);

/// Columns and lines.
const SIZE: (u16, u16) = (132, 40);
/// How long the screen may take to show something.
const PATIENCE: Duration = Duration::from_secs(120);
/// Ctrl-U, which empties an answer.
const EMPTY: &str = "\x15";

/// A terminal with the map on it.
struct Terminal {
    master: File,
    /// The side that programs have, as it was before there was one.
    slave: File,
    before: Termios,
    screen: Arc<Mutex<Screen>>,
    child: Child,
}

impl Terminal {
    fn start(vm: &TestVm) -> Result<Self, Box<dyn std::error::Error>> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_string()?;
        let slave = File::options().read(true).write(true).open(Path::new(&name))?;
        tcsetwinsize(&slave, Winsize { ws_col: SIZE.0, ws_row: SIZE.1, ws_xpixel: 0, ws_ypixel: 0 })?;
        let before = tcgetattr(&slave)?;
        // The terminal is the controlling one of a session of its own.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_dimmer-lab"), "map", "--agent-socket"])
            .arg(vm.agent_socket())
            .arg("--api-socket")
            .arg(vm.api_socket())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave.try_clone()?)
            .spawn()?;
        let master = File::from(master);
        let screen = Arc::new(Mutex::new(Screen::new(SIZE)));
        let (mut output, shown) = (master.try_clone()?, Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).take(&bytes[..count]);
            }
        });
        Ok(Self { master, slave, before, screen, child })
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// Waits until the screen shows all of `parts`.
    fn wait(&self, parts: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            match parts.iter().find(|part| !text.contains(**part)) {
                None => return,
                Some(part) => assert!(Instant::now() < end, "{part:?} is not on the screen:\n{text}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) -> std::io::Result<()> {
        self.master.write_all(keys.as_bytes())
    }

    /// Presses a key that asks, waits for the question, and answers it.
    fn ask(&mut self, key: &str, question: &str, answer: &str) -> std::io::Result<()> {
        self.press(key)?;
        self.wait(&[question]);
        self.press(&format!("{EMPTY}{answer}\r"))
    }

    /// Waits for the end; the terminal must be as it was.
    fn end(mut self) -> Result<ExitStatus, Box<dyn std::error::Error>> {
        let status = self.child.wait()?;
        let after = tcgetattr(&self.slave)?;
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before), "the terminal's modes");
        let end = Instant::now() + PATIENCE;
        while !self.screen.lock().unwrap_or_else(PoisonError::into_inner).is_restored() {
            assert!(Instant::now() < end, "the screen was not put back:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(status)
    }
}

fn keys_change_the_guest_and_the_map_shows_it(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=acpi,slots=2,size=4G --memory-hotplug method=virtio-mem,size=4G")
        .boot()?;
    let mut terminal = Terminal::start(&vm)?;
    terminal.wait(&[
        "boot RAM      0  -DDDDDDDDDDDDDDD",
        "node 0: 4 GiB",
        "a DIMM of 4 GiB on node 0, at block 48",
    ]);
    terminal.ask("p", "plug a DIMM", "1G d0")?;
    terminal.wait(&[
        "done: d0 is plugged, 1 GiB",
        "d0           32                  MMMMMMMM",
        "d0     DIMM ",
    ]);
    terminal.ask("r", "resize (DEVICE SIZE)", "vmem0 130M")?;
    terminal.wait(&[
        "done: vmem0 has 130 MiB plugged",
        "vmem0        64                  M%······",
        "dynamic",
    ]);
    assert_layout(&mut vm, &format!("{}, 48-55 Movable, 80-81 Movable", promised::BOOT))?;

    terminal.ask("f", "offline (BLOCKS)", "48-49")?;
    terminal.wait(&["done: offline 48-49", "mmMMMMMM", "256 MiB of it offline"]);
    terminal.ask("o", "online (BLOCKS", "48 kernel")?;
    terminal.wait(&["done: online 48 to a kernel zone", "NnMMMMMM"]);
    terminal.ask("f", "offline (BLOCKS)", "0")?;
    terminal.wait(&["the guest refused 1 of 1: block 0: EINVAL"]);
    terminal.ask("e", "eject a DIMM (NAME)", "nothing")?;
    terminal.wait(&["not possible (404)"]);
    terminal.ask("e", "eject a DIMM (NAME)", "d0")?;
    terminal.wait(&["is gone"]);
    let expected = format!("{}, 80-81 Movable", promised::BOOT);
    assert_layout(&mut vm, &expected)?;

    terminal.press("q")?;
    assert_eq!(terminal.end()?.code(), Some(0));

    // Whoever ends it otherwise has the terminal back as well.
    let terminal = Terminal::start(&vm)?;
    terminal.wait(&["boot RAM"]);
    let session = Pid::from_child(&terminal.child);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", session.as_raw_nonzero()))?;
    // setsid forks where it must; else it is the map itself.
    let map = children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    kill_process(map.unwrap_or(session), Signal::TERM)?;
    terminal.end()?;
    Ok(())
}
