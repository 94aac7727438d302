//! What one step does: the one key of its actions that it has.

use super::{
    Add, BlockSet, Blocks, Dax, Empty, FaultText, Inject, Load, OnlineWord, Parameters, Plug, Poison, Pool,
    Resize, Run, Size, Step, Write,
};

/// What one step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<'a> {
    /// [`Step::plug`]
    Plug(&'a Plug),
    /// [`Step::unplug`]
    Unplug(&'a str),
    /// [`Step::eject`]
    Eject(&'a str),
    /// [`Step::resize`]
    Resize(&'a Resize),
    /// [`Step::add`]
    Add(&'a Add),
    /// [`Step::remove`]
    Remove(&'a str),
    /// [`Step::dax`]
    Dax(&'a Dax),
    /// [`Step::online`]
    Online(&'a Blocks),
    /// [`Step::offline`]
    Offline(&'a BlockSet),
    /// [`Step::write`]
    Write(&'a Write),
    /// [`Step::pin`]
    Pin(&'a BlockSet),
    /// [`Step::unpin`]
    Unpin(&'a BlockSet),
    /// [`Step::poison`]
    Poison(&'a Poison),
    /// [`Step::set`]
    Set(&'a Parameters),
    /// [`Step::load`]
    Load(Load),
    /// [`Step::lock`]
    Lock(Size),
    /// [`Step::hugepages`]
    HugePages(&'a Pool),
    /// [`Step::inject`]
    Inject(&'a Inject),
    /// [`Step::fault`]
    Fault(&'a [FaultText]),
    /// [`Step::settle`]
    Settle,
    /// [`Step::reboot`]
    Reboot,
    /// [`Step::kexec`]
    Kexec,
    /// [`Step::crash`]
    Crash,
    /// [`Step::run`]
    Run(&'a Run),
    /// [`Step::lsmem`]
    Lsmem,
    /// [`Step::udev`]
    Udev(OnlineWord),
}

impl Action<'_> {
    /// The key that it has in a file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plug(_) => "plug",
            Self::Unplug(_) => "unplug",
            Self::Eject(_) => "eject",
            Self::Resize(_) => "resize",
            Self::Add(_) => "add",
            Self::Remove(_) => "remove",
            Self::Dax(_) => "dax",
            Self::Online(_) => "online",
            Self::Offline(_) => "offline",
            Self::Write(_) => "write",
            Self::Pin(_) => "pin",
            Self::Unpin(_) => "unpin",
            Self::Poison(_) => "poison",
            Self::Set(_) => "set",
            Self::Load(_) => "load",
            Self::Lock(_) => "lock",
            Self::HugePages(_) => "hugepages",
            Self::Inject(_) => "inject",
            Self::Fault(_) => "fault",
            Self::Settle => "settle",
            Self::Reboot => "reboot",
            Self::Kexec => "kexec",
            Self::Crash => "crash",
            Self::Run(_) => "run",
            Self::Lsmem => "lsmem",
            Self::Udev(_) => "udev",
        }
    }
}

impl Step {
    /// Its actions; one, when it has been checked.
    pub(super) fn actions(&self) -> Vec<Action<'_>> {
        let all = [
            self.plug.as_ref().map(Action::Plug),
            self.unplug.as_deref().map(Action::Unplug),
            self.eject.as_deref().map(Action::Eject),
            self.resize.as_ref().map(Action::Resize),
            self.add.as_ref().map(Action::Add),
            self.remove.as_deref().map(Action::Remove),
            self.dax.as_ref().map(Action::Dax),
            self.online.as_ref().map(Action::Online),
            self.offline.as_ref().map(Action::Offline),
            self.write.as_ref().map(Action::Write),
            self.pin.as_ref().map(Action::Pin),
            self.unpin.as_ref().map(Action::Unpin),
            self.poison.as_ref().map(Action::Poison),
            self.set.as_ref().map(Action::Set),
            self.load.map(Action::Load),
            self.lock.map(Action::Lock),
            self.hugepages.as_ref().map(Action::HugePages),
            self.inject.as_ref().map(Action::Inject),
            self.fault.as_deref().map(Action::Fault),
            self.settle.as_ref().map(|Empty {}| Action::Settle),
            self.reboot.as_ref().map(|Empty {}| Action::Reboot),
            self.kexec.as_ref().map(|Empty {}| Action::Kexec),
            self.crash.as_ref().map(|Empty {}| Action::Crash),
            self.run.as_ref().map(Action::Run),
            self.lsmem.as_ref().map(|Empty {}| Action::Lsmem),
            self.udev.map(Action::Udev),
        ];
        all.into_iter().flatten().collect()
    }

    /// What it does.
    ///
    /// # Panics
    /// When the step was not checked.
    pub fn action(&self) -> Action<'_> {
        self.actions().pop().expect("a checked step has an action")
    }
}
