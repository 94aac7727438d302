//! What becomes of a machine that was started: it pauses, goes on, and ends.

use dimmer_devices::bus::lock;

use super::Machine;
use super::end::End;
use super::wake::Wake;
use crate::control::VmState;
use crate::events::MachineEvent;
use crate::spec::WatchdogAction;

impl Machine {
    pub(super) fn pause(&mut self) {
        if let (VmState::Running, Some(vcpus)) = (self.state, &self.vcpus) {
            match vcpus.pause() {
                Ok(()) => {
                    self.state = VmState::Paused;
                    self.hub.machine(MachineEvent::Paused);
                }
                Err(error) => self.finish(End::Failed(error.to_string())),
            }
        }
    }

    pub(super) fn resume(&mut self) {
        if let (VmState::Paused, Some(vcpus)) = (self.state, &self.vcpus) {
            vcpus.run();
            self.state = VmState::Running;
            self.hub.machine(MachineEvent::Resumed);
        }
    }

    /// Does what a wake-up asks for.
    pub(super) fn take(&mut self, wake: Wake) {
        let Some(wake) = self.awake_after_reset(wake) else { return };
        match wake {
            Wake::Prepared => self.prepared(),
            Wake::Saved => self.saved(),
            Wake::MoreRandom if self.saving.is_none() => self.wiring.give_more_random(),
            Wake::MoreRandom => {}
            Wake::PowerOff => self.finish(End::PowerOff),
            Wake::CrashLoaded => self.hub.machine(MachineEvent::CrashLoaded),
            Wake::Panicked => {
                self.hub.machine(MachineEvent::Panicked { console: self.wiring.last_words() });
                let said = lock(&self.panic).take();
                self.finish(End::Panic(said));
            }
            Wake::Bitten => self.bitten(),
            Wake::Panic(reason) => self.finish(End::Panic(Some(reason))),
            Wake::Reset => self.lost(|machine| machine.reset(None)),
            Wake::Renewed => self.renewed(),
            Wake::TripleFault => self.lost(|machine| machine.finish(End::TripleFault)),
            Wake::Quit => self.finish(End::Asked("from the terminal".into())),
            Wake::Failed(reason) => self.finish(End::Failed(reason)),
            Wake::Defect(what) => self.finish(End::Defect(what)),
        }
    }

    /// The guest has shown no sign of life in time.
    fn bitten(&mut self) {
        let Some(action) = self.spec.watchdog else { return };
        self.hub.machine(MachineEvent::Watchdog { action });
        match action {
            WatchdogAction::Reset => self.lost(|machine| machine.reset(None)),
            WatchdogAction::Poweroff => self.finish(End::Asked("by the guest's watchdog".into())),
            WatchdogAction::Pause => self.pause(),
            WatchdogAction::Nmi => {
                if let Err(refusal) = self.inject_nmi() {
                    tracing::warn!("the guest's watchdog: {refusal}");
                }
            }
            WatchdogAction::None => {}
        }
    }

    /// The guest gave up its processors: because of a panic, if its words were heard, or else for `otherwise`.
    fn lost(&mut self, otherwise: impl FnOnce(&mut Self)) {
        let said = lock(&self.panic).take();
        match said {
            Some(reason) => self.finish(End::Panic(Some(reason))),
            None => otherwise(self),
        }
    }

    /// Ends the machine; the first reason counts.
    pub(super) fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.vcpus = None; // Threads that do not stop are left behind, and end with the process.
            self.hub.machine(MachineEvent::Ended { reason: end.to_string(), cause: end.cause() });
            self.end = Some(end);
        }
    }
}
