//! How fast a machine answers who asks about it.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::{Column, EVERY, Ground, Measure, Run, milliseconds, time, timed};
use crate::bench::Error;
use crate::bench::machine::{Machine, Running};
use crate::bench::peer::Control;
use crate::bench::statistics::quantile;

pub static API: Measure = Measure {
    name: "api",
    about: "The state of a machine whose guest is idle (`GET /vm.info`, QMP's `query-status`), asked over connections that \
        stay: the first answer, and of many answers the time below which half and 99 of 100 lie, with one client and with \
        sixteen at once, where the program takes so many.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 5] = [
    time("the first answer"),
    time("one client, half"),
    time("one client, 99 of 100"),
    time("16 clients, half"),
    time("16 clients, 99 of 100"),
];
const CLIENTS: usize = 16;
const QUESTIONS: usize = 640;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let mut vm = ground.boot(&Machine { clients: CLIENTS, ..Machine::default() })?;
    let mut first = vm.control(0)?;
    let mut values = vec![Some(timed(|| first.ask())?)];
    let mut times = ask(vec![first], QUESTIONS)?;
    values.extend([quantile(&mut times, 500), quantile(&mut times, 990)]);
    match sixteen(&mut vm) {
        Ok(mut times) => values.extend([quantile(&mut times, 500), quantile(&mut times, 990)]),
        // Not every program takes so many at a time.
        Err(_) => values.extend([None, None]),
    }
    Ok(values)
}

fn sixteen(vm: &mut Running) -> Result<Vec<f64>, Error> {
    let clients = (0..CLIENTS).map(|number| vm.control(number)).collect::<Result<Vec<_>, Error>>()?;
    ask(clients, QUESTIONS / CLIENTS)
}

/// What each answer took, of all clients together.
fn ask(clients: Vec<Box<dyn Control>>, questions: usize) -> Result<Vec<f64>, Error> {
    let start = Barrier::new(clients.len());
    let one = |mut client: Box<dyn Control>| {
        start.wait();
        let mut times = Vec::with_capacity(questions);
        for _ in 0..questions {
            let begun = Instant::now();
            client.ask().map_err(|error| error.to_string())?;
            times.push(milliseconds(begun.elapsed()));
        }
        Ok::<_, String>(times)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(|| one(client))).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a client panicked")??);
        }
        Ok(all)
    })
}
