//! Property tests of the frames and of the encoded command.

use std::io::ErrorKind;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A reader that gives one byte at a time, as a port may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in(frames in vec((0..KINDS.len(), vec(any::<u8>(), 0..300)), 0..10)) {
        let mut bytes = Vec::new();
        for (kind, payload) in &frames {
            write(&mut bytes, KINDS[*kind], payload).unwrap();
        }
        let (mut from, mut payload) = (Trickle(&bytes), vec![1, 2, 3]);
        for (kind, expected) in &frames {
            prop_assert_eq!(read(&mut from, &mut payload).unwrap(), Some(KINDS[*kind]));
            prop_assert_eq!(&payload, expected);
        }
        prop_assert_eq!(read(&mut from, &mut payload).unwrap(), None);
    }

    #[test]
    fn a_frame_cut_short_is_an_error(payload in vec(any::<u8>(), 0..50), cut in 1usize..55) {
        let mut bytes = Vec::new();
        write(&mut bytes, Kind::Data, &payload).unwrap();
        let cut = cut.min(bytes.len() - 1);
        let error = read(&mut &bytes[..cut], &mut Vec::new()).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_invocation_survives_encoding(
        directory in vec(any::<u8>(), 0..20),
        arguments in vec(vec(any::<u8>(), 0..20), 0..6),
        environment in vec((vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..20)), 0..6),
    ) {
        let invocation = Invocation { directory, arguments, environment };
        prop_assert_eq!(Invocation::decode(&invocation.encode().unwrap()).unwrap(), invocation);
    }

    #[test]
    fn garbage_is_never_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let mut from = bytes.as_slice();
        let mut payload = Vec::new();
        while let Ok(Some(_)) = read(&mut from, &mut payload) {
            prop_assert!(payload.len() <= bytes.len());
        }
        if let Ok(invocation) = Invocation::decode(&bytes) {
            prop_assert_eq!(invocation.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn a_payload_above_the_limit_is_refused_on_both_sides() {
    let error = write(&mut Vec::new(), Kind::Data, &vec![0; LIMIT + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let mut header = vec![Kind::Data as u8];
    header.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&mut header.as_slice(), &mut Vec::new()).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn an_unknown_kind_is_refused() {
    let error = read(&mut [9u8, 0, 0, 0, 0].as_slice(), &mut Vec::new()).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::InvalidData, "A frame has the unknown kind 9")
    );
}
