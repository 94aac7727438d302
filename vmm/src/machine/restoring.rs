//! A machine that goes on from a snapshot, as it was but for its generation ID.

use std::error::Error;

use super::ram::LoadError;
use super::state::StateProblem;
use super::{Machine, MachineError, Outsiders, ram};
use crate::chain::chain;
use crate::control::VmState;
use crate::events::MachineEvent;
use crate::forked;
use crate::snapshot::{Origin, Snapshot, SnapshotError};
use crate::spec::{MachineSpec, RestoreSpec, Source, SpecError};
use dimmer_acpi::ged::GENERATION;
use dimmer_devices::bus::lock;
use dimmer_guest_firmware as firmware;

/// A machine cannot go on from a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is none, or it is not whole.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It cannot be had on this host.
    #[error(transparent)]
    State(#[from] StateProblem),
    /// Its memory cannot be had.
    #[error(transparent)]
    Memory(#[from] LoadError),
    /// What was said on the command line does not go with it.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}

/// The snapshot that is to be gone on from.
///
/// # Errors
/// [`RestoreError`] when there is none, or it is not whole.
pub(super) fn open(source: &Source) -> Result<Snapshot, RestoreError> {
    Ok(match source {
        Source::Directory(path) => Snapshot::open(path)?,
        Source::Parent(_) => {
            let image =
                forked::image().map_err(|error| RestoreError::Other(format!("standard input: {error}")))?;
            Snapshot::from_image(image)?
        }
    })
}

/// What the machine in `snapshot` is to be.
///
/// # Errors
/// [`RestoreError`] when something that was asked for is not in the snapshot.
pub(super) fn spec(snapshot: &Snapshot, how: &RestoreSpec) -> Result<MachineSpec, RestoreError> {
    let mut spec = snapshot.state.spec.clone();
    let other = |flag: &str, what: &str| {
        RestoreError::Other(format!("{flag}: the machine in the snapshot has {what}"))
    };
    if how.initramfs.is_some() && spec.initramfs.is_none() {
        return Err(other("--initramfs", "none"));
    }
    if how.agent_socket.is_some() && spec.agent_socket.is_none() {
        return Err(other("--agent-socket", "no port for it"));
    }
    if let Some(kernel) = &how.kernel {
        spec.kernel.clone_from(kernel);
    }
    let changed = [
        (&how.initramfs, &mut spec.initramfs),
        (&how.api_socket, &mut spec.api_socket),
        (&how.agent_socket, &mut spec.agent_socket),
    ];
    for (new, old) in changed.into_iter().filter(|(new, _)| new.is_some()) {
        old.clone_from(new);
    }
    if let Some(serial) = &how.serial {
        spec.serial = serial.clone();
    }
    spec.check()?;
    Ok(spec)
}

impl Machine {
    /// The machine in `snapshot`, with its vCPUs stopped.
    pub(super) fn restore(
        spec: MachineSpec,
        snapshot: &Snapshot,
        how: &RestoreSpec,
        outside: Outsiders,
    ) -> Result<Self, MachineError> {
        let mut machine = Self::assemble(spec, outside)?;
        let restored = machine.go_on(snapshot, how);
        restored.map_err(|error| MachineError::Restore { from: how.source.clone(), error })?;
        Ok(machine)
    }

    fn go_on(&mut self, snapshot: &Snapshot, how: &RestoreSpec) -> Result<(), RestoreError> {
        let state = &snapshot.state;
        self.files.check(&snapshot.files).map_err(RestoreError::Other)?;
        for dimm in state.devices.slots.iter().flat_map(|slots| slots.dimms()) {
            self.ram.set_node(&dimm.id, dimm.node);
        }
        let contents = ram::Contents { pieces: &state.memory.pieces, layers: &snapshot.layers };
        self.ram.load(&contents, how.memory, &state.memory.strays)?;
        // Before the generation ID and the devices, which write.
        self.track_from_restore(snapshot, how)?;
        // Before the devices, which go on with what is left in their queues: that counts for faults, and has events.
        self.hub.restore(&state.events).map_err(StateProblem::from)?;
        self.outside.faults.restore(state.faults.clone()).map_err(StateProblem::from)?;
        self.wiring.restore(&state.devices).map_err(StateProblem::from)?;
        self.tell_generation()?;
        let vcpus = self.restored_vcpus(state, how.clock, &self.surroundings())?;
        self.check_books()?;
        self.resets = state.resets;
        if let Source::Parent(id) = &how.source {
            self.id = Some(id.clone());
        }
        lock(&self.panic).clone_from(&state.panic);
        self.hub.machine(MachineEvent::Restored);
        self.vcpus = Some(vcpus);
        self.state = VmState::Paused;
        Ok(())
    }

    /// From now on it is marked what is written, if that was asked for.
    fn track_from_restore(&mut self, snapshot: &Snapshot, how: &RestoreSpec) -> Result<(), RestoreError> {
        let (Source::Directory(directory), Some(id), true) = (&how.source, &snapshot.id, how.track) else {
            return Ok(());
        };
        let failed = |error: &dyn Error| RestoreError::Other(format!("--track: {}", chain(error)));
        let directory = std::path::absolute(directory).map_err(|error| failed(&error))?;
        self.ram.watch().map_err(|error| failed(&error))?;
        self.tracked = Some(Origin { directory, id: id.clone() });
        Ok(())
    }

    /// Gives the guest, which has memory and devices, this machine's generation ID in place of the one that it knows.
    fn tell_generation(&self) -> Result<(), RestoreError> {
        firmware::write_generation_id(&self.ram.memory(), self.generation_id.bytes())
            .map_err(|error| RestoreError::Other(format!("the generation ID: {}", chain(&error))))?;
        lock(&self.wiring.ged).raise(GENERATION);
        Ok(())
    }

    /// Complains of devices that say of themselves what the memory of the snapshot does not say of them.
    fn check_books(&self) -> Result<(), RestoreError> {
        let audit = self.audit();
        if audit.ok {
            return Ok(());
        }
        Err(RestoreError::Other(format!("devices and memory do not agree: {}", audit.problems.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::sample;
    use crate::spec::SerialSpec;
    use crate::spec::sample as sample_spec;

    fn snapshot() -> Snapshot {
        let image =
            crate::snapshot::image::write(sample::state(), sample::saved().files, sample::LENGTH, |put| {
                sample::save(put, None)
            });
        Snapshot::from_image(image.unwrap()).unwrap()
    }

    fn as_it_was() -> RestoreSpec {
        sample_spec::as_it_was(Source::Parent("child".to_owned()))
    }

    #[test]
    fn a_machine_is_the_one_of_the_snapshot_but_for_what_is_said() {
        let mut snapshot = snapshot();
        let was = &mut snapshot.state.spec;
        was.initramfs = Some("initrd".into());
        was.agent_socket = Some("agent".into());
        let was = was.clone();
        assert_eq!(spec(&snapshot, &as_it_was()).unwrap(), was);
        let how = RestoreSpec {
            kernel: Some("other/bzImage".into()),
            initramfs: Some("other/initrd".into()),
            api_socket: Some("other/api".into()),
            agent_socket: Some("other/agent".into()),
            serial: Some(SerialSpec::File("other/log".into())),
            ..as_it_was()
        };
        let expected = MachineSpec {
            kernel: "other/bzImage".into(),
            initramfs: Some("other/initrd".into()),
            api_socket: Some("other/api".into()),
            agent_socket: Some("other/agent".into()),
            serial: SerialSpec::File("other/log".into()),
            ..was
        };
        assert_eq!(spec(&snapshot, &how).unwrap(), expected);
    }

    #[test]
    fn what_the_machine_has_not_cannot_be_elsewhere() {
        let said = |how: RestoreSpec| spec(&snapshot(), &how).unwrap_err().to_string();
        assert_eq!(
            said(RestoreSpec { initramfs: Some("initrd".into()), ..as_it_was() }),
            "--initramfs: the machine in the snapshot has none"
        );
        assert_eq!(
            said(RestoreSpec { agent_socket: Some("agent".into()), ..as_it_was() }),
            "--agent-socket: the machine in the snapshot has no port for it"
        );
        spec(&snapshot(), &RestoreSpec { api_socket: Some("api".into()), ..as_it_was() }).unwrap();
    }
}
