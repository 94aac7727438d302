//! What goes between hosts, and between the lab and the guest agent.

use std::fmt::Debug;

use dimmer_agent::frames::{self, Invocation, Kind};
use dimmer_agent::protocol::{Request, Response};
use serde_json::Value;

pub fn frames(bytes: &[u8]) {
    let (mut rest, mut payload) = (bytes, Vec::new());
    loop {
        let before = rest;
        let Ok(Some(kind)) = frames::read(&mut rest, &mut payload) else { return };
        let mut written = Vec::new();
        frames::write(&mut written, kind, &payload).expect("what was read is short enough");
        assert_eq!(
            written,
            before[..before.len() - rest.len()],
            "a frame is not the same when it is written"
        );
        if kind == Kind::Start
            && let Ok(invocation) = Invocation::decode(&payload)
        {
            assert_eq!(invocation.encode().expect("what was read can be written"), payload);
        }
    }
}

pub fn lines(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        again(serde_json::from_slice::<Request>(line));
        again(serde_json::from_slice::<Response<Value>>(line));
    }
}

/// What is read is written as something that is read as the same.
fn again<T>(read: serde_json::Result<T>)
where
    T: Debug + PartialEq + serde::Serialize + serde::de::DeserializeOwned,
{
    let Ok(value) = read else { return };
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let read: T = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(read, value);
}
