//! HTTP over a UNIX socket: requests with JSON bodies, answers as bytes or as a stream of lines.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;

pub use hyper::Method;

use crate::api::BASE;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host gives no event loop.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// Nobody listens.
    #[error("cannot connect to --api-socket {path}: {error}; is the machine running with this socket?")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The connection broke, or it is not HTTP.
    #[error("the connection to --api-socket {path} broke: {error}")]
    Http {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: hyper::Error,
    },
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to the API at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|error| ClientError::Connect { path: path.to_owned(), error })?;
        let broken = |error| ClientError::Http { path: path.to_owned(), error };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its errors show in the requests too.
        tokio::spawn(async { drop(connection.await) });
        Ok(Self { path: path.to_owned(), sender })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a request and waits for the whole answer.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, ClientError> {
        let response = self.send(method, path, body).await?;
        self.whole(response).await
    }

    /// Asks for a stream of lines; any other answer than 200 comes whole.
    pub async fn follow(&mut self, path: &str) -> Result<Result<Lines, Answer>, ClientError> {
        let response = self.send(Method::GET, path, None::<&()>).await?;
        if response.status() != 200 {
            return Ok(Err(self.whole(response).await?));
        }
        let lines = Lines { path: self.path.clone(), body: response.into_body(), rest: VecDeque::new() };
        Ok(Ok(lines))
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, ClientError> {
        let bytes = body.map(|body| serde_json::to_vec(body).expect("plain fields can be written as JSON"));
        let request = Request::builder()
            .method(method)
            .uri(format!("{BASE}{path}"))
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(bytes.unwrap_or_default()))
            .expect("the path is made of valid characters");
        let broken = |error| ClientError::Http { path: self.path.clone(), error };
        self.sender.send_request(request).await.map_err(broken)
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Answer, ClientError> {
        let status = response.status().as_u16();
        let broken = |error| ClientError::Http { path: self.path.clone(), error };
        let body = response.into_body().collect().await.map_err(broken)?.to_bytes().to_vec();
        Ok(Answer { status, body })
    }
}

/// A body that comes line by line.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    body: Incoming,
    rest: VecDeque<u8>,
}

impl Lines {
    /// The next line without its end; `None` behind the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            let broken = |error| ClientError::Http { path: self.path.clone(), error };
            match self.body.frame().await.transpose().map_err(broken)? {
                Some(frame) => self.rest.extend(frame.into_data().unwrap_or_default()),
                None => return Ok(None),
            }
        }
    }
}

/// `text` as one segment of a path: everything but letters, digits and `-._~` is escaped (RFC 3986, 2.3).
pub fn segment(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
