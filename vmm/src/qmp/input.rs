//! JSON values out of a stream of bytes: one behind the other, on as many lines as the client likes.

use std::io;

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::json::Said;

/// Largest message in bytes; the largest valid one has a few hundred.
pub const LARGEST: usize = 64 * 1024;

/// What came.
#[derive(Debug, PartialEq)]
pub enum Came {
    /// A value.
    Value(Value),
    /// Something that is no JSON, with which all that came so far is dropped; or JSON that is no message, which goes alone.
    Nonsense(String),
    /// More than [`LARGEST`] bytes without an end.
    TooMuch,
    /// The end.
    End,
}

/// The receiving end of a session.
#[derive(Debug)]
pub struct Input<R> {
    reader: R,
    /// What came and was not taken yet.
    bytes: Vec<u8>,
    /// Whether there may be a whole value in it.
    fresh: bool,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Reads from `reader`.
    pub const fn new(reader: R) -> Self {
        Self { reader, bytes: Vec::new(), fresh: false }
    }

    /// The next value. Nothing is lost when this is given up before it is done.
    ///
    /// # Errors
    /// What the host says.
    pub async fn next(&mut self) -> io::Result<Came> {
        loop {
            if let Some(came) = self.take() {
                return Ok(came);
            }
            if self.bytes.len() >= LARGEST {
                return Ok(Came::TooMuch);
            }
            let before = self.bytes.len();
            if self.reader.read_buf(&mut self.bytes).await? == 0 {
                return Ok(Came::End);
            }
            // Every value that counts ends with a brace, and every mistake at the latest with a line.
            self.fresh |= self.bytes[before..].iter().any(|byte| matches!(byte, b'}' | b'\n'));
        }
    }

    /// A value of what came, if a whole one is there.
    fn take(&mut self) -> Option<Came> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        let mut values = Deserializer::from_slice(&self.bytes).into_iter::<Said>();
        let came = match values.next()? {
            // Of a number there may be more.
            Ok(Said(value)) if value.is_number() && values.byte_offset() == self.bytes.len() => return None,
            Ok(Said(value)) => Came::Value(value),
            Err(error) if error.is_eof() => return None,
            Err(error) => {
                // Of what is JSON all the same, such as a name that is there twice, the end is known.
                let mut values = Deserializer::from_slice(&self.bytes).into_iter::<IgnoredAny>();
                let length = match values.next()? {
                    Ok(_) => values.byte_offset(),
                    Err(error) if error.is_eof() => return None,
                    Err(_) => self.bytes.len(),
                };
                self.drop_first(length);
                return Some(Came::Nonsense(error.to_string()));
            }
        };
        let length = values.byte_offset();
        self.drop_first(length);
        Some(came)
    }

    fn drop_first(&mut self, length: usize) {
        self.bytes.drain(..length);
        self.fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What comes of bytes that come in such pieces.
    fn read(pieces: &[&[u8]]) -> Vec<Came> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut client, server) = tokio::io::duplex(1 << 20);
        runtime.block_on(async {
            let mut input = Input::new(server);
            let mut all = Vec::new();
            for piece in pieces {
                tokio::io::AsyncWriteExt::write_all(&mut client, piece).await.unwrap();
            }
            drop(client);
            loop {
                all.push(input.next().await.unwrap());
                if matches!(all.last(), Some(Came::End | Came::TooMuch)) {
                    return all;
                }
            }
        })
    }

    #[test]
    fn values_need_no_lines_and_may_have_many() {
        let (one, two) = (json!({"a": {"b": "}"}}), json!({"c": 2}));
        for text in ["{\"a\":{\"b\":\"}\"}}{\"c\":2}", " {\n\"a\":\n{\"b\":\"}\"}}\r\n\n{\"c\":2}\n"] {
            let whole = read(&[text.as_bytes()]);
            assert_eq!(whole, [Came::Value(one.clone()), Came::Value(two.clone()), Came::End], "{text:?}");
            let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), whole);
        }
    }

    #[test]
    fn nonsense_is_said_and_what_comes_later_counts() {
        let came = read(&[b"{nonsense}\n"]);
        assert!(matches!(&came[..], [Came::Nonsense(_), Came::End]), "{came:?}");
        assert!(
            matches!(&read(&[b"{\"a\":1,\"a\":2}\n"])[..], [Came::Nonsense(why), Came::End] if why.contains("duplicate"))
        );
        assert_eq!(read(&[b"{\"a\":"]), [Came::End]);
        let came = read(&[b"{\"a\":1,\"a\":2}\n{\"b\":3}\n"]);
        assert!(
            matches!(&came[..], [Came::Nonsense(_), Came::Value(value), Came::End] if *value == json!({"b": 3})),
            "{came:?}"
        );
    }

    /// Bytes are read some at a time, and one number is not two wherever that cuts it.
    #[test]
    fn a_number_is_whole() {
        for spaces in 0..200 {
            let text = format!("{{}}{}411111\n", " ".repeat(spaces));
            let whole = [Came::Value(json!({})), Came::Value(json!(411_111)), Came::End];
            assert_eq!(read(&[text.as_bytes()]), whole, "{spaces}");
        }
    }

    #[test]
    fn a_message_without_an_end_is_too_much() {
        let long = vec![b' '; LARGEST];
        assert_eq!(read(&[b"{\"a\":\"", &long]), [Came::TooMuch]);
    }
}
