//! The machine's devices, made and put on their buses.

mod balloon;
mod error;
mod files;
mod memory;
mod processors;
mod rng;
mod state;
mod vsock;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::{Bus, lock};
use dimmer_devices::dimm::DimmSlots;
use dimmer_devices::ged::Ged;
use dimmer_devices::i8042::{self, I8042};
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::pci::{self, PciConfiguration};
use dimmer_devices::places::{PlaceStatus, Places, SharedVirtioMem};
use dimmer_devices::power::{Power, PowerRequest};
use dimmer_devices::processors::ProcessorSlots;
use dimmer_devices::pvpanic::{PanicEvent, Pvpanic};
use dimmer_devices::virtio_mem::RequestCounts;
use dimmer_devices::watchdog::{self, Watchdog};
use event_manager::MutEventSubscriber;

use super::agent_port::AgentPort;
use super::board::Pin;
use super::disk::Disk;
use super::net::Net;
use super::parts::{Parts, Transports};
use super::pmem::Pmem;
use super::serial_console::SerialConsole;
use super::vsock::Vsock;
use super::wake::{Wake, Waker};
use crate::layout;
use balloon::SharedBalloon;
pub use error::WiringError;
use rng::SharedRng;

/// A memory device of either kind.
#[derive(Debug)]
pub enum MemoryDevice {
    /// A DIMM, as it is now.
    Dimm(MemoryStatus),
    /// A virtio-mem device.
    VirtioMem(SharedVirtioMem),
}

impl MemoryDevice {
    /// What can be said of it.
    pub fn status(&self) -> MemoryStatus {
        match self {
            Self::Dimm(status) => status.clone(),
            Self::VirtioMem(device) => lock(device).device().status(),
        }
    }
}

/// All devices.
#[derive(Debug)]
pub struct Wiring {
    /// I/O ports.
    pub ports: Arc<Bus>,
    /// Device registers in memory.
    pub mmio: Arc<Bus>,
    /// The Generic Event Device.
    pub ged: Arc<Mutex<Ged>>,
    /// The DIMM slots, if there are any.
    pub slots: Option<Arc<Mutex<DimmSlots>>>,
    /// The places of processors, if they can come and go.
    pub processors: Option<Arc<Mutex<ProcessorSlots>>>,
    /// The virtio-mem devices that are always there, in the order of the command line.
    virtio_mem: Vec<SharedVirtioMem>,
    /// The places of others, if there are any.
    pub places: Option<Arc<Mutex<Places>>>,
    /// The disks, likewise.
    pub disks: Vec<Disk>,
    /// The network devices, likewise.
    pub nets: Vec<Net>,
    /// Persistent memory, likewise.
    pub pmems: Vec<Pmem>,
    /// The balloon, if there is one.
    pub balloon: Option<SharedBalloon>,
    /// The socket device, if there is one.
    pub vsock: Option<Vsock>,
    rng: Option<SharedRng>,
    power: Arc<Mutex<Power>>,
    pvpanic: Arc<Mutex<Pvpanic>>,
    watchdog: Option<Arc<Mutex<Watchdog>>>,
    pci: Arc<Mutex<PciConfiguration>>,
    serial: Rc<RefCell<SerialConsole>>,
    agent: Option<Rc<RefCell<AgentPort>>>,
}

