//! One client of the API server: without retries of its own, with bounds on time and size.
//!
//! The library retries 429 and 503 for minutes by default, which would hide every disruption budget
//! that refuses an eviction; here every answer comes back at once. It makes no decision.

use std::sync::Arc;
use std::time::Duration;

use ::kube::Client;
use ::kube::api::{GetParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use ::kube::config::{Config, KubeConfigOptions, Kubeconfig};
use ::kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::KubeError;
use crate::config::KubernetesSettings;

/// A server that accepts no connection in this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Objects per page of a list: a hundred nodes with their images are far below the memory bound.
const PAGE_ITEMS: u32 = 50;

/// Most objects of one list that are read: the pods of a full cluster of 5000 nodes are more, but
/// no list here is of those.
const ITEMS_MAX: usize = 50_000;

/// Makes a client: from the configured kubeconfig, or with the service account of this pod.
///
/// Nothing is asked yet. There are no retries, and no proxy but one that the kubeconfig names.
pub async fn connect(settings: &KubernetesSettings) -> Result<Client, KubeError> {
    let mut config = match &settings.kubeconfig {
        Some(path) => {
            let refused = |source: ::kube::config::KubeconfigError| KubeError::Kubeconfig {
                path: path.clone(),
                source: Box::new(source),
            };
            let file = Kubeconfig::read_from(path).map_err(refused)?;
            let names_proxy = file
                .clusters
                .iter()
                .filter_map(|named| named.cluster.as_ref())
                .any(|cluster| cluster.proxy_url.is_some());
            let options =
                KubeConfigOptions { context: settings.context.clone(), ..Default::default() };
            let mut config =
                Config::from_custom_kubeconfig(file, &options).await.map_err(refused)?;
            if !names_proxy {
                // The library would take one from the environment.
                config.proxy_url = None;
            }
            config
        }
        None => Config::incluster()
            .map_err(|source| KubeError::InCluster { source: Box::new(source) })?,
    };
    let timeout = Duration::from_millis(settings.timeout_ms);
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT.min(timeout));
    config.read_timeout = Some(timeout);
    config.write_timeout = Some(timeout);
    config.reset_reader_on_write = true;
    signing::source::install_tls_provider();
    let url = config.cluster_url.to_string();
    Client::try_from(config).map_err(|source| KubeError::Client { url, source: Box::new(source) })
}

/// The API server, connected to at the first request; cheap to clone.
#[derive(Clone)]
pub struct Kube {
    settings: Arc<KubernetesSettings>,
    client: Arc<OnceCell<Client>>,
}

impl std::fmt::Debug for Kube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kube")
            .field("kubeconfig", &self.settings.kubeconfig)
            .finish_non_exhaustive()
    }
}

/// One page of a list, of which only items and the way on are read.
#[derive(Debug, Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    // Not `default`: an answer without items is no list.
    items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

impl Kube {
    /// Knows where the API server is; connects at the first request.
    pub fn new(settings: KubernetesSettings) -> Self {
        Self { settings: Arc::new(settings), client: Arc::new(OnceCell::new()) }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &KubernetesSettings {
        &self.settings
    }

    /// The library's client, for typed APIs. Made once; a failure is tried again at the next call.
    pub async fn client(&self) -> Result<Client, KubeError> {
        self.client.get_or_try_init(|| connect(&self.settings)).await.cloned()
    }

    /// One object, of which `T` reads what it wants; `None` if there is none.
    ///
    /// `path` is the path of its kind (`/api/v1/nodes`, `/api/v1/namespaces/x/pods`).
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
    ) -> Result<Option<T>, KubeError> {
        let what = format!("get {path}/{name}");
        let request = made(&what, Request::new(path).get(name, &GetParams::default()))?;
        let client = self.client().await?;
        match self.bounded(&what, client.request(request)).await {
            Err(error) if error.is_not_found() => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// A document of the server's own, such as `/version`.
    pub async fn get_path<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, KubeError> {
        match path.rsplit_once('/') {
            Some((parent, name)) => self.get(parent, name).await,
            None => Ok(None),
        }
    }

    /// All objects of a kind that match the selectors, page by page.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &ListParams,
    ) -> Result<Vec<T>, KubeError> {
        let what = format!("list {path}");
        let mut params = params.clone().limit(PAGE_ITEMS);
        let mut items = Vec::new();
        let client = self.client().await?;
        loop {
            let request = made(&what, Request::new(path).list(&params))?;
            let page: Page<T> = self.bounded(&what, client.request(request)).await?;
            items.extend(page.items);
            if items.len() > ITEMS_MAX {
                return Err(KubeError::TooMany { what, limit: ITEMS_MAX });
            }
            match page.metadata.next {
                Some(next) if !next.is_empty() => params = params.continue_token(&next),
                Some(_) | None => return Ok(items),
            }
        }
    }

    /// Creates an object below `path`.
    pub async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, KubeError> {
        let what = format!("create in {path}");
        let request = Request::new(path).create(&PostParams::default(), body_of(body));
        let request = made(&what, request)?;
        let client = self.client().await?;
        self.bounded(&what, client.request(request)).await
    }

    /// Lets the API server judge an object without creating it.
    pub async fn create_dry<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, KubeError> {
        let what = format!("create (dry run) in {path}");
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let request = made(&what, Request::new(path).create(&params, body_of(body)))?;
        let client = self.client().await?;
        self.bounded(&what, client.request(request)).await
    }

    /// Posts to a subresource of an object (`eviction`).
    pub async fn post_subresource<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        subresource: &str,
        body: &serde_json::Value,
    ) -> Result<T, KubeError> {
        let what = format!("post {path}/{name}/{subresource}");
        let params = PostParams::default();
        let request =
            Request::new(path).create_subresource(subresource, name, &params, body_of(body));
        let request = made(&what, request)?;
        let client = self.client().await?;
        self.bounded(&what, client.request(request)).await
    }

    /// Changes an object by a JSON merge patch. With `metadata.resourceVersion` in it, the change is
    /// refused (409) if somebody else changed the object since.
    pub async fn merge<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        patch: &serde_json::Value,
    ) -> Result<T, KubeError> {
        let what = format!("patch {path}/{name}");
        let request = Request::new(path).patch(name, &PatchParams::default(), &Patch::Merge(patch));
        let request = made(&what, request)?;
        let client = self.client().await?;
        self.bounded(&what, client.request(request)).await
    }

    /// The end of a pod's log.
    pub async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        lines: i64,
        bytes: i64,
    ) -> Result<String, KubeError> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let what = format!("read the log of {path}/{pod}");
        let params =
            LogParams { tail_lines: Some(lines), limit_bytes: Some(bytes), ..LogParams::default() };
        let request = made(&what, Request::new(path).logs(pod, &params))?;
        let client = self.client().await?;
        self.bounded(&what, client.request_text(request)).await
    }

    /// An answer within the configured time, or the error that there was none.
    pub(super) async fn bounded<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, ::kube::Error>>,
    ) -> Result<T, KubeError> {
        let limit_ms = self.settings.timeout_ms;
        match tokio::time::timeout(Duration::from_millis(limit_ms), answer).await {
            Ok(answer) => answer.map_err(|error| KubeError::of(what, error)),
            Err(_) => Err(KubeError::Timeout { what: what.to_owned(), limit_ms }),
        }
    }
}

/// A request, unless it cannot be put into words.
pub(super) fn made<R>(
    what: &str,
    request: Result<R, ::kube::core::request::Error>,
) -> Result<R, KubeError> {
    request.map_err(|source| KubeError::Request { what: what.to_owned(), source: Box::new(source) })
}

fn body_of(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
