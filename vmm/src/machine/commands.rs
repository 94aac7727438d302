//! What the machine does when it is told something: one command, one answer.

use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;
use dimmer_devices::dimm::{Dimm, DimmError, DimmRange, DimmSlots, Notify};
use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::virtio_mem::{RequestRecord, VirtioMemError};

use super::balloon;
use super::disk::Disk;
use super::net::Net;
use super::pmem::Pmem;
use super::vsock::Vsock;
use super::wiring::MemoryDevice;
use super::{End, Machine};
use crate::chain::chain;
use crate::control::{Command, Counts, Refusal, Reply, VmInfo};
use crate::events::MachineEvent;
use crate::spec::DimmSpec;
use crate::units::Bytes;

/// Why a device has no memory for its guest.
const OLD_DRIVER: &str = "the guest's driver does not promise to leave unplugged memory alone, as drivers do since Linux 5.17, and \
    gets none; give the device legacy=on (--memory-hotplug method=virtio-mem,...,legacy=on) if it is to have some";

impl Machine {
    /// Runs one command.
    pub(super) fn handle(&mut self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::Info => Ok(Reply::Info(self.info().into())),
            Command::Devices => Ok(Reply::Devices(self.wiring.memory_devices())),
            Command::Device(id) => self.device(&id).map(Reply::Device),
            Command::AddDimm(dimm) => self.add_dimm(dimm),
            Command::AddVirtioMem(device) => self.add_virtio_mem(&device),
            Command::Resize { id, size } => self.resize(&id, size),
            Command::ResizeTotal(size) => self.resize_total(size),
            Command::Remove(id) => self.remove(&id),
            Command::Cpus => Ok(Reply::Cpus(self.cpus_status())),
            Command::ResizeCpus(count) => self.resize_cpus(count),
            Command::SetBalloon(size) => self.set_balloon(size),
            Command::SetBalloonInterval(seconds) => self.set_balloon_interval(seconds),
            Command::Faults => Ok(Reply::Faults(self.outside.faults.list())),
            Command::SetFaults(faults) => {
                self.outside.faults.set(faults).map_err(|error| Refusal::Invalid(error.to_string()))?;
                Ok(Reply::Faults(self.outside.faults.list()))
            }
            Command::Ost(id) => self.ost(&id).map(Reply::Ost),
            Command::AllOst => Ok(Reply::Ost(self.all_ost())),
            Command::Requests(id) => self.requests(&id).map(Reply::Requests),
            Command::Counts => Ok(Reply::Counts(self.counts())),
            Command::Audit => Ok(Reply::Audit(self.audit())),
            Command::Snapshot(_) | Command::Fork(_) | Command::Reboot => {
                unreachable!("these are answered when they are done")
            }
            Command::InjectMce { address, severity } => {
                self.inject_mce(address, severity).map(|()| Reply::Done)
            }
            Command::InjectNmi => self.inject_nmi().map(|()| Reply::Done),
            Command::Vcpus => self.vcpus_status().map(Reply::Vcpus),
            Command::Pause => self.done(Self::pause),
            Command::Resume => self.done(Self::resume),
            Command::PowerButton => self.done(Self::press_power_button),
            Command::Shutdown => self.done(|machine| machine.finish(End::Asked("through the API".into()))),
        }
    }

    fn done(&mut self, act: impl FnOnce(&mut Self)) -> Result<Reply, Refusal> {
        act(self);
        Ok(Reply::Done)
    }

    fn info(&self) -> VmInfo {
        let balloon = self.wiring.balloon.as_ref().map(|balloon| balloon::status(&lock(balloon)));
        let processors = self.cpus_status();
        let in_balloon = balloon.as_ref().map_or(0, |balloon| balloon.actual_size);
        VmInfo {
            id: self.id.clone(),
            state: self.state,
            cpus: processors.plugged.into(),
            processors: Box::new(processors),
            boot_memory: self.spec.memory.size,
            memory_actual_size: self.ram_size().saturating_sub(in_balloon),
            resets: self.resets,
            generation_id: self.generation_id.to_string(),
            tracked_since: self.tracked.as_ref().map(|origin| origin.directory.clone()),
            last_event: self.hub.last(),
            memory_devices: self.wiring.memory_devices(),
            places: self.wiring.places(),
            balloon,
            nets: self.wiring.nets.iter().map(Net::status).collect(),
            pmems: self.wiring.pmems.iter().map(Pmem::status).collect(),
            vsock: self.wiring.vsock.as_ref().map(Vsock::status),
            disks: self.wiring.disks.iter().map(Disk::status).collect(),
            faults: self.outside.faults.list(),
        }
    }

    fn device(&self, id: &str) -> Result<MemoryStatus, Refusal> {
        self.wiring.memory_device(id).map(|device| device.status()).ok_or_else(|| unknown(id))
    }

    /// The slots, if the machine can have `dimm` as far as that does not depend on what is free.
    pub(super) fn check_dimm(&self, dimm: &Dimm) -> Result<&Arc<Mutex<DimmSlots>>, Refusal> {
        let Some(slots) = &self.wiring.slots else {
            let text =
                "this machine has no DIMM slots: start it with --memory-hotplug method=acpi,slots=N,size=S";
            return Err(Refusal::Conflict(text.to_owned()));
        };
        self.spec.check_dimm(dimm).map_err(|bad| Refusal::Invalid(bad.to_string()))?;
        self.check_name(&dimm.id)?;
        Ok(slots)
    }

    pub(super) fn add_dimm(&mut self, DimmSpec { dimm, notify }: DimmSpec) -> Result<Reply, Refusal> {
        let slots = self.check_dimm(&dimm)?;
        let end = self.hub.follow(&dimm.id);
        self.ram.set_node(&dimm.id, dimm.node);
        let device = lock(slots).add(dimm, notify).map_err(|error| refused_dimm(&error))?;
        Ok(Reply::Accepted { device, end })
    }

    fn resize(&mut self, id: &str, size: u64) -> Result<Reply, Refusal> {
        let end = self.hub.follow(id);
        match self.wiring.memory_device(id).ok_or_else(|| unknown(id))? {
            MemoryDevice::VirtioMem(transport) => {
                let mut transport = lock(&transport);
                if transport.refuses_the_driver() && size > transport.status().plugged_size {
                    return Err(Refusal::Conflict(OLD_DRIVER.to_owned()));
                }
                let device = transport.request(size).map_err(|error| refused_resize(&error))?;
                Ok(Reply::Accepted { device, end })
            }
            MemoryDevice::Dimm(device) if device.requested_size == size => {
                Ok(Reply::Accepted { device, end })
            }
            MemoryDevice::Dimm(device) => Err(Refusal::Invalid(format!(
                "requested_size: {id:?} is a DIMM and can only be plugged or removed as a whole ({} or DELETE); \
                 {} is neither",
                Bytes(device.block_size),
                Bytes(size)
            ))),
        }
    }

    /// Boot RAM, DIMMs and virtio-mem together are to be `total` bytes. What the DIMMs hold stays;
    /// the one virtio-mem device, or else a new DIMM, makes up the difference.
    fn resize_total(&mut self, total: u64) -> Result<Reply, Refusal> {
        let boot = self.spec.memory.size;
        let devices = self.wiring.memory_devices();
        let dimms: u64 = devices.iter().filter(|d| d.slot.is_some()).map(|d| d.requested_size).sum();
        let fixed = boot + dimms;
        let text = |what: &str| Refusal::Invalid(format!("desired_ram: {} is {what}", Bytes(total)));
        if total < fixed {
            let held = format!("less than boot RAM and DIMMs hold ({})", Bytes(fixed));
            return Err(text(&held));
        }
        let mut resizable = devices.iter().filter(|device| device.slot.is_none());
        match (resizable.next(), resizable.next()) {
            (Some(only), None) => {
                let id = only.id.clone();
                self.resize(&id, total - fixed).map_err(|refusal| in_total(refusal, fixed))
            }
            (Some(_), Some(_)) => Err(Refusal::Conflict(
                "desired_ram: this machine has several virtio-mem devices; say which one with vm.resize-zone"
                    .into(),
            )),
            (None, _) if total == fixed => Ok(Reply::Done),
            (None, _) => match self.dimm_for(total) {
                Some(dimm) => self.add_dimm(dimm),
                None => Ok(Reply::Done),
            },
        }
    }

    /// The DIMM that makes up the difference to `total` bytes; nothing where that is none, or not for a DIMM to make up.
    pub(super) fn dimm_for(&self, total: u64) -> Option<DimmSpec> {
        let devices = self.wiring.memory_devices();
        let dimms: u64 = devices.iter().map(|device| device.requested_size).sum();
        let size = total.checked_sub(self.spec.memory.size)?.checked_sub(dimms).filter(|size| *size > 0)?;
        let taken = |id: &String| devices.iter().any(|device| device.id == *id);
        let id = (0..).map(|n| format!("dimm{n}")).find(|id| !taken(id)).expect("names never end");
        let dimm = Dimm::new(id, vec![DimmRange { size, gap: 0 }]);
        let only_dimms = devices.iter().all(|device| device.slot.is_some());
        only_dimms.then_some(DimmSpec { dimm, notify: Notify::DeviceCheck })
    }

    fn remove(&mut self, id: &str) -> Result<Reply, Refusal> {
        let end = self.hub.follow(id);
        match (self.wiring.memory_device(id).ok_or_else(|| unknown(id))?, &self.wiring.slots) {
            (MemoryDevice::Dimm(_), Some(slots)) => {
                let device = lock(slots).remove(id).map_err(|error| refused_dimm(&error))?;
                Ok(Reply::Accepted { device, end })
            }
            _ => {
                let device = self.remove_virtio_mem(id)?;
                Ok(Reply::Accepted { device, end })
            }
        }
    }

    /// What the guest reported about a DIMM, which may be gone.
    fn ost(&self, id: &str) -> Result<Vec<OstReport>, Refusal> {
        let reports = self.wiring.slots.as_ref().map_or_else(Vec::new, |slots| lock(slots).ost(id));
        match self.wiring.memory_device(id) {
            Some(MemoryDevice::VirtioMem(_)) => {
                Err(Refusal::Conflict(format!("{id:?} is a virtio-mem device; see its requests instead")))
            }
            None if reports.is_empty() => Err(unknown(id)),
            Some(MemoryDevice::Dimm(_)) | None => Ok(reports),
        }
    }

    fn counts(&self) -> Counts {
        Counts { requests: self.wiring.request_counts(), exits: self.exits.list() }
    }

    /// What the guest reported about DIMMs, and about slots without one.
    fn all_ost(&self) -> Vec<OstReport> {
        self.wiring.slots.as_ref().map_or_else(Vec::new, |slots| lock(slots).all_ost())
    }

    fn requests(&self, id: &str) -> Result<Vec<RequestRecord>, Refusal> {
        match self.wiring.memory_device(id).ok_or_else(|| unknown(id))? {
            MemoryDevice::VirtioMem(transport) => Ok(lock(&transport).device().requests()),
            MemoryDevice::Dimm(_) => {
                Err(Refusal::Conflict(format!("{id:?} is a DIMM; see its _OST reports (ost) instead")))
            }
        }
    }

    pub(super) fn press_power_button(&mut self) {
        self.hub.machine(MachineEvent::PowerButton);
        lock(&self.wiring.ged).raise(dimmer_acpi::ged::POWER_BUTTON);
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::NotFound(format!("there is no memory device {id:?}"))
}

