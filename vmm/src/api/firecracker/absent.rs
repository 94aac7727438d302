//! The calls that have nothing behind them, by the first part of their path, and why.

const CALLS: [(&str, &str); 18] = [
    ("", "there is GET"),
    ("actions", "there is PUT"),
    (
        "balloon",
        "there are GET and PATCH of /balloon and /balloon/statistics; free pages are reported, not hinted",
    ),
    ("boot-source", "what is booted is said on the command line of dimmer run"),
    ("cpu-config", "the CPU is said on the command line of dimmer run"),
    ("drives", "disks are said on the command line: --disk"),
    ("entropy", "random bytes are said on the command line: --rng"),
    ("hotplug", "there are GET and PATCH of /hotplug/memory"),
    ("logger", "the log goes to standard error"),
    ("machine-config", "there is GET"),
    ("metrics", "there is GET"),
    ("mmds", "a machine of Dimmer has no metadata service"),
    ("network-interfaces", "network devices are said on the command line: --net"),
    ("pmem", "persistent memory is said on the command line: --pmem"),
    ("serial", "the serial console is said on the command line of dimmer run"),
    ("snapshot", "there is PUT of /snapshot/create; dimmer run --restore DIR goes on from a snapshot"),
    ("vm", "there is PATCH"),
    ("vsock", "the socket device is said on the command line: --vsock cid=N,path=PATH"),
];

/// Why a call of Firecracker's at `path` is not there; `None` for a path that is none of its.
pub fn why_not(path: &str) -> Option<&'static str> {
    let first = path.strip_prefix('/')?.split('/').next()?;
    CALLS.iter().find(|(name, _)| *name == first).map(|(_, why)| *why)
}
