//! The power button: an input device with a power key (Documentation/input/event-codes.rst).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;
/// Bytes of a `struct input_event` on x86-64: 16 of time, u16 type, u16 code, i32 value.
const EVENT: usize = 24;
/// Offset of the type in it.
const TYPE: usize = 16;

/// An open power button.
#[derive(Debug)]
pub struct PowerButton {
    events: File,
}

impl PowerButton {
    /// All input devices below `root` that have a power key and can be opened.
    pub fn all(root: &Path) -> Vec<Self> {
        let entries = fs::read_dir(root.join("sys/class/input")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let buttons = names.filter(|name| name.starts_with("event")).filter_map(|name| {
            let keys = root.join("sys/class/input").join(&name).join("device/capabilities/key");
            let keys = fs::read_to_string(keys).ok()?;
            has_key(&keys, KEY_POWER).then(|| Self::open(&root.join("dev/input").join(&name)).ok())?
        });
        buttons.collect()
    }

    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        Ok(Self { events: OpenOptions::new().read(true).custom_flags(flags).open(path)? })
    }

    /// Takes all events that are there: whether the key went down among them.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn is_pressed(&mut self) -> io::Result<bool> {
        let mut pressed = false;
        let mut buffer = [0; 16 * EVENT];
        loop {
            match self.events.read(&mut buffer) {
                Ok(0) => return Ok(pressed),
                Ok(length) => pressed |= buffer[..length].chunks_exact(EVENT).any(is_power_key_down),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(pressed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for PowerButton {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn is_power_key_down(event: &[u8]) -> bool {
    let u16_at = |offset| u16::from_ne_bytes([event[offset], event[offset + 1]]);
    let value = &event[TYPE + 4..];
    u16_at(TYPE) == EV_KEY && u16_at(TYPE + 2) == KEY_POWER && value == 1i32.to_ne_bytes()
}

/// Whether bit `key` is set in a bitmap as sysfs shows it: words of 64 bits in hexadecimal, the
/// lowest one last.
fn has_key(bitmap: &str, key: u16) -> bool {
    let word = bitmap.split_ascii_whitespace().rev().nth(usize::from(key / 64));
    word.and_then(|word| u64::from_str_radix(word, 16).ok()).is_some_and(|word| word >> (key % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut event = vec![0xaa; 16];
        event.extend(kind.to_ne_bytes());
        event.extend(code.to_ne_bytes());
        event.extend(value.to_ne_bytes());
        event
    }

    /// A root with a keyboard (event0) and a power button (event1) that has `events` to tell.
    fn root(events: &[Vec<u8>]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, keys) in [("event0", "fffffffffffffffe\n"), ("event1", "10000000000000 0\n")] {
            let capabilities = root.path().join(format!("sys/class/input/{name}/device/capabilities"));
            fs::create_dir_all(&capabilities).unwrap();
            fs::write(capabilities.join("key"), keys).unwrap();
        }
        fs::create_dir_all(root.path().join("dev/input")).unwrap();
        fs::write(root.path().join("dev/input/event1"), events.concat()).unwrap();
        root
    }

    #[test]
    fn pressing_the_button_is_seen_among_other_events() {
        let press = [event(4, 4, 1), event(EV_KEY, KEY_POWER, 1), event(0, 0, 0)];
        let root = root(&press);
        let [mut button] = <[_; 1]>::try_from(PowerButton::all(root.path())).unwrap();
        assert!(button.is_pressed().unwrap());
        assert!(!button.is_pressed().unwrap(), "each press counts once");
    }

    #[test]
    fn letting_go_and_other_keys_are_no_press() {
        let others = [event(EV_KEY, KEY_POWER, 0), event(EV_KEY, 30, 1), event(2, KEY_POWER, 1)];
        let root = root(&others);
        let mut buttons = PowerButton::all(root.path());
        assert!(!buttons[0].is_pressed().unwrap());
    }

    #[test]
    fn a_machine_without_a_button_has_none() {
        assert!(PowerButton::all(tempfile::tempdir().unwrap().path()).is_empty());
    }

    #[test]
    fn keys_are_bits_of_a_number_in_words() {
        assert!(has_key("10000000000000 0", 116));
        assert!(!has_key("10000000000000 0", 115));
        assert!(!has_key("10000000000000", 116), "there is no second word");
        assert!(has_key("1", 0));
        assert!(!has_key("", 116));
    }
}
