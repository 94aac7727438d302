//! A guest's serial console: what it says, and when; and a shell on it, which every machine monitor can offer.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Error;

/// How long a guest may be silent: the emulated host is slow.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks whether a socket is there.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// What the shell's prompt ends with.
const PROMPT: &str = "# ";

/// The lab's side of a console.
#[derive(Debug)]
pub struct Console {
    stream: UnixStream,
    heard: Receiver<(Instant, Vec<u8>)>,
    /// What was heard and not yet waited for.
    text: String,
    commands: u32,
}

impl Console {
    /// Connects to the socket at `path` as soon as it is there, as long as `lives` says that there is hope.
    ///
    /// # Errors
    /// What `lives` fails with, or that the socket does not come.
    pub fn connect(path: &Path, mut lives: impl FnMut() -> Result<(), Error>) -> Result<Self, Error> {
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() >= end => return Err(error.into()),
                Err(_) => lives()?,
            }
            thread::sleep(LOOK_AGAIN);
        };
        Self::over(stream)
    }

    /// A console that is connected already.
    ///
    /// # Errors
    /// When the stream cannot be shared.
    pub fn over(stream: UnixStream) -> Result<Self, Error> {
        let mut reader = stream.try_clone()?;
        let (send, heard) = channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                // Nobody listens any longer when the machine is gone.
                let _ = send.send((Instant::now(), chunk[..length].to_vec()));
            }
        });
        Ok(Self { stream, heard, text: String::new(), commands: 0 })
    }

    /// Waits for `words`; returns when they had come, and what was before them. What comes behind them stays.
    ///
    /// # Errors
    /// With the last that was heard, when they do not come.
    pub fn expect(&mut self, words: &str) -> Result<(Instant, String), Error> {
        let mut latest = Instant::now();
        loop {
            if let Some(place) = self.text.find(words) {
                let behind = self.text.split_off(place + words.len());
                let mut before = std::mem::replace(&mut self.text, behind);
                before.truncate(place);
                return Ok((latest, before));
            }
            match self.heard.recv_timeout(PATIENCE) {
                Ok((time, bytes)) => {
                    latest = time;
                    self.text.push_str(&String::from_utf8_lossy(&bytes));
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.missing(words, "fell silent")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.missing(words, "ended")),
            }
        }
    }

    fn missing(&self, words: &str, how: &str) -> Error {
        let lines: Vec<&str> = self.text.lines().rev().take(5).collect();
        let last = lines.into_iter().rev().map(|line| format!("\n  {}", dimmer::printable::printable(line)));
        format!("the console {how} before it said {words:?}; last:{}", last.collect::<String>()).into()
    }

    /// Waits for the shell's first prompt and puts one in its place that echoes nothing and does not prompt. Returns when it
    /// answered, and the guest's uptime then.
    ///
    /// # Errors
    /// When the console ends or falls silent.
    pub fn take_shell(&mut self) -> Result<(Instant, Duration), Error> {
        self.expect(PROMPT)?;
        let plain = "while read -r line; do eval \"$line\"; done";
        self.write(&format!("stty -echo; read -r up x </proc/uptime; echo \"@\"\"up $up;\"; {plain}\n"))?;
        self.expect("@up ")?;
        let (answered, uptime) = self.expect(";")?;
        Ok((answered, Duration::from_secs_f64(uptime.trim().parse()?)))
    }

    /// Runs a command in the guest; returns what it wrote.
    ///
    /// # Errors
    /// When it fails, or does not end.
    pub fn shell(&mut self, command: &str) -> Result<String, Error> {
        self.commands += 1;
        let mark = format!("@{}=", self.commands);
        self.write(&format!("{{ {command}; }} 2>&1; echo \"@\"\"{}=$?;\"\n", self.commands))?;
        let (_, output) = self.expect(&mark)?;
        let (_, status) = self.expect(";")?;
        match status.as_str() {
            "0" => Ok(output),
            status => Err(format!("{command:?} ended with {status} in the guest: {output}").into()),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.stream.write_all(text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A console whose other side is `guest`.
    fn console(guest: impl FnOnce(UnixStream) + Send + 'static) -> Console {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || guest(listener.accept().unwrap().0));
        Console::connect(&path, || Ok(())).unwrap()
    }

    #[test]
    fn a_shell_is_taken_and_its_answers_are_told_from_what_it_was_asked() {
        let mut console = console(|mut stream| {
            stream.write_all(b"boot\r\n/ # ").unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let (answer, status) = if line.contains("false") { ("no", 1) } else { ("yes", 0) };
                let answer = match line.contains("uptime") {
                    true => format!("{line}\r\n@up 1.25;\r\n"),
                    false => format!("{answer}\r\n@{}={status};\r\n", if status == 0 { 1 } else { 2 }),
                };
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(console.take_shell().unwrap().1, Duration::from_millis(1250));
        assert!(console.shell("true").unwrap().contains("yes"));
        let error = console.shell("false").unwrap_err().to_string();
        assert!(error.contains("ended with 1") && error.contains("no"), "{error}");
    }

    #[test]
    fn a_console_that_ends_says_what_was_last_heard() {
        let mut console = console(|mut stream| stream.write_all(b"Kernel panic\n").unwrap());
        let error = console.expect("never").unwrap_err().to_string();
        assert!(error.contains("ended") && error.contains("Kernel panic"), "{error}");
    }

    #[test]
    fn a_machine_that_is_gone_is_not_waited_for() {
        let result = Console::connect(Path::new("/no/such/socket"), || Err("it ended".into()));
        assert_eq!(result.unwrap_err().to_string(), "it ended");
    }
}