impl Wiring {
    /// Makes all devices of the machine.
    ///
    /// # Errors
    /// [`WiringError`] names the flag.
    pub fn new(parts: &Parts<'_>) -> Result<Self, WiringError> {
        let (mut ports, mut mmio) = (Bus::default(), Bus::default());
        let ged = Arc::new(Mutex::new(Ged::new(Pin::new(parts.board, layout::GED_GSI))));
        ports.insert("ged", layout::GED_PORT.into(), dimmer_acpi::ged::SIZE.into(), ged.clone())?;
        let power = Arc::new(Mutex::new(new_power(parts.waker.clone())));
        let waker = parts.waker.clone();
        let keyboard = I8042::new(Box::new(move || waker.wake(Wake::Reset)));
        ports.insert("i8042", layout::I8042_PORT.into(), i8042::SIZE, Arc::new(Mutex::new(keyboard)))?;
        ports.insert("power", layout::POWER_PORT.into(), dimmer_acpi::power::SIZE.into(), power.clone())?;
        let pvpanic = Arc::new(Mutex::new(new_pvpanic(parts.waker.clone())));
        let size = dimmer_acpi::pvpanic::SIZE.into();
        ports.insert("pvpanic", layout::PVPANIC_PORT.into(), size, pvpanic.clone())?;
        let watchdog = watchdog(parts, &mut ports)?;
        let pci = Arc::new(Mutex::new(PciConfiguration::default()));
        ports.insert("pci", layout::PCI_PORT.into(), pci::SIZE, pci.clone())?;
        let serial = SerialConsole::new(parts, &mut ports)?;
        let slots = memory::slots(parts, &ged, &mut ports)?;
        let processors = processors::processors(parts, &ged, &mut ports)?;
        let mut transports = Transports::new(parts, &mut mmio);
        let agent = match &parts.spec.agent_socket {
            Some(path) => Some(AgentPort::new(path, &mut transports)?),
            None => None,
        };
        let virtio_mem = memory::virtio_mem(parts, &mut transports)?;
        let disks = files::disks(parts, &mut transports)?;
        let nets = files::nets(parts, &mut transports)?;
        let rng = rng::rng(parts, &mut transports)?;
        let balloon = balloon::balloon(parts, &mut transports)?;
        let vsock = vsock::vsock(parts, &mut transports)?;
        let pmems = files::pmems(parts, &mut transports)?;
        let places = memory::places(parts, &ged, &mut ports, &mut transports)?;
        memory::unplugged(parts, &mut mmio)?;
        Ok(Self {
            ports: Arc::new(ports),
            mmio: Arc::new(mmio),
            ged,
            slots,
            processors,
            virtio_mem,
            places,
            disks,
            nets,
            pmems,
            balloon,
            vsock,
            rng,
            power,
            pvpanic,
            watchdog,
            pci,
            serial: Rc::new(RefCell::new(serial)),
            agent: agent.map(|agent| Rc::new(RefCell::new(agent))),
        })
    }

    /// Number of virtio-mmio transports that are always there.
    pub fn transports(&self) -> usize {
        self.virtio_mem.len()
            + self.disks.len()
            + self.nets.len()
            + self.pmems.len()
            + usize::from(self.agent.is_some())
            + usize::from(self.rng.is_some())
            + usize::from(self.balloon.is_some())
            + usize::from(self.vsock.is_some())
    }

    /// What the event loop is to watch for the devices.
    pub fn lines(&self) -> Vec<Rc<RefCell<dyn MutEventSubscriber>>> {
        let agent = self.agent.iter().map(|agent| agent.clone() as Rc<RefCell<dyn MutEventSubscriber>>);
        agent.chain([self.serial.clone() as Rc<RefCell<dyn MutEventSubscriber>>]).collect()
    }

    /// System reset of every device. The Generic Event Device goes first: the DIMM slots may have
    /// something new to say, and processors, too.
    pub fn reset(&self) {
        lock(&self.ged).reset();
        lock(&self.power).reset();
        lock(&self.pvpanic).reset();
        self.watchdog.iter().for_each(|watchdog| lock(watchdog).reset());
        lock(&self.pci).reset();
        self.serial.borrow_mut().reset();
        if let Some(slots) = &self.slots {
            lock(slots).reset();
        }
        if let Some(processors) = &self.processors {
            lock(processors).reset();
        }
        if let Some(agent) = &self.agent {
            agent.borrow_mut().reset();
        }
        for device in &self.virtio_mem {
            lock(device).system_reset();
        }
        if let Some(places) = &self.places {
            lock(places).reset();
        }
        self.disks.iter().for_each(Disk::reset);
        self.nets.iter().for_each(|net| net.device.reset());
        self.vsock.iter().for_each(|vsock| vsock.device.reset());
        self.pmems.iter().for_each(|pmem| pmem.device.reset());
        if let Some(rng) = &self.rng {
            lock(rng).system_reset();
        }
        if let Some(balloon) = &self.balloon {
            lock(balloon).system_reset();
        }
    }

