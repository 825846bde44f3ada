//! One connection to one Kafka server: connect, TLS, versions, login, then requests one by one.
//!
//! Every wait has a limit. A connection that failed in the middle of a request is dropped by its
//! owner: what comes next on it may be the answer to something else.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::time::Duration;

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{ErrorCode, KafkaError};
use super::settings::{Address, KafkaSettings, SaslSettings, TlsSettings};
use super::wire::calls::Call;
use super::{sasl, tls, wire};

/// Longest password read, bytes.
const PASSWORD_BYTES_MAX: u64 = 4_096;

/// Most features and request kinds of a server that are kept; Kafka has some hundred.
const VERSIONS_MAX: usize = 512;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Features a cluster has finalized, by name: the level.
pub type Features = BTreeMap<String, i16>;

/// What a server says it speaks.
struct Spoken {
    versions: BTreeMap<i16, (i16, i16)>,
    finalized: Features,
    supported: Features,
}

/// A connection that is logged in.
pub(super) struct Connection {
    address: Address,
    stream: Box<dyn Stream>,
    limit: Duration,
    next_id: i32,
    versions: BTreeMap<i16, (i16, i16)>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How connections are made.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    tls: Option<TlsSettings>,
    sasl: Option<SaslSettings>,
    limit: Duration,
}

impl Dialer {
    /// Checks the TLS files. They are read again for every connection: certificates are renewed.
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        if let Some(tls) = &settings.tls {
            tls::connector(tls)?;
        }
        let limit = Duration::from_millis(settings.timeout_ms);
        Ok(Self { tls: settings.tls.clone(), sasl: settings.sasl.clone(), limit })
    }

    /// Connects, negotiates and logs in, all of it within the limit.
    pub(super) async fn connect(&self, address: &Address) -> Result<Connection, KafkaError> {
        match timeout(self.limit, self.open(address)).await {
            Ok(opened) => opened,
            Err(_) => Err(too_late(address, "the connection", self.limit)),
        }
    }

    async fn open(&self, address: &Address) -> Result<Connection, KafkaError> {
        let failed = |source| KafkaError::Connect { address: address.to_string(), source };
        let tcp = TcpStream::connect((address.host(), address.port())).await.map_err(failed)?;
        // Requests are small and answered at once: waiting for more to send only delays them.
        tcp.set_nodelay(true).map_err(failed)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(settings) => {
                let name = tls::server_name(settings, address)?;
                let connector = tls::connector(settings)?;
                Box::new(connector.connect(name, tcp).await.map_err(failed)?)
            }
        };
        let mut connection = Connection {
            address: address.clone(),
            stream,
            limit: self.limit,
            next_id: 0,
            versions: BTreeMap::new(),
        };
        connection.negotiate().await?;
        if let Some(settings) = &self.sasl {
            let password = password(settings)?;
            sasl::login(&mut connection, settings, &password).await?;
        }
        Ok(connection)
    }
}

