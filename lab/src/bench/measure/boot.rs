//! From `exec` of the program to a guest that answers, and how much of it passed on the guest's own clock.

use std::thread;

use super::{Column, EVERY, Ground, Measure, Run, milliseconds, time};
use crate::bench::Error;
use crate::bench::machine::Machine;
use crate::guest::Guest;

pub static BOOT: Measure = Measure {
    name: "boot",
    about: "From `exec` of the program to the first line of the guest's first process; to the first answer of a shell on the \
        serial console, and how much of that the guest's own clock (`/proc/uptime`) does not know of; to the answer of the \
        lab's agent on its virtio port.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 4] = [
    time("init's first line"),
    time("the shell answers"),
    time("before the guest's clock"),
    time("the agent answers"),
];

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let mut vm = ground.start(&Machine::default(), "")?;
    let begun = vm.begun;
    let patience = std::time::Duration::from_secs(180);
    let path = vm.has_agent().then(|| vm.files.agent());
    let connect = move |path| Guest::connect(path, patience).map(|_| milliseconds(begun.elapsed()));
    let agent = path.map(|path| thread::spawn(move || connect(path)));
    let (init, _) = vm.console().expect("@init")?;
    let (answer, uptime) = vm.console().take_shell()?;
    let agent = agent.map(|agent| agent.join().map_err(|_| "the agent's client panicked")).transpose()?;
    let answer = milliseconds(answer - begun);
    let before = answer - milliseconds(uptime);
    Ok(vec![Some(milliseconds(init - begun)), Some(answer), Some(before), agent.transpose()?])
}
