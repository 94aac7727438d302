//! The thread that writes snapshots, and images for forks, one at a time. It is there from the start: what it may do on the host is
//! more than any other thread may, which could not start it later.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use super::{Written, refused};
use crate::control::Refusal;
use crate::defect;
use crate::machine::boot::Files;
use crate::machine::ram::Ram;
use crate::machine::wake::{Wake, Waker};
use crate::sandbox::{self, Kind};
use crate::snapshot::memory::Put;
use crate::snapshot::state::FileMark;
use crate::snapshot::{self, MachineState, Which};

/// See the module. The thread ends when this is dropped, and what it writes then is written.
#[derive(Debug)]
pub struct Writer(Sender<(Work, Sender<Written>)>);

/// What the thread has to do.
#[derive(Debug)]
pub struct Work {
    /// Where the snapshot is to be, and which it is; for an image nowhere.
    pub place: Option<(PathBuf, Which)>,
    /// All but the memory.
    pub state: MachineState,
    /// What a reset boots.
    pub files: Arc<Files>,
    /// The memory.
    pub ram: Arc<Ram>,
    /// Whether nobody wants it any more.
    pub given_up: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread, which wakes `waker` when something is written.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start(waker: Waker) -> io::Result<Self> {
        let (give, take) = mpsc::channel::<(Work, Sender<Written>)>();
        let work = move || {
            while let Ok((work, done)) = take.recv() {
                let written = catch_unwind(AssertUnwindSafe(|| work.write())).unwrap_or_else(|panic| {
                    let words = defect::words(&*panic);
                    Err(Refusal::Host(format!("the snapshot met a defect: {words}")))
                });
                // Who gave it up waits for it all the same.
                drop(done.send(written));
                waker.wake(Wake::Saved);
            }
        };
        sandbox::spawn(Kind::Snapshot, "snapshot", work)?;
        Ok(Self(give))
    }

    /// Begins; what comes of it is received once.
    pub fn begin(&self, work: Work) -> Receiver<Written> {
        let (done, written) = mpsc::channel();
        // A thread that has ended says nothing, which its receiver hears.
        drop(self.0.send((work, done)));
        written
    }
}

impl Work {
    fn write(self) -> Written {
        let Self { place, state, files, ram, given_up } = self;
        let pieces = state.memory.pieces.clone();
        let go_on = || !given_up.load(Ordering::Relaxed);
        let save =
            |runs: Option<&[_]>, put: Put<'_>, sum: Option<&mut _>| ram.save(&pieces, runs, put, &go_on, sum);
        let Some((place, which)) = place else {
            let image = files.marks(FileMark::at_once);
            let length = state.memory_length();
            let save = |put: Put<'_>| save(None, put, None);
            let image = image.and_then(|files| snapshot::image::write(state, files, length, save));
            return image
                .map(Some::<File>)
                .map_err(|error| Refusal::Host(format!("an image for the fork: {error}")));
        };
        let written = snapshot::write(&place, which, state, || files.marks(FileMark::of), save);
        written.map(|()| None).map_err(refused)
    }
}
