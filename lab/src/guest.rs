//! The guest as the lab talks to it: requests to the agent over the machine's agent socket.
//!
//! Every call has a deadline, after which the guest may still carry the request out; its late
//! answer is skipped and the connection stays usable.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use dimmer_agent::blocks::BlockList;
use dimmer_agent::groups::Membership;
use dimmer_agent::protocol::{
    Action, BlockResult, Bytes, Executed, KernelLog, KexecLoad, Parameter, Pinned, Pong, ZoneKind,
};
use serde::de::DeserializeOwned;

use crate::layout::Layout;

mod connect;
mod error;
mod exchange;
mod settled;

pub use error::GuestError;

/// How long a request may take unless [`Guest::set_patience`] says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the agent of one guest.
#[derive(Debug)]
pub struct Guest {
    stream: UnixStream,
    /// What came in and is not a whole line yet.
    buffer: Vec<u8>,
    /// Begins the ids of this connection's requests, and of no other's.
    name: String,
    requests: u64,
    patience: Duration,
    path: PathBuf,
    pong: Pong,
}

impl Guest {
    /// Release of the guest's kernel.
    pub fn kernel(&self) -> &str {
        &self.pong.kernel
    }

    /// How long each request from now on may take; [`PATIENCE`] at first.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether the guest is alive: whether a program of it that sleeps for a second wakes up again, within `patience`.
    /// The agent may well answer in a guest whose timers are dead.
    ///
    /// # Errors
    /// [`GuestError::Timeout`] when it does not, among others.
    pub fn sleep(&mut self, patience: Duration) -> Result<(), GuestError> {
        let argv = ["/bin/sh", "-c", "sleep 1"].map(str::to_owned).to_vec();
        self.ask_within::<Executed>(Action::Exec { argv, stdin: Bytes(Vec::new()) }, patience).map(drop)
    }

    /// The memory layout as the guest shows it now, settled or not.
    ///
    /// # Errors
    /// See [`GuestError`].
    pub fn layout(&mut self) -> Result<Layout, GuestError> {
        self.ask(Action::Layout)
    }

