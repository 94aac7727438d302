//! A program that PID 1 keeps running.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitStatus};

use super::{SERVE, complain, console};

/// Least time between two starts of the same program.
const PAUSE: Duration = Duration::from_secs(1);

/// A program that is started again when it ends.
#[derive(Debug)]
pub struct Service {
    /// Makes the command; none of its resources are held while it runs.
    command: fn() -> io::Result<Command>,
    /// Whether its success means that it is not needed.
    may_retire: bool,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Due(Instant),
    Running { pid: Pid, started: Instant },
    Retired,
}

impl Service {
    /// The agent; it ends successfully only when there is no port for it to serve.
    pub fn agent() -> Self {
        let command = || {
            let mut command = Command::new("/proc/self/exe");
            command.arg(SERVE);
            Ok(command)
        };
        Self { command, may_retire: true, state: State::Due(Instant::now()) }
    }

    /// A shell on the console.
    pub fn console() -> Self {
        Self { command: console::shell, may_retire: false, state: State::Due(Instant::now()) }
    }

    /// When it wants to be started; `None` while it runs or is not needed.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(due) => Some(due),
            State::Running { .. } | State::Retired => None,
        }
    }

    /// Starts it if its time has come. One that cannot be started will not be tried again.
    pub fn start_if_due(&mut self, now: Instant) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        // Dropping the handle leaves the child to PID 1's reaping.
        let child = (self.command)().and_then(|mut command| command.spawn());
        self.state = match child {
            Ok(child) => State::Running { pid: Pid::from_child(&child), started: now },
            Err(error) => {
                complain(&error);
                State::Retired
            }
        };
    }

    /// Takes notice that process `ended` has ended, which may have been this one.
    pub fn ended(&mut self, ended: Pid, status: WaitStatus) {
        if let State::Running { pid, started } = self.state
            && pid == ended
        {
            let done = self.may_retire && status.exit_status() == Some(0);
            self.state = if done { State::Retired } else { State::Due(started + PAUSE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};

    fn service(command: fn() -> io::Result<Command>, may_retire: bool, due: Instant) -> Service {
        Service { command, may_retire, state: State::Due(due) }
    }

    /// Starts `service` and lets it end.
    fn run(service: &mut Service, now: Instant) {
        service.start_if_due(now);
        let State::Running { pid, .. } = service.state else { panic!("{service:?} does not run") };
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        service.ended(pid, status);
    }

    #[test]
    fn what_ended_is_due_again_but_not_at_once() {
        let now = Instant::now();
        let mut service = service(|| Ok(Command::new("true")), false, now);
        run(&mut service, now);
        assert_eq!(service.due(), Some(now + PAUSE));
        service.start_if_due(now);
        assert_eq!(service.due(), Some(now + PAUSE), "it is not due yet");
        run(&mut service, now + PAUSE);
        assert_eq!(service.due(), Some(now + PAUSE + PAUSE));
    }

    #[test]
    fn only_success_retires_what_may_retire() {
        let now = Instant::now();
        let mut done = service(|| Ok(Command::new("true")), true, now);
        run(&mut done, now);
        assert_eq!(done.state, State::Retired);
        let mut failed = service(|| Ok(Command::new("false")), true, now);
        run(&mut failed, now);
        assert_eq!(failed.due(), Some(now + PAUSE));
    }

    #[test]
    fn the_end_of_another_process_is_none_of_its_business() {
        let mut service = service(
            || {
                let mut command = Command::new("sleep");
                command.arg("60");
                Ok(command)
            },
            false,
            Instant::now(),
        );
        service.start_if_due(Instant::now());
        let State::Running { pid, .. } = service.state else { panic!("{service:?} does not run") };
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        service.ended(Pid::from_raw(1).unwrap(), status);
        assert_eq!(service.due(), None);
    }

    #[test]
    fn what_cannot_be_started_is_given_up() {
        let now = Instant::now();
        let mut service = service(|| Ok(Command::new("/no/such/program")), false, now);
        service.start_if_due(now);
        assert_eq!(service.state, State::Retired);
    }
}
