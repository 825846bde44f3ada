//! A hub that answers from a script, over real HTTP, for tests of the commands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Connection, Hub};

/// What to answer to `METHOD /path?query`.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: serde::Serialize>(value: &T) -> Self {
        let body = serde_json::to_vec(value).unwrap();
        Self { status: 200, content_type: "application/json", body }
    }
}

/// Answers to a request in turn, the last one for ever.
type Script = BTreeMap<String, VecDeque<Answer>>;

/// The scripted hub; requests it does not know get 404 as plain text. A request that is in the script
/// several times is answered in that order.
pub(crate) struct FakeHub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl FakeHub {
    pub(crate) async fn start(script: Vec<(&str, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut answers: Script = BTreeMap::new();
        for (request, answer) in script {
            answers.entry(request.to_owned()).or_default().push_back(answer);
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &mut answers, &log).await;
            }
        });
        Self { url, seen }
    }

    /// Requests so far, as `METHOD /path authorization body`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn hub(&self) -> Hub {
        let server = super::connection::server_url(&self.url).unwrap();
        Hub::new(&Connection::anonymous(server)).unwrap()
    }
}

async fn serve(mut stream: TcpStream, script: &mut Script, log: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head_end + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    let mut words = head.split(' ');
    let request = format!("{} {}", words.next().unwrap(), words.next().unwrap());
    let body = String::from_utf8(bytes[head_end..].to_vec()).unwrap();
    let authorization = header("authorization").unwrap_or_else(|| "-".into());
    log.lock().unwrap().push(format!("{request} {authorization} {body}").trim_end().to_owned());
    let unknown = Answer { status: 404, content_type: "text/plain", body: b"no".to_vec() };
    let answer = script.get_mut(&request).map_or(unknown, |answers| match answers.len() {
        1 => answers[0].clone(),
        _ => answers.pop_front().unwrap(),
    });
    let head = format!(
        "HTTP/1.1 {} X\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A client that refuses an oversized answer may hang up in the middle of it.
    let _hung_up = stream.write_all(&answer.body).await;
}