    /// Fills the memory groups of `layout` in, and what of its zones is boot memory; or the reason why these are not known.
    ///
    /// # Errors
    /// See [`GuestError`]; that the guest's kernel does not tell is none.
    pub fn add_groups(&mut self, layout: &mut Layout) -> Result<(), GuestError> {
        let membership: Membership = match self.ask(Action::Groups) {
            Ok(membership) => membership,
            Err(GuestError::Refused(failure)) => {
                layout.groups_unknown = Some(failure.to_string());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for block in &mut layout.blocks {
            let place = membership.blocks.binary_search_by_key(&block.index, |(index, _)| *index);
            let number = place.ok().map(|place| membership.blocks[place].1);
            block.group = membership.groups.iter().find(|group| Some(group.id) == number).cloned();
        }
        for zone in &mut layout.zones {
            let mut early = membership.early.iter();
            let here = early.find(|early| early.node == zone.node && early.zone == zone.name);
            zone.present_early = here.map(|early| early.pages);
        }
        Ok(())
    }

    /// Runs `argv` with `stdin` as its input and waits for its end.
    ///
    /// # Errors
    /// When it could not be run; how it ended is part of the answer.
    pub fn exec<S: AsRef<str>>(&mut self, argv: &[S], stdin: &[u8]) -> Result<Executed, GuestError> {
        let argv = argv.iter().map(|word| word.as_ref().to_owned()).collect();
        self.ask(Action::Exec { argv, stdin: Bytes(stdin.to_vec()) })
    }

    /// Onlines `blocks`, to the kind of zone given or as the guest's policy says. Each block has its
    /// own result.
    ///
    /// # Errors
    /// See [`GuestError`].
    pub fn online(
        &mut self,
        blocks: &BlockList,
        zone: Option<ZoneKind>,
    ) -> Result<Vec<BlockResult>, GuestError> {
        self.ask(Action::Online { blocks: blocks.clone(), zone })
    }

    /// Offlines `blocks`. Each block has its own result.
    ///
    /// # Errors
    /// See [`GuestError`].
    pub fn offline(&mut self, blocks: &BlockList) -> Result<Vec<BlockResult>, GuestError> {
        self.ask(Action::Offline { blocks: blocks.clone() })
    }

    /// Sets a policy parameter.
    ///
    /// # Errors
    /// [`GuestError::Refused`] with the kernel's error number, among others.
    pub fn set(&mut self, name: Parameter, value: &str) -> Result<(), GuestError> {
        self.ask(Action::Set { name, value: value.to_owned() })
    }

    /// Has the guest begin to eject the ACPI memory device in `slot`.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when it has no such device, among others.
    pub fn eject(&mut self, slot: u32) -> Result<(), GuestError> {
        self.ask(Action::Eject { slot })
    }

    /// The kernel's log from record `since` on.
    ///
    /// # Errors
    /// See [`GuestError`].
    pub fn kernel_log(&mut self, since: u64) -> Result<KernelLog, GuestError> {
        self.ask(Action::KernelLog { since })
    }

    /// Loads an optional module of the initramfs and what it needs.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when the image has no such module, among others.
    pub fn load_module(&mut self, name: &str) -> Result<(), GuestError> {
        self.ask(Action::LoadModule { name: name.to_owned() })
    }

    /// Removes a module that [`load_module`](Self::load_module) loaded.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when it is in use, among others.
    pub fn unload_module(&mut self, name: &str) -> Result<(), GuestError> {
        self.ask(Action::UnloadModule { name: name.to_owned() })
    }

    /// Reads physical memory that the guest's kernel does not claim.
    ///
    /// # Errors
    /// [`GuestError::Refused`] with `EPERM` when the kernel does claim it, among others.
    pub fn peek(&mut self, address: u64, count: usize) -> Result<Vec<u8>, GuestError> {
        self.ask(Action::Peek { address, count }).map(|bytes: Bytes| bytes.0)
    }

    /// Writes physical memory that the guest's kernel does not claim.
    ///
    /// # Errors
    /// As for [`peek`](Self::peek).
    pub fn poke(&mut self, address: u64, bytes: &[u8]) -> Result<(), GuestError> {
        self.ask(Action::Poke { address, bytes: Bytes(bytes.to_vec()) })
    }

    /// Holds a page of one of `blocks`, which then cannot be offlined.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when no free memory lies there, among others.
    pub fn pin(&mut self, blocks: &BlockList) -> Result<Pinned, GuestError> {
        self.ask(Action::Pin { blocks: blocks.clone() })
    }

    /// Lets the page at the physical address `address` go.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when it is not held, among others.
    pub fn unpin(&mut self, address: u64) -> Result<(), GuestError> {
        self.ask(Action::Unpin { address })
    }

    /// Loads another kernel.
    ///
    /// # Errors
    /// [`GuestError::Refused`] with the kernel's error number, among others.
    pub fn kexec_load(&mut self, load: &KexecLoad) -> Result<(), GuestError> {
        self.ask(Action::KexecLoad(load.clone()))
    }

    /// Has the guest go over to the loaded kernel; wait for it with a new connection.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when none is loaded, among others.
    pub fn kexec(&mut self) -> Result<(), GuestError> {
        self.ask(Action::Kexec)
    }

    /// Makes the guest's kernel panic.
    ///
    /// # Errors
    /// See [`GuestError`]; that the machine is gone before it answered is none.
    pub fn crash(&mut self) -> Result<(), GuestError> {
        self.end(Action::Crash)
    }

    /// Has the guest switch itself off.
    ///
    /// # Errors
    /// See [`GuestError`]; that the machine is gone before it answered is none.
    pub fn power_off(&mut self) -> Result<(), GuestError> {
        self.end(Action::Poweroff)
    }

    /// Has the guest restart itself.
    ///
    /// # Errors
    /// See [`GuestError`]; that the machine is gone before it answered is none.
    pub fn reboot(&mut self) -> Result<(), GuestError> {
        self.end(Action::Reboot)
    }

    fn end(&mut self, action: Action) -> Result<(), GuestError> {
        match self.ask(action) {
            Err(GuestError::Closed(_)) => Ok(()),
            result => result,
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, action: Action) -> Result<T, GuestError> {
        self.ask_within(action, self.patience)
    }
}

#[cfg(test)]
mod tests;
