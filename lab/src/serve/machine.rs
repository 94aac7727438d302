//! A machine with its sockets, watched all the time, and what it showed last.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;

use tokio::sync::watch::{Receiver, Sender, channel};

use super::history::History;
use super::playground::Shown;
use crate::map::act::Sockets;
use crate::map::seen::Seen;
use crate::map::watch::{Look, Watch};

/// A machine as it is named on the command line.
#[derive(Debug, Clone)]
pub struct Address {
    /// What the page calls it.
    pub name: String,
    /// Where it is.
    pub sockets: Sockets,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(format!("{name:?} is no name: letters, digits, '-', '_' and '.'"));
        }
        let (mut api, mut agent) = (None, None);
        for part in parts {
            let (place, path) = match part.split_once('=') {
                Some(("api", path)) => (&mut api, path),
                Some(("agent", path)) => (&mut agent, path),
                _ => return Err(format!("{part:?} is neither api=PATH nor agent=PATH")),
            };
            if path.is_empty() || place.replace(PathBuf::from(path)).is_some() {
                return Err(format!("{part:?}: api=PATH and agent=PATH, each once"));
            }
        }
        let (api, agent) = api.zip(agent).ok_or("api=PATH and agent=PATH must both be there")?;
        Ok(Self { name: name.to_owned(), sockets: Sockets { api, agent } })
    }
}

/// What a machine showed last.
#[derive(Debug, Default)]
pub struct Latest {
    /// Machine and guest; nothing before the first look.
    pub seen: Option<Arc<Seen>>,
    /// The same as the page draws it, as JSON.
    pub shown: Arc<str>,
    /// 1 for the first `shown`, and one more whenever it changes.
    pub number: u64,
    /// One more whenever events begin to be counted anew, since another machine listens there.
    pub start: u64,
    /// Why nothing newer was seen, if there is a reason.
    pub trouble: Option<String>,
    /// Sizes and zones.
    pub history: History,
}

impl Latest {
    /// Takes in what a look came to; whether anything is new.
    pub fn take(&mut self, look: Look) -> bool {
        match look {
            Look::Nothing(why) => {
                let is_new = self.trouble.as_ref() != Some(&why);
                self.trouble = Some(why);
                is_new
            }
            Look::Seen(seen) => {
                let was_in_trouble = self.trouble.take().is_some();
                if self.seen.as_deref() == Some(&seen) {
                    return was_in_trouble;
                }
                let last = |seen: &Seen| seen.events.last().map_or(0, |event| event.sequence);
                if self.seen.as_ref().is_some_and(|before| last(before) > last(&seen)) {
                    self.start += 1;
                }
                self.history.add(&seen);
                self.shown = Shown::of(&seen).to_json().into();
                self.number += 1;
                self.seen = Some(Arc::new(*seen));
                true
            }
        }
    }
}

/// A machine that is watched.
#[derive(Debug)]
pub struct Machine {
    /// What the page calls it.
    pub name: String,
    /// Where it is.
    pub sockets: Sockets,
    /// What it showed last.
    pub latest: Receiver<Latest>,
}

impl Machine {
    /// Watches a machine in a thread of its own, for as long as anybody wants to know.
    ///
    /// # Errors
    /// When the host gives no event loop or thread.
    pub fn watch(address: Address) -> io::Result<Self> {
        let Address { name, sockets } = address;
        let watch = Watch::new(sockets.clone())?;
        let (sender, latest) = channel(Latest::default());
        let thread = thread::Builder::new().name(format!("watch {name}"));
        thread.spawn(move || watch.run(|look| publish(&sender, look)))?;
        Ok(Self { name, sockets, latest })
    }
}

fn publish(sender: &Sender<Latest>, look: Look) -> bool {
    sender.send_if_modified(|latest| latest.take(look));
    !sender.is_closed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample;

    #[test]
    fn a_machine_is_a_name_and_two_sockets() {
        let address: Address = "vm-1,agent=/run/a,api=/run/b".parse().unwrap();
        assert_eq!((address.name.as_str(), address.sockets.api.to_str()), ("vm-1", Some("/run/b")));
        for (text, why) in [
            ("", "is no name"),
            ("a/b,api=x,agent=y", "is no name"),
            ("vm,api=x", "must both be there"),
            ("vm,api=x,api=y", "each once"),
            ("vm,api=x,agent=", "each once"),
            ("vm,socket=x", "neither api=PATH nor agent=PATH"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_the_same_is_no_news() {
        let mut latest = Latest::default();
        let seen = || Look::Seen(Box::new(sample::seen()));
        assert!(latest.take(Look::Nothing("gone".to_owned())));
        assert!(!latest.take(Look::Nothing("gone".to_owned())));
        assert!(latest.take(seen()));
        assert!(!latest.take(seen()));
        assert!(latest.take(Look::Nothing("silent".to_owned())));
        assert!(latest.take(seen()), "the trouble is over");
        assert_eq!((latest.number, latest.start), (1, 0));
    }
}
