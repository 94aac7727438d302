//! The wire format between `dimmer-lab host` and PID 1 of the emulated host: frames over virtio-serial ports.
//!
//! A frame is one byte of [`Kind`], the payload's length as a little-endian `u32`, then the payload. There is one port per
//! stream, so that a reader who is slow on one of them never holds up another, and each port has the flow control of its
//! virtqueue: a writer blocks once the other side stops reading, and nothing is ever queued without bound.
//!
//! | port | direction | frames |
//! |---|---|---|
//! | [`CONTROL`] | both | `Ready`, then `Start`, then `Close` any time, at last `Exit` or `NotStarted`; or `Failed`, at any time |
//! | [`STDIN`] | to the emulated host | `Data`; an empty one is end of file |
//! | [`STDOUT`], [`STDERR`] | from the emulated host | `Data`; an empty one is end of file |

use std::io::{self, Read, Write};

/// Name of the virtio-serial port that carries everything but the command's streams.
pub const CONTROL: &str = "dimmer.control";
/// Name of the port of the command's standard input.
pub const STDIN: &str = "dimmer.stdin";
/// Name of the port of the command's standard output.
pub const STDOUT: &str = "dimmer.stdout";
/// Name of the port of the command's standard error.
pub const STDERR: &str = "dimmer.stderr";

/// Largest payload of a `Data` frame in bytes, chosen to be one write of a virtio-serial port.
pub const CHUNK: usize = 32 * 1024 - HEADER;
/// Largest payload of any frame in bytes: more than the kernel's limit on arguments and environment (`ARG_MAX`, 2 MiB).
pub const LIMIT: usize = 4 << 20;

const HEADER: usize = 5;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The emulated host is up and waits for `Start`. No payload.
    Ready = 1,
    /// The command to run: an encoded [`Invocation`].
    Start = 2,
    /// Bytes of a stream; none at its end.
    Data = 3,
    /// Nobody reads a stream of the command any more: one byte, the stream's file descriptor (1 or 2).
    Close = 4,
    /// The command ended: one byte, its exit status, or 128 plus the signal that killed it.
    Exit = 5,
    /// The command could not be started: the error number of `execve`, four bytes, little-endian.
    NotStarted = 6,
    /// The emulated host, not the command, failed: a message in UTF-8.
    Failed = 7,
}

const KINDS: [Kind; 7] =
    [Kind::Ready, Kind::Start, Kind::Data, Kind::Close, Kind::Exit, Kind::NotStarted, Kind::Failed];

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        KINDS.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Writes one frame, header and payload in a single write where the writer allows it.
///
/// # Errors
/// Those of the writer, and `InvalidInput` for a payload above [`LIMIT`].
pub fn write(to: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= LIMIT).ok_or_else(|| {
        let text = format!("A frame of {} bytes is longer than {LIMIT}", payload.len());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.push(kind as u8);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame into `payload`, replacing what was there. `None` when the stream ends between two frames.
///
/// # Errors
/// Those of the reader, `UnexpectedEof` when the stream ends within a frame, and `InvalidData` for an unknown kind or a
/// length above [`LIMIT`].
pub fn read(from: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Option<Kind>> {
    let mut header = [0; HEADER];
    loop {
        match from.read(&mut header[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    from.read_exact(&mut header[1..])?;
    let [kind, length @ ..] = header;
    let kind =
        Kind::from_byte(kind).ok_or_else(|| invalid(format!("A frame has the unknown kind {kind}")))?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok().filter(|length| *length <= LIMIT);
    let length = length.ok_or_else(|| invalid(format!("A {kind:?} frame is longer than {LIMIT} bytes")))?;
    payload.resize(length, 0);
    from.read_exact(payload)?;
    Ok(Some(kind))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A command to run: bytes, since neither arguments nor the environment need be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Working directory.
    pub directory: Vec<u8>,
    /// Program and arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The whole environment, names and values.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Invocation {
    /// The payload of a `Start` frame: directory, number of arguments, arguments, then names and values in turn. Strings
    /// and the number are length-prefixed and little-endian.
    ///
    /// # Errors
    /// `InvalidInput` when a string or a list is longer than a `u32` can say.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        put_string(&mut bytes, &self.directory)?;
        put_length(&mut bytes, self.arguments.len())?;
        for argument in &self.arguments {
            put_string(&mut bytes, argument)?;
        }
        for (name, value) in &self.environment {
            put_string(&mut bytes, name)?;
            put_string(&mut bytes, value)?;
        }
        Ok(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// `InvalidData` when `bytes` end early.
    pub fn decode(mut bytes: &[u8]) -> io::Result<Self> {
        let directory = take_string(&mut bytes)?;
        let count = take_length(&mut bytes)?;
        let mut arguments = Vec::new();
        for _ in 0..count {
            arguments.push(take_string(&mut bytes)?);
        }
        let mut environment = Vec::new();
        while !bytes.is_empty() {
            environment.push((take_string(&mut bytes)?, take_string(&mut bytes)?));
        }
        Ok(Self { directory, arguments, environment })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let length = u32::try_from(length).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    bytes.extend_from_slice(&length.to_le_bytes());
    Ok(())
}

fn put_string(bytes: &mut Vec<u8>, string: &[u8]) -> io::Result<()> {
    put_length(bytes, string.len())?;
    bytes.extend_from_slice(string);
    Ok(())
}

fn take_length(bytes: &mut &[u8]) -> io::Result<usize> {
    let (length, rest) =
        bytes.split_first_chunk().ok_or_else(|| invalid("A command ends within a length".into()))?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*length)).map_err(|error| invalid(error.to_string()))
}

fn take_string(bytes: &mut &[u8]) -> io::Result<Vec<u8>> {
    let length = take_length(bytes)?;
    let short = || invalid(format!("A command ends within a string of {length} bytes"));
    let (string, rest) = bytes.split_at_checked(length).ok_or_else(short)?;
    *bytes = rest;
    Ok(string.to_vec())
}

#[cfg(test)]
mod tests;
