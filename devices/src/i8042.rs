//! The keyboard controller, of which only the reset line is there: the way to a reset that
//! `reboot=k` names, and that kernels try when others fail. The FADT says that there is no 8042,
//! so nobody looks for a keyboard.

use std::convert::Infallible;
use std::fmt;

use vm_superio::{I8042Device, Trigger};

use crate::bus::BusDevice;

/// Number of I/O ports, from the data port 0x60 to the command port 0x64.
pub const SIZE: u64 = 5;

/// Calls back when the guest pulses the reset line.
struct ResetLine(Box<dyn Fn() + Send>);

impl Trigger for ResetLine {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        (self.0)();
        Ok(())
    }
}

/// The controller.
pub struct I8042(I8042Device<ResetLine>);

impl I8042 {
    /// A controller that calls `reset` on a vCPU thread when the guest asks for a reset; `reset`
    /// must neither block nor come back into a device.
    pub fn new(reset: Box<dyn Fn() + Send>) -> Self {
        Self(I8042Device::new(ResetLine(reset)))
    }
}

impl BusDevice for I8042 {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (Ok(port), Some(byte)) = (u8::try_from(offset), data.first_mut()) {
            *byte = self.0.read(port);
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let (Ok(port), [value]) = (u8::try_from(offset), data) {
            // `ResetLine` cannot fail.
            let _ = self.0.write(port, *value);
        }
    }
}

impl fmt::Debug for I8042 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("I8042").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn only_the_reset_command_resets() {
        let resets = Arc::new(AtomicU32::new(0));
        let count = resets.clone();
        let mut controller = I8042::new(Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        controller.write(4, &[0xad]);
        controller.write(0, &[0xfe]);
        controller.write(4, &[0xfe, 0]);
        assert_eq!(resets.load(Ordering::SeqCst), 0);
        controller.write(4, &[0xfe]);
        assert_eq!(resets.load(Ordering::SeqCst), 1);
        let mut status = [0xff; 1];
        controller.read(4, &mut status);
        assert_eq!(status, [0], "the input buffer is empty");
    }
}
