//! HTTP over a UNIX socket as plainly as it can be: one connection that stays, one request, one answer. The same client for
//! every program that is measured, so that what it takes itself is the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;

/// A connection, and where it goes.
#[derive(Debug)]
pub struct Http {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Http {
    /// Connects to the socket.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(path)?), path: path.to_owned() })
    }

    /// Sends a request that is to succeed; returns the body, null when there is none.
    ///
    /// # Errors
    /// Any status but 2xx, with its body.
    pub fn tell(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {}\r\n",
            body.len()
        );
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
        let (status, body) = self.answer()?;
        match status {
            200..300 => Ok(serde_json::from_str(&body).unwrap_or(Value::Null)),
            status => Err(format!("{method} {path}: status {status}: {}", body.trim()).into()),
        }
    }

    fn answer(&mut self) -> Result<(u16, String), Error> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("{first:?} is no HTTP"))?;
        let (mut length, mut goes) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("connection", value)) => goes = value.trim() == "close",
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if goes {
            *self = Self::connect(&self.path)?;
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err("the connection ended".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_read_to_their_end_and_refusals_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 512];
            let mut asked = Vec::new();
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
                "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
                "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno",
            ] {
                let length = stream.read(&mut request).unwrap();
                asked.push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        let mut http = Http::connect(&path).unwrap();
        assert_eq!(http.tell("GET", "/a", None).unwrap()["a"], 1);
        assert_eq!(http.tell("PUT", "/b", Some(&serde_json::json!({"b": 2}))).unwrap(), Value::Null);
        let refused = http.tell("PUT", "/c", None).unwrap_err().to_string();
        assert_eq!(refused, "PUT /c: status 409: no");
        let asked = server.join().unwrap();
        assert!(
            asked[0].starts_with("GET /a HTTP/1.1\r\n") && asked[0].ends_with("Content-Length: 0\r\n\r\n")
        );
        assert!(asked[1].ends_with("\r\n\r\n{\"b\":2}"), "{asked:?}");
    }
}
