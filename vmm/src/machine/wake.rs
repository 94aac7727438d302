//! How vCPU threads and devices tell the event loop that the machine's life changes.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;
use vmm_sys_util::eventfd::EventFd;

use super::gate::Gate;

/// Why the event loop is woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// The guest powered off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// A vCPU met a fault while it handled a double fault.
    TripleFault,
    /// The guest's kernel said that it panicked.
    Panicked,
    /// Its watchdog bit.
    Bitten,
    /// It said that it panicked and goes over to its crash kernel.
    CrashLoaded,
    /// It said on the console, which is watched for that, that it panicked.
    Panic(String),
    /// Memory of a DIMM has been populated, or could not be.
    Prepared,
    /// Guest memory is as a reset leaves it, or could not be made so.
    Renewed,
    /// A snapshot has been written, or could not be.
    Saved,
    /// The driver of the device with random bytes wants more than one pass gives.
    MoreRandom,
    /// The user typed the key that ends the machine.
    Quit,
    /// KVM cannot go on.
    Failed(String),
    /// A part of Dimmer panicked.
    Defect(String),
}

impl Wake {
    /// Whether the guest must not run on behind this.
    fn stops_guest(&self) -> bool {
        !matches!(
            self,
            Self::Panic(_)
                | Self::Panicked
                | Self::Bitten
                | Self::CrashLoaded
                | Self::Prepared
                | Self::Renewed
                | Self::Saved
                | Self::MoreRandom
        )
    }
}

/// The sending side. Shuts the vCPUs' gate first where the guest must not run on.
#[derive(Debug, Clone)]
pub struct Waker {
    sender: Sender<Wake>,
    bell: Arc<EventFd>,
    gate: Arc<Mutex<Option<Arc<Gate>>>>,
}

impl Waker {
    /// The sending side, the receiving side, and the eventfd that rings.
    ///
    /// # Errors
    /// When the host has no eventfd left.
    pub fn new() -> std::io::Result<(Self, Receiver<Wake>, Arc<EventFd>)> {
        let bell = Arc::new(EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?);
        let (sender, receiver) = mpsc::channel();
        Ok((Self { sender, bell: bell.clone(), gate: Arc::default() }, receiver, bell))
    }

    /// From now on a wake-up that stops the guest shuts `gate`.
    pub fn watch(&self, gate: &Arc<Gate>) {
        *lock(&self.gate) = Some(gate.clone());
    }

    /// Wakes the event loop; never blocks.
    pub fn wake(&self, wake: Wake) {
        if wake.stops_guest()
            && let Some(gate) = &*lock(&self.gate)
        {
            gate.shut();
        }
        // Without a receiver the machine is ending anyway.
        let _ = self.sender.send(wake);
        if let Err(error) = self.bell.write(1) {
            tracing::error!("event loop: {error}");
        }
    }
}
