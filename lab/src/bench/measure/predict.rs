//! What the oracle takes for a large machine, and as it grows.

use std::path::Path;

use dimmer_oracle::release::Release;

use super::{Column, EVERY, Measure, Run, time, timed};
use crate::bench::Error;
use crate::predict::forecast::{Moment, forecast, text};
use crate::scenario::Scenario;

pub static PREDICT: Measure = Measure {
    name: "predict",
    about: "What `dimmer-lab predict` says of a machine with a virtio-mem device and of 200 steps, resizes by ten blocks; here, \
        and not in the host: with 8,192 memory blocks of 128 MiB (1 TiB), with eight times as many, and with nearly 64 times \
        as many.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Here(run),
};

const COLUMNS: [Column; 3] = [time("8,192 blocks"), time("65,536 blocks"), time("524,224 blocks")];
const TIB: [u64; 3] = [1, 8, 64];
const STEPS: u64 = 200;

fn run() -> Result<Vec<Option<f64>>, Error> {
    TIB.iter().map(|&tib| timed(|| predict(&scenario(tib)?)).map(Some)).collect()
}

fn predict(scenario: &Scenario) -> Result<(), Error> {
    let mut all = String::new();
    forecast(scenario, Release::new(6, 12), |moment: Moment<'_>| {
        text::write(&moment, &mut all).map_err(Error::from)
    })?;
    if all.is_empty() { Err("nothing was predicted".into()) } else { Ok(()) }
}

/// A device that is grown to all it has and then swings by ten blocks.
fn scenario(tib: u64) -> Result<Scenario, Error> {
    // No CPU has room for more than 64 TiB, where boot RAM lies as well.
    let all = (tib << 10).min((64 << 10) - 8);
    let mut text = format!(
        "shows = \"a large machine\"\n[machine]\nmemory_hotplug = [\"method=virtio-mem,size={all}G\"]\n"
    );
    for step in 0..STEPS {
        let size = if step % 2 == 0 { all << 10 } else { (all << 10) - 10 * 128 };
        text += &format!("[[step]]\nresize = {{ to = \"{size}M\" }}\n");
    }
    Ok(Scenario::parse(&text, Path::new("steps"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenario_is_one_that_can_be_predicted() {
        let scenario = scenario(1).unwrap();
        assert_eq!(scenario.steps.len(), 200);
        predict(&scenario).unwrap();
    }
}
