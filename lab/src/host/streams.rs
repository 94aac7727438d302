//! This side of the command's streams: between our own standard streams and the ports.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use dimmer_agent::frames::{self, CHUNK, Kind};

/// Sends `from` to the port until it ends or the port does.
///
/// # Errors
/// Those of `from` and of the port.
pub fn send(mut from: impl Read, mut port: UnixStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        frames::write(&mut port, Kind::Data, &buffer[..length])?;
        if length == 0 {
            return Ok(());
        }
    }
}

/// Writes what the port brings to `to` until the stream or the port ends. When `to` takes no more, says so once through
/// `control` with the number of the `stream`, and goes on reading so that the other side can end the stream.
///
/// # Errors
/// Those of the port, and `InvalidData` for a frame that is not `Data`.
pub fn receive(
    port: UnixStream,
    mut to: impl Write,
    stream: u8,
    control: &Mutex<UnixStream>,
) -> io::Result<()> {
    let mut port = io::BufReader::with_capacity(CHUNK, port);
    let mut data = Vec::new();
    let mut open = true;
    loop {
        match frames::read(&mut port, &mut data)? {
            Some(Kind::Data) if data.is_empty() => return Ok(()),
            None => return Ok(()),
            Some(Kind::Data) if open => {
                if to.write_all(&data).and_then(|()| to.flush()).is_err() {
                    open = false;
                    let mut control = control.lock().expect("nothing panics while holding this lock");
                    frames::write(&mut *control, Kind::Close, &[stream])?;
                }
            }
            Some(Kind::Data) => {}
            Some(kind) => {
                let text = format!("A {kind:?} frame came on stream {stream}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `left` writes, then fails as a pipe without a reader.
    struct Fragile {
        left: usize,
    }

    impl Write for Fragile {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames::write(&mut bytes, kind, payload).unwrap();
        bytes
    }

    #[test]
    fn what_is_sent_is_received_byte_for_byte() {
        let data: Vec<u8> = (0..5 * CHUNK + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (here, there) = UnixStream::pair().unwrap();
        let (control, _control) = UnixStream::pair().unwrap();
        let sent = data.clone();
        let sender = std::thread::spawn(move || send(sent.as_slice(), here));
        let mut received = Vec::new();
        receive(there, &mut received, 1, &Mutex::new(control)).unwrap();
        sender.join().unwrap().unwrap();
        assert!(received == data, "{} bytes of {}", received.len(), data.len());
    }

    #[test]
    fn a_reader_that_went_away_is_reported_once_and_the_rest_is_drained() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let (control, mut reported) = UnixStream::pair().unwrap();
        for _ in 0..4 {
            here.write_all(&frame(Kind::Data, b"text")).unwrap();
        }
        here.write_all(&frame(Kind::Data, b"")).unwrap();
        receive(there, Fragile { left: 1 }, 2, &Mutex::new(control)).unwrap();
        let mut bytes = Vec::new();
        reported.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, frame(Kind::Close, &[2]));
    }

    #[test]
    fn a_frame_that_does_not_belong_is_an_error() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let (control, _control) = UnixStream::pair().unwrap();
        here.write_all(&frame(Kind::Exit, &[0])).unwrap();
        let error = receive(there, Vec::new(), 1, &Mutex::new(control)).unwrap_err();
        assert_eq!(error.to_string(), "A Exit frame came on stream 1");
    }
}
