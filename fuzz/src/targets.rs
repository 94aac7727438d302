//! The targets by name.

mod agent;
mod clients;
mod command_line;
mod dimm;
mod images;
mod kernel;
mod legacy;
mod places;
mod processors;
mod scenario;
mod snapshot;
mod virtio;
mod virtio_mem;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name; that of its folder in `corpus/` and, if there is one, of its file in `dictionaries/`.
    pub name: &'static str,
    /// What the bytes are, and what is held against what.
    pub about: &'static str,
    /// Takes any bytes; panics when a rule is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "virtio-rng",
        about: "a driver of the random bytes device: what it writes, marks, and says with its line",
        run: virtio::rng,
    },
    Target { name: "virtio-balloon", about: "a driver of the balloon: the same rules", run: virtio::balloon },
    Target {
        name: "virtio-console",
        about: "a driver of the agent's port: the same rules",
        run: virtio::console,
    },
    Target {
        name: "virtio-block",
        about: "a driver of a disk: the same rules, and no job leaves the disk",
        run: virtio::block,
    },
    Target {
        name: "virtio-pmem",
        about: "a driver of persistent memory: the same rules, and each flush is answered as it went",
        run: virtio::pmem,
    },
    Target {
        name: "virtio-net",
        about: "a driver of a network device: the same rules, and frames have bounds",
        run: virtio::net,
    },
    Target {
        name: "virtio-vsock",
        about: "a driver of the socket device: the same rules, and packets have bounds",
        run: virtio::vsock,
    },
    Target {
        name: "virtio-mem",
        about: "a driver of virtio-mem as above; what the device has is what the host backs",
        run: virtio::mem,
    },
    Target {
        name: "virtio-mem-model",
        about: "requests, faults of the host and resets, held against a list of blocks",
        run: virtio_mem::model,
    },
    Target {
        name: "places",
        about: "virtio-mem devices that come to places and go, held against a list; a saved state goes on",
        run: places::devices,
    },
    Target {
        name: "dimm",
        about: "hosts and guests of DIMM slots: books, host memory and registers agree; a saved state goes on",
        run: dimm::slots,
    },
    Target {
        name: "processors",
        about: "hosts and guests of processor slots: seats, status and registers agree; a saved state goes on",
        run: processors::slots,
    },
    Target {
        name: "legacy",
        about: "accesses of all widths to every other register; a restored twin answers the same",
        run: legacy::registers,
    },
    Target {
        name: "kernel",
        about: "a kernel image: it is refused, or lies in RAM, as does where it is entered",
        run: kernel::image,
    },
    Target {
        name: "snapshot-state",
        about: "a snapshot's state and manifest: what is read is written as the same, and again read",
        run: snapshot::state,
    },
    Target {
        name: "snapshot-memory",
        about: "pieces and runs of differences, held against a search page by page",
        run: snapshot::memory,
    },
    Target {
        name: "command-line",
        about: "arguments of dimmer: refused with words, or a machine that says of itself the same again",
        run: command_line::arguments,
    },
    Target {
        name: "rest",
        about: "what clients write to the API's socket: every request has an answer with a meaning, and JSON in it",
        run: clients::rest,
    },
    Target {
        name: "qmp",
        about: "what clients write to QMP's socket: every line is one of QMP's, and each message has its answer",
        run: clients::qmp,
    },
    Target {
        name: "scenario",
        about: "scenario files: what is read is written as the same; a prediction has every block once",
        run: scenario::file,
    },
    Target {
        name: "agent-frames",
        about: "frames and command lines between hosts: what is read is written as the same bytes",
        run: agent::frames,
    },
    Target {
        name: "agent-protocol",
        about: "lines of the guest agent, both ways: what is read is written as the same",
        run: agent::lines,
    },
    Target {
        name: "kernel-package",
        about: "compressed kernels and what apt says: a kernel comes out or an error, and no word that was not there",
        run: images::package,
    },
];