    /// Gives the driver of the device with random bytes what it still waits for.
    pub fn give_more_random(&self) {
        if let Some(rng) = &self.rng {
            lock(rng).go_on();
        }
    }

    /// Wakes the device of this name, whose alarm rang; the guest may stand still meanwhile.
    pub fn alarm(&self, id: &str, is_running: bool) {
        if let Some(watchdog) = self.watchdog.as_ref().filter(|_| id == watchdog::ALARM) {
            let mut watchdog = lock(watchdog);
            return if is_running { watchdog.alarm() } else { watchdog.postpone() };
        }
        if let Some(slots) = &self.slots {
            lock(slots).alarm(id);
        }
        if let Some(device) = self.virtio_mem().iter().find(|device| lock(device).device().id() == id) {
            lock(device).alarm();
        }
        if let Some(balloon) = &self.balloon {
            lock(balloon).alarm(id);
        }
    }

    /// What the guest said last on its console.
    pub fn last_words(&self) -> Vec<String> {
        self.serial.borrow().last_words()
    }

    /// The virtio-mem devices: first those that are always there, then those that came later, by place.
    pub fn virtio_mem(&self) -> Vec<SharedVirtioMem> {
        let others = self.places.as_ref().map_or_else(Vec::new, |places| lock(places).devices());
        self.virtio_mem.iter().cloned().chain(others).collect()
    }

    /// The places for virtio-mem devices that come and go.
    pub fn places(&self) -> Vec<PlaceStatus> {
        self.places.as_ref().map_or_else(Vec::new, |places| lock(places).statuses())
    }

    /// All memory devices: DIMMs by slot, then virtio-mem devices.
    pub fn memory_devices(&self) -> Vec<MemoryStatus> {
        let mut all = self.slots.as_ref().map_or_else(Vec::new, |slots| lock(slots).statuses());
        all.extend(self.virtio_mem().iter().map(|device| lock(device).device().status()));
        all
    }

    /// What the drivers of the virtio-mem devices asked for.
    pub fn request_counts(&self) -> Vec<(String, RequestCounts)> {
        let counts = |device: &SharedVirtioMem| {
            let transport = lock(device);
            (transport.device().id().to_owned(), transport.device().request_counts().clone())
        };
        self.virtio_mem().iter().map(counts).collect()
    }

    /// The memory device of this name.
    pub fn memory_device(&self, id: &str) -> Option<MemoryDevice> {
        let dimm = self.slots.as_ref().and_then(|slots| lock(slots).status(id));
        let virtio_mem = || self.virtio_mem().into_iter().find(|device| lock(device).device().id() == id);
        dimm.map(MemoryDevice::Dimm).or_else(|| virtio_mem().map(MemoryDevice::VirtioMem))
    }
}

fn watchdog(parts: &Parts<'_>, ports: &mut Bus) -> Result<Option<Arc<Mutex<Watchdog>>>, WiringError> {
    if parts.spec.watchdog.is_none() {
        return Ok(None);
    }
    let waker = parts.waker.clone();
    let watchdog = Watchdog::new(parts.outside.alarm.clone(), Box::new(move || waker.wake(Wake::Bitten)));
    let watchdog = Arc::new(Mutex::new(watchdog));
    let size = dimmer_acpi::watchdog::SIZE.into();
    ports.insert("watchdog", layout::WATCHDOG_PORT.into(), size, watchdog.clone())?;
    Ok(Some(watchdog))
}

fn new_pvpanic(waker: Waker) -> Pvpanic {
    Pvpanic::new(Box::new(move |event| {
        waker.wake(match event {
            PanicEvent::Panicked => Wake::Panicked,
            PanicEvent::CrashLoaded => Wake::CrashLoaded,
        });
    }))
}

fn new_power(waker: Waker) -> Power {
    Power::new(Box::new(move |request| {
        waker.wake(match request {
            PowerRequest::PowerOff => Wake::PowerOff,
            PowerRequest::Reset => Wake::Reset,
        });
    }))
}
