//! One keep-alive connection, HTTP/1.1 as a client needs it for this hub. Not a client for others: it
//! reads answers with a length, and nothing else.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest answer that is read: a large graph, uncompressed.
const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;
/// An answer that takes longer is lost.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A connection that is made when it is needed and again when it broke.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Not connected yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::new() }
    }

    /// Hangs up.
    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Sends a request and reads its answer. One that fails closes the connection.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        let timed = tokio::time::timeout(TIMEOUT, self.attempt(request)).await;
        let result = timed.unwrap_or_else(|_| Err(Error::from(ErrorKind::TimedOut)));
        if result.is_err() {
            self.close();
        }
        result
    }

    async fn attempt(&mut self, request: &[u8]) -> Result<Answer> {
        let mut stream = if let Some(stream) = self.stream.take() {
            stream
        } else {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            stream
        };
        stream.write_all(request).await?;
        self.buffer.clear();
        let head_bytes = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut stream).await?;
        };
        let head = Head::parse(self.buffer.get(..head_bytes).unwrap_or_default())?;
        let total = head_bytes.saturating_add(head.length);
        while self.buffer.len() < total {
            self.more(&mut stream).await?;
        }
        if !head.closes {
            self.stream = Some(stream);
        }
        let body = self.buffer.get(head_bytes..total).unwrap_or_default().to_vec();
        Ok(Answer { status: head.status, etag: head.etag, body })
    }

    async fn more(&mut self, stream: &mut TcpStream) -> Result<()> {
        if self.buffer.len() > ANSWER_MAX_BYTES {
            return Err(Error::new(ErrorKind::InvalidData, "the answer is too large"));
        }
        self.buffer.reserve(CHUNK_BYTES);
        match stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    etag: Option<String>,
    length: usize,
    closes: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::new(ErrorKind::InvalidData, why.to_owned());
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("the head is not ASCII"))?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .ok_or_else(|| wrong("not an HTTP/1.1 answer"))?;
        let mut head = Self { status, etag: None, length: 0, closes: false };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.parse().map_err(|_| wrong("an odd Content-Length"))?;
            } else if name.eq_ignore_ascii_case("etag") {
                head.etag = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("connection") {
                head.closes = value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(wrong("an answer in chunks"));
            }
        }
        if matches!(status, 204 | 304) {
            head.length = 0;
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\neTag: \"x\"\r\n\r\n";
        let etag = Some("\"x\"".to_owned());
        assert_eq!(
            Head::parse(head).unwrap(),
            Head { status: 200, etag, length: 12, closes: false }
        );
        let head = b"HTTP/1.1 304 Not Modified\r\ncontent-length: 900\r\nconnection: Close\r\n\r\n";
        let parsed = Head::parse(head).unwrap();
        assert_eq!((parsed.status, parsed.length, parsed.closes), (304, 0, true));
    }

    #[test]
    fn an_answer_in_chunks_or_of_another_protocol_is_an_error() {
        for head in [
            &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..],
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ] {
            assert_eq!(Head::parse(head).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