/// Names the field of the request that the refusal came through.
fn in_total(refusal: Refusal, fixed: u64) -> Refusal {
    match refusal {
        Refusal::Invalid(text) => {
            Refusal::Invalid(format!("desired_ram: less {} of boot RAM and DIMMs: {text}", Bytes(fixed)))
        }
        other => other,
    }
}

pub(super) fn refused_dimm(error: &DimmError) -> Refusal {
    let text = chain(error);
    match error {
        DimmError::Slots(_) | DimmError::Shape(_) | DimmError::LargerThanWindow { .. } => {
            Refusal::Invalid(text)
        }
        DimmError::NotFree { range, window } if !window.contains(range) => Refusal::Invalid(text),
        DimmError::DuplicateId(_)
        | DimmError::NoFreeSlot(_)
        | DimmError::NoFreeRange { .. }
        | DimmError::NotFree { .. } => Refusal::Conflict(text),
        DimmError::UnknownId(_) => Refusal::NotFound(text),
        DimmError::Host(_) => Refusal::Host(text),
    }
}

pub(super) fn refused_resize(error: &VirtioMemError) -> Refusal {
    let text = chain(error);
    match error {
        VirtioMemError::InUse { .. } | VirtioMemError::Leaving => Refusal::Conflict(text),
        _ => Refusal::Invalid(text),
    }
}
