//! Listens to the serial console for the words of a kernel panic, where that is asked for.
//!
//! A kernel that panics either stops for good or resets the machine at once. One that has no driver for the pvpanic
//! device, or has not loaded it yet, says so on its console alone; but so can any program that writes there. Linux prints
//! `Kernel panic - not syncing: REASON` when it begins (kernel/panic.c), and
//! `---[ end Kernel panic` when it stops for good.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;

use super::wake::{Wake, Waker};

const BEGIN: &str = "Kernel panic - not syncing: ";
const END: &str = "---[ end Kernel panic";
/// Longest line that is looked at.
const LINE: usize = 1024;

/// What the guest's kernel said of its panic, as far as it did.
pub type PanicReason = Arc<Mutex<Option<String>>>;

/// Passes console output on and looks at its lines.
#[derive(Debug)]
pub struct PanicWatch<W> {
    output: W,
    line: Vec<u8>,
    reason: PanicReason,
    waker: Waker,
}

impl<W: Write> PanicWatch<W> {
    /// Passes everything on to `output`; `reason` gets the panic's words.
    pub fn new(output: W, reason: PanicReason, waker: Waker) -> Self {
        Self { output, line: Vec::new(), reason, waker }
    }

    fn look_at(&mut self, byte: u8) {
        if byte != b'\n' {
            if self.line.len() < LINE {
                self.line.push(byte);
            }
            return;
        }
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if line.contains(END) {
            let reason = lock(&self.reason).take();
            self.waker.wake(Wake::Panic(reason.unwrap_or_else(|| line.clone())));
        } else if let Some((_, reason)) = line.split_once(BEGIN) {
            *lock(&self.reason) = Some(reason.to_owned());
        }
    }
}

impl<W: Write> Write for PanicWatch<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        for byte in &bytes[..written] {
            self.look_at(*byte);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(text: &str) -> (Option<String>, Vec<Wake>) {
        let (waker, wakes, _bell) = Waker::new().unwrap();
        let reason = PanicReason::default();
        let mut watch = PanicWatch::new(Vec::new(), reason.clone(), waker);
        watch.write_all(text.as_bytes()).unwrap();
        assert_eq!(watch.output, text.as_bytes());
        let reason = lock(&reason).clone();
        (reason, wakes.try_iter().collect())
    }

    #[test]
    fn a_panic_that_stops_for_good_wakes_the_loop() {
        let text = "[ 1.0] Kernel panic - not syncing: sysrq triggered crash\r\n[ 1.1] CPU: 0\r\n\
                    [ 1.2] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n";
        assert_eq!(watched(text), (None, vec![Wake::Panic("sysrq triggered crash".into())]));
    }

    #[test]
    fn a_panic_that_will_reset_leaves_its_reason() {
        let text = "Kernel panic - not syncing: VFS: Unable to mount root fs\nRebooting in 1 seconds..\n";
        assert_eq!(watched(text), (Some("VFS: Unable to mount root fs".into()), vec![]));
    }

    #[test]
    fn other_lines_and_endless_lines_are_nothing() {
        let text = format!("panic=-1\nkernel panic\n{}Kernel panic - not syncing: x\n", "y".repeat(LINE));
        assert_eq!(watched(&text), (None, vec![]));
    }
}
