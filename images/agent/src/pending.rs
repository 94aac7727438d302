//! Why a layout may still change by itself: kernel threads at work on memory hotplug, and requests
//! of the agent's own that are under way.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Work queues whose work can add or remove memory. The kernel names a worker that is executing
/// `kworker/…+QUEUE` (`wq_worker_comm` in kernel/workqueue.c); `kacpid` runs the firmware's methods,
/// `kacpi_notify` takes its notifications, `kacpi_hotplug` adds and ejects devices (both
/// drivers/acpi/osl.c), and virtio-mem works on `events_freezable` (`system_freezable_wq`).
const QUEUES: [&str; 4] = ["kacpi_hotplug", "kacpi_notify", "kacpid", "events_freezable"];

/// The process id of kthreadd, the parent of all kernel threads.
const KTHREADD: &str = "2";

/// A line of /proc/PID/stat, as far as it matters here (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    name: &'a str,
    state: &'a str,
    parent: &'a str,
}

impl<'a> Stat<'a> {
    /// The name may itself hold spaces and parentheses, so it ends at the last one.
    fn parse(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        let mut words = rest.split_ascii_whitespace();
        Some(Self { name, state: words.next()?, parent: words.next()? })
    }

    /// What this thread is doing to memory, if it is a kernel thread that may be.
    fn reason(&self) -> Option<String> {
        if self.parent != KTHREADD {
            return None;
        }
        if let Some((worker, queue)) = self.name.split_once('+') {
            let known = worker.starts_with("kworker/") && QUEUES.contains(&queue);
            return known.then(|| format!("kernel worker {worker} runs {queue}"));
        }
        // The threaded interrupt handler of a Generic Event Device (`irq/9-ACPI:Ged`) or of the SCI
        // (`irq/9-acpi`); it sleeps (S) when idle and waits uninterruptibly (D) inside the
        // firmware's methods.
        let acpi = self.name.starts_with("irq/") && self.name.to_ascii_lowercase().contains("-acpi");
        let busy = acpi && self.state != "S";
        busy.then(|| format!("kernel thread {} handles an ACPI event", self.name))
    }
}

/// What kernel threads are doing to memory, by their lines of /proc/PID/stat.
pub fn kernel_threads(stats: impl Iterator<Item = String>) -> Vec<String> {
    stats.filter_map(|line| Stat::parse(&line)?.reason()).collect()
}

/// The agent's own requests that may change the layout while they run.
#[derive(Debug, Default)]
pub struct InFlight {
    requests: Mutex<(u64, BTreeMap<u64, String>)>,
}

/// Keeps a request in [`InFlight`] until it is dropped.
#[derive(Debug)]
#[must_use = "the request counts as under way until this is dropped"]
pub struct Ticket<'a> {
    all: &'a InFlight,
    number: u64,
}

impl InFlight {
    /// Counts `what` as under way until the ticket is dropped.
    pub fn begin(&self, what: String) -> Ticket<'_> {
        let mut requests = self.lock();
        requests.0 += 1;
        let number = requests.0;
        requests.1.insert(number, what);
        Ticket { all: self, number }
    }

    /// What is under way, in the order in which it began.
    pub fn reasons(&self) -> Vec<String> {
        self.lock().1.values().map(|what| format!("the agent is still at \"{what}\"")).collect()
    }

    /// The list is whole after every statement, so a panic elsewhere cannot have broken it.
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, String>)> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.all.lock().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> Option<String> {
        Stat::parse(line).unwrap().reason()
    }

    #[test]
    fn only_workers_that_execute_hotplug_work_count() {
        assert_eq!(
            reason("57 (kworker/u2:1+kacpi_hotplug) D 2 0 0 0 -1 69238880 0").unwrap(),
            "kernel worker kworker/u2:1 runs kacpi_hotplug"
        );
        for queue in QUEUES {
            assert!(reason(&format!("9 (kworker/0:1+{queue}) I 2 0 0")).is_some(), "{queue}");
            assert!(reason(&format!("9 (kworker/0:1-{queue}) I 2 0 0")).is_none(), "{queue} is idle");
            assert!(reason(&format!("9 (kworker/0:1+{queue}) S 1 0 0")).is_none(), "a process in disguise");
        }
        for quiet in
            ["kworker/0:1+events", "kworker/0:0-events_freezable", "kworker/0:1H", "kthreadd", "x+kacpid"]
        {
            assert_eq!(reason(&format!("9 ({quiet}) I 2 0 0")), None, "{quiet}");
        }
    }

    #[test]
    fn an_acpi_interrupt_thread_counts_while_it_is_awake() {
        assert!(reason("31 (irq/9-ACPI:Ged) D 2 0 0").is_some());
        assert!(reason("31 (irq/9-acpi) R 2 0 0").is_some());
        assert!(reason("31 (irq/9-ACPI:Ged) S 2 0 0").is_none());
        assert!(reason("31 (irq/24-virtio0) R 2 0 0").is_none());
    }

    #[test]
    fn names_with_parentheses_and_spaces_are_read_whole() {
        let stat = Stat::parse("77 (a) R 2 (b c) S 1 0").unwrap();
        assert_eq!(stat, Stat { name: "a) R 2 (b c", state: "S", parent: "1" });
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn a_request_is_under_way_until_its_ticket_is_dropped() {
        let in_flight = InFlight::default();
        let offline = in_flight.begin("offline 60".into());
        let online = in_flight.begin("online 48".into());
        assert_eq!(in_flight.reasons().len(), 2);
        drop(offline);
        assert_eq!(in_flight.reasons(), ["the agent is still at \"online 48\""]);
        drop(online);
        assert_eq!(in_flight.reasons(), Vec::<String>::new());
    }
}
