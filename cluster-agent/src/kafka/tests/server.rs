//! A Kafka server for tests: one answer per request, by a closure, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey};
use kafka_protocol::messages::{ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable as _, Encodable, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::kafka::Address;

/// What the server does with a request.
pub(super) enum Reply {
    /// This frame, without its length.
    Frame(Vec<u8>),
    /// These bytes as they are.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Silence,
    /// The end of the connection.
    Close,
}

/// A request as the server read it.
pub(super) struct Request {
    pub(super) key: i16,
    pub(super) version: i16,
    pub(super) id: i32,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// A frame that answers this request.
    pub(super) fn answer<A: Encodable>(&self, header_version: i16, answer: &A) -> Reply {
        let mut frame = Vec::new();
        let header = ResponseHeader::default().with_correlation_id(self.id);
        header.encode(&mut frame, header_version).unwrap();
        answer.encode(&mut frame, self.version).unwrap();
        Reply::Frame(frame)
    }

    /// The usual answer to `ApiVersions`.
    pub(super) fn versions(&self) -> Reply {
        self.versions_and(&[], &[("kraft.version", 1)])
    }

    /// The same of a server that speaks more, with other features finalized.
    pub(super) fn versions_and(
        &self,
        more: &[(i16, i16, i16)],
        features: &[(&'static str, i16)],
    ) -> Reply {
        let api = |(key, low, high): (i16, i16, i16)| {
            ApiVersion::default().with_api_key(key).with_min_version(low).with_max_version(high)
        };
        let keys = [(3, 0, 13), (17, 0, 1), (18, 0, 4), (32, 1, 4), (36, 0, 2), (55, 0, 2)];
        let feature = |(name, level): &(&'static str, i16)| {
            FinalizedFeatureKey::default()
                .with_name(StrBytes::from_static_str(name))
                .with_max_version_level(*level)
        };
        let answer = ApiVersionsResponse::default()
            .with_api_keys(
                keys.into_iter()
                    .chain([(60, 0, 2), (80, 0, 0)])
                    .chain(more.iter().copied())
                    .map(api)
                    .collect(),
            )
            .with_finalized_features_epoch(3)
            .with_finalized_features(features.iter().map(feature).collect());
        self.answer(0, &answer)
    }
}

/// A running server; ends with the test's runtime.
pub(super) struct Server {
    pub(super) address: Address,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// How many connections were made to it.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

type Script = Arc<dyn Fn(Request) -> Reply + Send + Sync>;

/// Starts a server without TLS.
pub(super) async fn serve(script: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Server {
    start(Arc::new(script), None).await
}

/// Starts a server with TLS.
pub(super) async fn serve_tls(
    tls: tokio_rustls::TlsAcceptor,
    script: impl Fn(Request) -> Reply + Send + Sync + 'static,
) -> Server {
    start(Arc::new(script), Some(tls)).await
}

async fn start(script: Script, tls: Option<tokio_rustls::TlsAcceptor>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let (script, tls) = (Arc::clone(&script), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => converse(stream, script).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => converse(stream, script).await,
                        Err(_) => None,
                    },
                }
            });
        }
    });
    Server { address, connections }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: Script) -> Option<()> {
    loop {
        let length = stream.read_u32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).ok()?];
        stream.read_exact(&mut frame).await.ok()?;
        // Key 17, version 1 has a header of version 1; everything else this client says has 2.
        let plain = frame.starts_with(&[0, 17]);
        let mut rest = frame.as_slice();
        let header = RequestHeader::decode(&mut rest, if plain { 1 } else { 2 }).ok()?;
        let request = Request {
            key: header.request_api_key,
            version: header.request_api_version,
            id: header.correlation_id,
            body: rest.to_vec(),
        };
        match script(request) {
            Reply::Frame(frame) => {
                stream.write_u32(u32::try_from(frame.len()).ok()?).await.ok()?;
                stream.write_all(&frame).await.ok()?;
            }
            Reply::Raw(bytes) => stream.write_all(&bytes).await.ok()?,
            Reply::Silence => std::future::pending().await,
            Reply::Close => return None,
        }
        stream.flush().await.ok()?;
    }
}
