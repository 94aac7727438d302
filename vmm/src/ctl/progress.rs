//! What a person sees of a change while `--wait` waits for its end: how far it is, how fast, and what holds it up. On a terminal
//! only; whoever reads what is said otherwise hears of the end.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use dimmer_devices::memory::{Kind, MemoryStatus, State};
use indicatif::{ProgressBar, ProgressStyle};

use super::client::{Client, Method};
use crate::units::Bytes;

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A change that has not moved for so long is said to stand still.
const STILL: Duration = Duration::from_secs(3);
/// How it looks.
const STYLE: &str = "{prefix} [{bar:30}] {msg}";

/// Waits for `answer`, and shows meanwhile how the change goes of which it tells.
pub async fn shown<T>(socket: &Path, answer: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return answer.await;
    }
    let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template(STYLE).expect("it is one"));
    let answer = {
        let (mut answer, watching) = (pin!(answer), pin!(watch(socket, &bar)));
        tokio::select! {
            answer = &mut answer => answer,
            () = watching => answer.await,
        }
    };
    bar.finish_and_clear();
    answer
}

/// Shows the change that is under way, until there is nothing that could be asked.
async fn watch(socket: &Path, bar: &ProgressBar) {
    let Ok(mut client) = Client::connect(socket).await else { return };
    let mut change: Option<Change> = None;
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Ok(answer) = client.ask(Method::GET, "/memory-devices", None::<&()>).await else { return };
        let Ok(devices) = serde_json::from_slice::<Vec<MemoryStatus>>(&answer.body) else { return };
        let Some(device) = devices.iter().find(|device| is_changing(device.state)) else { continue };
        let now = Instant::now();
        let change = match &mut change {
            Some(change) if change.id == device.id => change,
            other => other.insert(Change::new(device, now)),
        };
        change.look(device, now);
        bar.set_prefix(device.id.clone());
        bar.set_length(change.all(device).max(1));
        bar.set_position(change.done(device));
        bar.set_message(change.text(device, now));
    }
}

const fn is_changing(state: State) -> bool {
    matches!(state, State::Plugging | State::Unplugging)
}

/// A change since it was first seen.
#[derive(Debug)]
struct Change {
    id: String,
    begun: Instant,
    from: u64,
    /// What was plugged at the last look, and since when.
    last: (u64, Instant),
}

impl Change {
    fn new(device: &MemoryStatus, now: Instant) -> Self {
        let plugged = device.plugged_size;
        Self { id: device.id.clone(), begun: now, from: plugged, last: (plugged, now) }
    }

    fn look(&mut self, device: &MemoryStatus, now: Instant) {
        if self.last.0 != device.plugged_size {
            self.last = (device.plugged_size, now);
        }
    }

    fn done(&self, device: &MemoryStatus) -> u64 {
        device.plugged_size.abs_diff(self.from)
    }

    fn all(&self, device: &MemoryStatus) -> u64 {
        wanted(device).abs_diff(self.from)
    }

    fn text(&self, device: &MemoryStatus, now: Instant) -> String {
        let (plugged, wanted) = (Bytes(device.plugged_size), Bytes(wanted(device)));
        let seconds = now.duration_since(self.begun).as_secs();
        let rate = self.done(device).checked_div(seconds).unwrap_or(0) >> 20;
        let still = now.duration_since(self.last.1);
        let how = match &device.waits_for {
            Some(other) => format!(", waits for the ejection of {other}"),
            None if still >= STILL => format!(", the guest has not moved for {} s", still.as_secs()),
            None if rate > 0 => format!(", {rate} MiB/s"),
            None => String::new(),
        };
        format!("{plugged} plugged, {wanted} wanted{how}")
    }
}

/// Bytes that are to be plugged at the end: none of a DIMM that is to go.
fn wanted(device: &MemoryStatus) -> u64 {
    let goes = device.kind == Kind::Dimm && device.state == State::Unplugging;
    if goes { 0 } else { device.requested_size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fake::device;
    use crate::units::GIB;

    fn growing(plugged: u64) -> MemoryStatus {
        MemoryStatus { plugged_size: plugged, requested_size: 8 * GIB, ..device("vmem0", State::Plugging) }
    }

    #[test]
    fn a_change_is_measured_from_where_it_was_first_seen() {
        let begun = Instant::now();
        let mut change = Change::new(&growing(2 * GIB), begun);
        let (later, now) = (growing(5 * GIB), begun + Duration::from_secs(3));
        change.look(&later, now);
        assert_eq!((change.done(&later), change.all(&later)), (3 * GIB, 6 * GIB));
        assert_eq!(change.text(&later, now), "5 GiB plugged, 8 GiB wanted, 1024 MiB/s");
        let still = now + Duration::from_secs(9);
        change.look(&later, still);
        let said = "5 GiB plugged, 8 GiB wanted, the guest has not moved for 9 s";
        assert_eq!(change.text(&later, still), said);
        let waits = MemoryStatus { waits_for: Some("d0".to_owned()), ..later };
        assert!(change.text(&waits, still).ends_with(", waits for the ejection of d0"));
    }

    #[test]
    fn a_dimm_that_is_to_go_ends_with_nothing() {
        let dimm = MemoryStatus { kind: Kind::Dimm, plugged_size: GIB, ..device("d0", State::Unplugging) };
        let change = Change::new(&dimm, Instant::now());
        assert_eq!((wanted(&dimm), change.all(&dimm)), (0, GIB));
        assert_eq!(change.text(&dimm, change.begun), "1 GiB plugged, 0 bytes wanted");
    }
}
