//! Machines that are kept warm for tests: booted once for each setup and standing still, while each test has a child.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dimmer::ctl::client::Method;

use super::{Setup, TestVm, VmError};

/// Machines that this process keeps, at most; each takes some 300 MiB of its host.
const MOST: usize = 3;

/// Each with its setup, the one that was wanted last at the end.
static KEPT: Mutex<Vec<(String, Shared)>> = Mutex::new(Vec::new());

/// A machine, once somebody has booted it.
type Shared = Arc<Mutex<Option<TestVm>>>;

impl Setup<'_> {
    /// As [`boot`](Self::boot), for a setup that several tests have in common: the machine is the child of one that has
    /// booted and been left alone since.
    ///
    /// # Errors
    /// [`VmError`] with the console's last lines.
    pub fn forked(self) -> Result<TestVm, VmError> {
        let shared = kept(&self.key());
        let mut warm = lock(&shared);
        if warm.is_none() {
            let vm = self.boot()?;
            vm.rest.tell(Method::PUT, "/vm.pause", None)?;
            *warm = Some(vm);
        }
        warm.as_ref().expect("it has just been booted").fork()
    }
}

/// Ends all machines that are kept warm.
pub fn cool_down() {
    lock(&KEPT).clear();
}

/// The machine with this setup. Others go when there are too many; a test that is about to fork one has it still.
fn kept(key: &str) -> Shared {
    let mut all = lock(&KEPT);
    let found = all.iter().position(|(known, _)| known == key).map(|place| all.remove(place).1);
    let shared = found.unwrap_or_default();
    all.push((key.to_owned(), shared.clone()));
    let many = all.len().saturating_sub(MOST);
    let gone: Vec<_> = all.drain(..many).collect();
    drop(all);
    drop(gone);
    shared
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