impl Connection {
    /// Whom it is to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The same with another limit, for requests that are answered once something is committed.
    pub(super) fn patient(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Learns the versions the server speaks.
    async fn negotiate(&mut self) -> Result<(), KafkaError> {
        let (lowest, highest) = ApiVersionsRequest::VERSIONS;
        self.versions.insert(ApiVersionsRequest::KEY, (lowest, highest));
        self.versions = self.api_versions().await?.versions;
        Ok(())
    }

    /// What the cluster has finalized, by this server's view (empty if it knows none), and the
    /// highest levels this server supports.
    pub(super) async fn features(&mut self) -> Result<(Features, Features), KafkaError> {
        let Spoken { finalized, supported, .. } = self.api_versions().await?;
        Ok((finalized, supported))
    }

    async fn api_versions(&mut self) -> Result<Spoken, KafkaError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("fairway-agent"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = self.ask(&request).await?;
        self.accepted::<ApiVersionsRequest>(answer.error_code, None)?;
        let keys = answer.api_keys.iter().take(VERSIONS_MAX);
        let versions = keys.map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        let known = answer.finalized_features_epoch >= 0;
        let finalized = answer.finalized_features.iter().filter(|_| known).take(VERSIONS_MAX);
        let finalized = finalized.map(|f| (f.name.to_string(), f.max_version_level)).collect();
        let supported = answer.supported_features.iter().take(VERSIONS_MAX);
        let supported = supported.map(|f| (f.name.to_string(), f.max_version)).collect();
        Ok(Spoken { versions, finalized, supported })
    }

    /// Makes a request and reads its answer. An error code in the answer is the caller's to read.
    pub(super) async fn ask<C: Call>(&mut self, call: &C) -> Result<C::Answer, KafkaError> {
        let limit = self.limit;
        match timeout(limit, self.exchange(call)).await {
            Ok(answer) => answer,
            Err(_) => Err(too_late(&self.address, C::NAME, limit)),
        }
    }

    /// An error if `code` is one.
    pub(super) fn accepted<C: Call>(
        &self,
        code: i16,
        message: Option<&StrBytes>,
    ) -> Result<(), KafkaError> {
        let Some(code) = ErrorCode::of(code) else { return Ok(()) };
        Err(KafkaError::Refused {
            address: self.address.to_string(),
            what: C::NAME,
            code,
            message: message.map(|text| printable(text)).filter(|text| !text.is_empty()),
        })
    }

    async fn exchange<C: Call>(&mut self, call: &C) -> Result<C::Answer, KafkaError> {
        let version = self.version::<C>()?;
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let frame = wire::request(call, version, id)
            .map_err(|why| KafkaError::Encode { what: C::NAME, why })?;
        let broken =
            |source: io::Error| KafkaError::Broken { address: self.address.to_string(), source };
        self.stream.write_all(&frame).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        let size = self.stream.read_i32().await.map_err(broken)?;
        let limit = C::ANSWER_BYTES_MAX;
        let length =
            usize::try_from(size).ok().filter(|length| *length <= limit).ok_or_else(|| {
                KafkaError::FrameSize {
                    address: self.address.to_string(),
                    what: C::NAME,
                    size: i64::from(size),
                    limit,
                }
            })?;
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await.map_err(broken)?;
        if C::KEY == ApiVersionsRequest::KEY
            && let Some(code @ ErrorCode::UNSUPPORTED_VERSION) =
                wire::leading_code(&frame).and_then(ErrorCode::of)
        {
            self.accepted::<C>(code.0, None)?;
        }
        wire::answer::<C>(&frame, version, id).map_err(|error| KafkaError::Unreadable {
            address: self.address.to_string(),
            what: C::NAME,
            why: error.to_string(),
        })
    }

    /// The newest version both sides speak.
    fn version<C: Call>(&self) -> Result<i16, KafkaError> {
        let ours = C::VERSIONS;
        let theirs = self.versions.get(&C::KEY).copied();
        let common = theirs.map(|(low, high)| (low.max(ours.0), high.min(ours.1)));
        match common {
            Some((low, high)) if low <= high => Ok(high),
            Some(_) | None => Err(KafkaError::Version {
                address: self.address.to_string(),
                what: C::NAME,
                theirs,
                ours,
            }),
        }
    }
}

/// What a server says, without what could steer a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

fn too_late(address: &Address, what: &'static str, limit: Duration) -> KafkaError {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    KafkaError::Timeout { address: address.to_string(), what, limit_ms }
}

fn password(settings: &SaslSettings) -> Result<String, KafkaError> {
    let path = &settings.password_file;
    let unread = |source| KafkaError::PasswordFile { path: path.clone(), source };
    let refused = || KafkaError::Password { path: path.clone() };
    let file = std::fs::File::open(path).map_err(unread)?;
    let mut bytes = Vec::new();
    file.take(PASSWORD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > PASSWORD_BYTES_MAX {
        return Err(refused());
    }
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() { Err(refused()) } else { Ok(password.to_owned()) }
}
