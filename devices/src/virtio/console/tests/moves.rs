//! Another machine goes on with the port.

use super::*;

impl Guest {
    /// Another console takes over, at whose host's end nobody is yet.
    fn moves_on(&mut self) {
        let state = serde_json::to_string(&self.driver.transport.state()).unwrap();
        let console = Console::new("dimmer.agent", Box::new(self.pipe.clone()), Box::new(|| ()));
        let mut other = VirtioMmio::new(console, self.driver.memory.clone(), self.driver.line.clone());
        other.restore(&serde_json::from_str(&state).unwrap()).unwrap();
        self.driver.transport = other;
    }
}

#[test]
fn what_was_half_sent_is_sent_once() {
    let mut guest = Guest::open(EVENT_INDEX);
    guest.set_room(3);
    guest.send(b"hello world");
    assert_eq!(guest.written(), b"hel");
    guest.moves_on();
    guest.set_room(usize::MAX);
    guest.driver.transport.set_host_open(true);
    guest.driver.transport.carry_on();
    assert_eq!(guest.written(), b"hello world");
    assert_eq!(guest.driver.used(TRANSMIT).len(), 1);
}

#[test]
fn the_driver_is_told_who_is_there_now() {
    let mut guest = Guest::open(0);
    assert_eq!(guest.heard(3).len(), 3);
    guest.moves_on();
    assert_eq!(guest.heard(1), [[0, 0, 0, 0, 6, 0, 0, 0]], "nobody");
    guest.driver.transport.set_host_open(true);
    assert_eq!(guest.heard(1), [[0, 0, 0, 0, 6, 0, 1, 0]]);
    assert!(guest.driver.transport.can_receive(), "the guest has the port open all the time");
}
