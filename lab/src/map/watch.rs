//! Looking at machine and guest again and again.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use dimmer::ctl::client::Method;
use dimmer_devices::memory::{Kind, MemoryStatus};
use dimmer_devices::virtio_mem::RequestRecord;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::act::Sockets;
use super::events::Events;
use super::partly::partly;
use super::seen::Seen;
use crate::chain;
use crate::guest::{Guest, GuestError};
use crate::layout::Layout;
use crate::rest::{Rest, RestError};

/// How long at least to leave machine and guest alone between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// How many times the duration of a look to leave them alone, so that watching takes little of what they do.
const SHARE: u32 = 3;
/// How long the guest may take to answer before that is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a look came to.
#[derive(Debug)]
pub enum Look {
    /// What was seen.
    Seen(Box<Seen>),
    /// Why nothing new was.
    Nothing(String),
}

/// Somebody who looks.
#[derive(Debug)]
pub struct Watch {
    sockets: Sockets,
    rest: Rest,
    guest: Option<Guest>,
    layout: Layout,
    events: Events,
    /// The blocks of each virtio-mem device that are plugged in part, with the device as it was then.
    partly: HashMap<String, (MemoryStatus, BTreeMap<u64, u64>)>,
}

impl Watch {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the host gives no event loop.
    pub fn new(sockets: Sockets) -> std::io::Result<Self> {
        let rest = Rest::new(&sockets.api)?;
        let (guest, layout, events, partly) = Default::default();
        Ok(Self { sockets, rest, guest, layout, events, partly })
    }

    /// Looks, and hands over what each look came to, until that says that nobody wants to know any more.
    pub fn run(mut self, mut is_wanted: impl FnMut(Look) -> bool) {
        loop {
            let begun = Instant::now();
            let devices = match self.machine() {
                Ok(devices) => devices,
                Err(error) => {
                    if !is_wanted(Look::Nothing(chain(&error))) {
                        return;
                    }
                    // Another machine may come, whose events are counted anew.
                    self.events.clear();
                    std::thread::sleep(PAUSE * SHARE);
                    continue;
                }
            };
            let trouble = self.guest().err();
            let seen = self.seen(devices);
            let gone = seen.is_some_and(|seen| !is_wanted(Look::Seen(Box::new(seen))));
            let silent = trouble.map(|error| format!("the guest does not answer: {}", chain(&error)));
            if gone || silent.is_some_and(|why| !is_wanted(Look::Nothing(why))) {
                return;
            }
            std::thread::sleep(PAUSE.max(begun.elapsed() * SHARE).min(PATIENCE));
        }
    }

    /// Looks at the machine.
    fn machine(&mut self) -> Result<Vec<MemoryStatus>, RestError> {
        let devices = self.rest.tell(Method::GET, "/memory-devices", None)?;
        let news = self.rest.events_since(self.events.last())?;
        self.events.add(news.into_iter().filter_map(read));
        Ok(read(devices).unwrap_or_default())
    }

    /// Looks at the guest, of which a layout stays until there is another one.
    fn guest(&mut self) -> Result<(), GuestError> {
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => Guest::connect(&self.sockets.agent, PATIENCE)?,
        };
        guest.set_patience(PATIENCE);
        let layout = guest.layout().and_then(|mut layout| {
            guest.add_groups(&mut layout)?;
            Ok(layout)
        });
        if !matches!(layout, Err(GuestError::Closed(_) | GuestError::Connection(_))) {
            self.guest = Some(guest);
        }
        self.layout = layout?;
        Ok(())
    }

    /// Both together; nothing before there is a layout.
    fn seen(&mut self, devices: Vec<MemoryStatus>) -> Option<Seen> {
        if self.layout.block_size == 0 {
            return None;
        }
        let mut all = BTreeMap::new();
        for device in devices.iter().filter(|device| device.kind == Kind::VirtioMem) {
            let known = self.partly.get(&device.id).filter(|(known, _)| known == device);
            if known.is_none() {
                let requests = self.rest.requests(&device.id).unwrap_or_default();
                let requests: Vec<RequestRecord> = requests.into_iter().filter_map(read).collect();
                let partly = partly(device, &requests, self.layout.block_size);
                self.partly.insert(device.id.clone(), (device.clone(), partly));
            }
            all.extend(self.partly.get(&device.id).into_iter().flat_map(|(_, partly)| partly.clone()));
        }
        let (events, poisoned) = (self.events.told(), self.events.poisoned(self.layout.block_size));
        Some(Seen { layout: self.layout.clone(), devices, events, poisoned, partly: all })
    }
}

/// What a body says; nothing where it is not as documented, which another version's may be.
fn read<T: DeserializeOwned>(body: Value) -> Option<T> {
    serde_json::from_value(body).ok()
}
