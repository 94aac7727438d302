//! The control messages of a multiport console (virtio 1.2, section 5.3.6.2), for one port.
//!
//! What the driver is still to be told is kept as flags and not as a queue of messages, so a
//! driver that asks again and again, or never listens, costs nothing.

use serde::{Deserialize, Serialize};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

/// The only port's number.
const PORT: u32 = 0;

/// A control message; a name follows it in [`PORT_NAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wire {
    id: U32,
    event: U16,
    value: U16,
}

/// Length of a control message without a name.
pub(super) const LENGTH: usize = size_of::<Wire>();

/// What has been said about the port, and what is to be said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The host's end is connected.
    host_open: bool,
    /// The driver was told so, as far as it was told anything.
    told_open: bool,
    /// A process in the guest has opened the port.
    pub(super) guest_open: bool,
    /// The driver has the port, so that it can be told about it.
    port_ready: bool,
    add: bool,
    name: bool,
}

impl Control {
    pub(super) const fn is_host_open(&self) -> bool {
        self.host_open
    }

    pub(super) const fn set_host_open(&mut self, open: bool) {
        self.host_open = open;
    }

    /// The same for a host whose end is connected or not, as it is now: the driver is told of the difference.
    pub(super) const fn with_host_open(self, open: bool) -> Self {
        Self { host_open: open, ..self }
    }

    /// The driver is gone.
    pub(super) fn reset(&mut self) {
        *self = Self { host_open: self.host_open, ..Self::default() };
    }

    /// Takes a message of the driver; what makes no sense is ignored.
    pub(super) fn take(&mut self, message: &[u8]) {
        let Ok((wire, _)) = Wire::read_from_prefix(message) else { return };
        let on = wire.value.get() == 1;
        match (wire.event.get(), wire.id.get()) {
            (DEVICE_READY, _) => self.add = on,
            (PORT_READY, PORT) if on => {
                self.port_ready = true;
                self.name = true;
                self.told_open = false;
            }
            (PORT_OPEN, PORT) => self.guest_open = wire.value.get() != 0,
            _ => {}
        }
    }

    /// The next message for the driver.
    pub(super) fn next(&self, name: &str) -> Option<Vec<u8>> {
        if self.add {
            Some(message(PORT_ADD, 0, ""))
        } else if self.name {
            Some(message(PORT_NAME, 1, name))
        } else if self.port_ready && self.told_open != self.host_open {
            Some(message(PORT_OPEN, self.host_open.into(), ""))
        } else {
            None
        }
    }

    /// The driver has the message that [`next`](Self::next) returned.
    pub(super) const fn told(&mut self) {
        if self.add {
            self.add = false;
        } else if self.name {
            self.name = false;
        } else {
            self.told_open = self.host_open;
        }
    }
}

fn message(event: u16, value: u16, name: &str) -> Vec<u8> {
    let wire = Wire { id: PORT.into(), event: event.into(), value: value.into() };
    [wire.as_bytes(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(control: &mut Control) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| {
            let message = control.next("p")?;
            control.told();
            Some(message)
        })
        .collect()
    }

    #[test]
    fn the_port_is_announced_named_and_opened() {
        let mut control = Control::default();
        control.set_host_open(true);
        assert!(drain(&mut control).is_empty());
        control.take(&[0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(drain(&mut control), [[0, 0, 0, 0, 1, 0, 0, 0]]);
        control.take(&[0, 0, 0, 0, 3, 0, 1, 0]);
        assert_eq!(drain(&mut control), [vec![0, 0, 0, 0, 7, 0, 1, 0, b'p'], vec![0, 0, 0, 0, 6, 0, 1, 0]]);
        control.set_host_open(false);
        assert_eq!(drain(&mut control), [[0, 0, 0, 0, 6, 0, 0, 0]]);
    }

    #[test]
    fn a_connection_that_came_and_went_unseen_is_not_mentioned() {
        let mut control = Control::default();
        control.take(&[0, 0, 0, 0, 3, 0, 1, 0]);
        drain(&mut control);
        control.set_host_open(true);
        control.set_host_open(false);
        assert!(drain(&mut control).is_empty());
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut control = Control::default();
        for message in [&[][..], &[0; 7], &[1, 0, 0, 0, 6, 0, 1, 0], &[0, 0, 0, 0, 3, 0, 0, 0], &[0xff; 100]]
        {
            control.take(message);
            assert!(drain(&mut control).is_empty(), "{message:?}");
            assert!(!control.guest_open);
        }
    }

    #[test]
    fn a_driver_that_repeats_itself_gets_one_answer() {
        let mut control = Control::default();
        for _ in 0..1000 {
            control.take(&[0, 0, 0, 0, 0, 0, 1, 0]);
        }
        assert_eq!(drain(&mut control).len(), 1);
    }
}
