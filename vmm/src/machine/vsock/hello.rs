//! Clients of the host's that have not said yet which port of the guest's they want: `CONNECT PORT` and a newline, as
//! Firecracker has it.

use std::io::Read;
use std::os::unix::net::UnixStream;

/// What a client says first, and the longest that it can say: the largest port has ten digits.
const WORD: &[u8] = b"CONNECT ";
const LONGEST: usize = WORD.len() + 10;

/// A client.
#[derive(Debug)]
pub struct Hello {
    pub stream: UnixStream,
    line: Vec<u8>,
}

/// What it has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Not all yet.
    Nothing,
    /// The guest's port.
    Port(u32),
    /// Something else, or it has gone away.
    Nonsense,
}

impl Hello {
    /// A client that has just come, whose stream never blocks.
    pub const fn new(stream: UnixStream) -> Self {
        Self { stream, line: Vec::new() }
    }

    /// Hears more of what it says, and nothing behind its line: that is for the guest.
    pub fn hear(&mut self) -> Said {
        loop {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(1) if byte[0] == b'\n' => return port(&self.line).map_or(Said::Nonsense, Said::Port),
                Ok(1) if self.line.len() < LONGEST => self.line.push(byte[0]),
                Ok(_) => return Said::Nonsense,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Said::Nothing,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Said::Nonsense,
            }
        }
    }
}

fn port(line: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(line.strip_prefix(WORD)?).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn hello() -> (UnixStream, Hello) {
        let (here, there) = UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        (here, Hello::new(there))
    }

    #[test]
    fn a_line_is_heard_however_it_is_cut_and_nothing_behind_it() {
        let (mut client, mut hello) = hello();
        for part in ["CONN", "ECT 42949672"] {
            client.write_all(part.as_bytes()).unwrap();
            assert_eq!(hello.hear(), Said::Nothing);
        }
        client.write_all(b"95\nfor the guest").unwrap();
        assert_eq!(hello.hear(), Said::Port(u32::MAX));
        let mut rest = [0; 20];
        assert_eq!(hello.stream.read(&mut rest).unwrap(), 13);
    }

    #[test]
    fn anything_else_is_nonsense() {
        for line in [
            "\n",
            "CONNECT\n",
            "CONNECT \n",
            "CONNECT +1\n",
            "CONNECT 4294967296\n",
            "connect 1\n",
            "GET / HTTP/1.1 and more",
        ] {
            let (mut client, mut hello) = hello();
            client.write_all(line.as_bytes()).unwrap();
            assert_eq!(hello.hear(), Said::Nonsense, "{line:?}");
        }
        let (client, mut hello) = hello();
        drop(client);
        assert_eq!(hello.hear(), Said::Nonsense);
    }
}
