//! An API server for tests: objects in memory behind real HTTP, with what matters of the real one:
//! resource versions, generations, both ways of merging, evictions with preconditions and budgets.
//!
//! No controller runs in it: tests say what controllers did by changing objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Map, Value, json};

use super::Kube;
use crate::config::{AgentPlace, KubernetesSettings, KuredSettings};
use crate::telemetry::KubeletAccess;

/// One write that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    writes: Vec<Call>,
    refuses_eviction: Option<String>,
    answers_eviction: Option<(u16, String, String)>,
    forbids: bool,
    /// Writes of others that come in between before the next patches.
    races: u32,
    /// Reads of this path fail.
    broken: Option<String>,
    /// Reads of this path are never answered.
    hangs: Option<String>,
    reads: u32,
}

/// The server.
pub(crate) struct FakeApi {
    store: Arc<Mutex<Store>>,
    dir: tempfile::TempDir,
}

impl FakeApi {
    /// Must be called inside a tokio runtime, and ends with it.
    pub(crate) fn start() -> Self {
        let store = Arc::new(Mutex::new(Store::default()));
        let shared = store.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(shared.clone())).default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let server_url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": server_url } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "users": [{ "name": "u", "user": {} }],
        });
        std::fs::write(dir.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self { store, dir }
    }

    pub(crate) fn kube(&self) -> Kube {
        self.kube_at(AgentPlace::default())
    }

    /// A client of an agent that runs there.
    pub(crate) fn kube_at(&self, place: AgentPlace) -> Kube {
        Kube::new(KubernetesSettings {
            kubeconfig: Some(self.dir.path().join("kubeconfig")),
            context: None,
            period_ms: 2_000,
            timeout_ms: 5_000,
            namespace: "fairway-system".to_owned(),
            lease: "fairway-agent".to_owned(),
            etcd: None,
            kubelet: KubeletAccess::default(),
            kured: KuredSettings { namespace: "kube-system".to_owned(), name: "kured".to_owned() },
            place,
        })
    }

    /// Puts an object there as it is; `path` ends with its name.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        object["metadata"]["resourceVersion"] = json!(store.version.to_string());
        store.objects.insert(path.to_owned(), object);
    }

    /// Puts the log of a pod there.
    pub(crate) fn put_log(&self, pod: &str, text: &str) {
        let at = format!("{pod}/log");
        self.store.lock().unwrap().objects.insert(at, json!(text));
    }

    /// Changes an object as a controller or a person would.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(path);
        change(&mut object);
        self.put(path, object);
    }

    pub(crate) fn object(&self, path: &str) -> Value {
        self.store.lock().unwrap().objects[path].clone()
    }

    pub(crate) fn remove(&self, path: &str) {
        self.store.lock().unwrap().objects.remove(path).unwrap();
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.store.lock().unwrap().objects.contains_key(path)
    }

    /// Evictions are refused from here on, in the name of a budget.
    pub(crate) fn refuse_evictions(&self, why: Option<&str>) {
        self.store.lock().unwrap().refuses_eviction = why.map(str::to_owned);
    }

    /// Evictions are refused from here on, with that status, reason and message.
    pub(crate) fn answer_evictions(&self, code: u16, reason: &str, message: &str) {
        let answer = (code, reason.to_owned(), message.to_owned());
        self.store.lock().unwrap().answers_eviction = Some(answer);
    }

    /// Nothing is permitted from here on.
    pub(crate) fn forbid(&self) {
        self.store.lock().unwrap().forbids = true;
    }

    /// Reads of exactly this path fail from here on.
    pub(crate) fn break_reads_of(&self, path: &str) {
        self.store.lock().unwrap().broken = Some(path.to_owned());
    }

    /// Reads of exactly this path are never answered from here on.
    pub(crate) fn hang_on(&self, path: &str) {
        self.store.lock().unwrap().hangs = Some(path.to_owned());
    }

    /// How many reads there were so far.
    pub(crate) fn reads(&self) -> u32 {
        self.store.lock().unwrap().reads
    }

    /// That many of the next patches find that somebody else was faster.
    pub(crate) fn race(&self, times: u32) {
        self.store.lock().unwrap().races = times;
    }

    /// The writes so far, except reviews of permissions.
    pub(crate) fn writes(&self) -> Vec<Call> {
        self.store.lock().unwrap().writes.clone()
    }
}

async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    store: web::Data<Arc<Mutex<Store>>>,
) -> HttpResponse {
    let path = request.path().to_owned();
    if is_hung(&store, request.method(), &path) {
        std::future::pending::<()>().await;
    }
    let mut store = store.lock().unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    match request.method().as_str() {
        "GET" if store.broken.as_ref() == Some(&path) => {
            refusal(500, "InternalError", "etcdserver: request timed out")
        }
        "GET" => get(&store, &path, request.query_string()),
        "PATCH" => {
            let kind = request.headers().get("content-type").unwrap().to_str().unwrap();
            patch(&mut store, &path, kind.starts_with("application/strategic"), sent)
        }
        "POST" if path.ends_with("/selfsubjectaccessreviews") => {
            let allowed = !store.forbids;
            HttpResponse::Created().json(json!({ "status": { "allowed": allowed } }))
        }
        "POST" if path.ends_with("/eviction") => evict(&mut store, &path, sent),
        "POST" => create(&mut store, &path, request.query_string(), sent),
        "PUT" => replace(&mut store, &path, sent),
        other => panic!("the fake does not know {other} {path}"),
    }
}

/// Whether this is a read that is never answered; counts reads.
fn is_hung(store: &Mutex<Store>, method: &actix_web::http::Method, path: &str) -> bool {
    let mut store = store.lock().unwrap();
    let is_read = method == actix_web::http::Method::GET;
    store.reads += u32::from(is_read);
    is_read && store.hangs.as_deref() == Some(path)
}

fn refusal(code: u16, reason: &str, message: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(code).unwrap();
    HttpResponse::build(status).json(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    }))
}

fn get(store: &Store, path: &str, query: &str) -> HttpResponse {
    if let Some(object) = store.objects.get(path) {
        // A log is a text, everything else an object.
        return match object.as_str() {
            Some(text) => HttpResponse::Ok().body(text.to_owned()),
            None => HttpResponse::Ok().json(object),
        };
    }
    let (group, kind) = path.rsplit_once('/').unwrap();
    let is_list = matches!(
        kind,
        "pods"
            | "nodes"
            | "jobs"
            | "statefulsets"
            | "deployments"
            | "daemonsets"
            | "poddisruptionbudgets"
            | "clusterupdates"
    );
    if !is_list {
        return refusal(404, "NotFound", &format!("{path} not found"));
    }
    // A list without a namespace is of all namespaces.
    let (below, of_all) = (format!("{path}/"), format!("{group}/namespaces/"));
    let listed = |at: &str| {
        let of_kind = at.rsplit('/').nth(1) == Some(kind);
        of_kind && (at.starts_with(&below) || at.starts_with(&of_all))
    };
    let pairs = url_pairs(query);
    let objects = store.objects.iter().filter(|(at, _)| listed(at)).map(|(_, object)| object);
    let items: Vec<&Value> = objects.filter(|object| selected(object, &pairs)).collect();
    HttpResponse::Ok().json(json!({ "metadata": {}, "items": items }))
}

/// Whether the selectors of a query pick an object: labels that are equal or there, and the node of
/// a pod.
fn selected(object: &Value, query: &[(String, String)]) -> bool {
    query.iter().all(|(name, value)| match name.as_str() {
        "labelSelector" => value.split(',').all(|term| {
            let labels = &object["metadata"]["labels"];
            match term.split_once('=') {
                Some((key, value)) => labels[key] == json!(value),
                None => labels.get(term).is_some(),
            }
        }),
        "fieldSelector" => {
            let node = value.strip_prefix("spec.nodeName=").unwrap();
            object["spec"]["nodeName"] == json!(node)
        }
        _ => true,
    })
}

fn url_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            if first == b'%' {
                let hex = std::str::from_utf8(&after[..2]).unwrap();
                bytes.push(u8::from_str_radix(hex, 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(first);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn patch(store: &mut Store, path: &str, strategic: bool, body: Value) -> HttpResponse {
    let Some(mut object) = store.objects.get(path).cloned() else {
        return refusal(404, "NotFound", &format!("{path} not found"));
    };
    if store.races > 0 {
        store.races -= 1;
        store.version += 1;
        object["metadata"]["resourceVersion"] = json!(store.version.to_string());
        store.objects.insert(path.to_owned(), object.clone());
    }
    let wanted = body.pointer("/metadata/resourceVersion").cloned();
    if wanted.is_some_and(|wanted| wanted != object["metadata"]["resourceVersion"]) {
        return refusal(409, "Conflict", "the object has been modified");
    }
    let before = object["spec"].clone();
    merge(&mut object, &body, strategic);
    if object["spec"] != before {
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + 1);
    }
    store.version += 1;
    object["metadata"]["resourceVersion"] = json!(store.version.to_string());
    store.objects.insert(path.to_owned(), object.clone());
    store.writes.push(Call { verb: "PATCH".to_owned(), path: path.to_owned(), body });
    HttpResponse::Ok().json(object)
}

/// A replaced status leaves the rest as it is, and the other way round.
fn replace(store: &mut Store, path: &str, body: Value) -> HttpResponse {
    let of_status = path.ends_with("/status");
    let at = path.strip_suffix("/status").unwrap_or(path);
    let Some(mut object) = store.objects.get(at).cloned() else {
        return refusal(404, "NotFound", &format!("{at} not found"));
    };
    let raced = store.races > 0;
    store.races -= u32::from(raced);
    if raced || body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
        return refusal(409, "Conflict", "the object has been modified");
    }
    let part = if of_status { "status" } else { "spec" };
    object[part] = body[part].clone();
    store.version += 1;
    object["metadata"]["resourceVersion"] = json!(store.version.to_string());
    store.objects.insert(at.to_owned(), object.clone());
    store.writes.push(Call { verb: "PUT".to_owned(), path: path.to_owned(), body });
    HttpResponse::Ok().json(object)
}

fn merge(into: &mut Value, patch: &Value, strategic: bool) {
    match (into, patch) {
        (Value::Array(into), Value::Array(patch)) if strategic => {
            for item in patch {
                match into.iter_mut().find(|other| other["name"] == item["name"]) {
                    Some(other) => merge(other, item, strategic),
                    None => into.push(item.clone()),
                }
            }
        }
        (into, Value::Object(patch)) => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            let members = into.as_object_mut().unwrap();
            for (name, value) in patch {
                if value.is_null() {
                    members.remove(name);
                } else {
                    merge(members.entry(name).or_insert(Value::Null), value, strategic);
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// Creates an object, unless it is there or this is a dry run.
fn create(store: &mut Store, path: &str, query: &str, mut object: Value) -> HttpResponse {
    if store.forbids {
        return refusal(403, "Forbidden", "it may not");
    }
    let name = object["metadata"]["name"].as_str().unwrap();
    let at = format!("{path}/{name}");
    if store.objects.contains_key(&at) {
        return refusal(409, "AlreadyExists", &format!("{at} already exists"));
    }
    if query.contains("dryRun=All") {
        return HttpResponse::Created().json(object);
    }
    store.version += 1;
    object["metadata"]["resourceVersion"] = json!(store.version.to_string());
    store.writes.push(Call { verb: "POST".to_owned(), path: at.clone(), body: object.clone() });
    store.objects.insert(at, object.clone());
    HttpResponse::Created().json(object)
}

fn evict(store: &mut Store, path: &str, body: Value) -> HttpResponse {
    let pod = path.strip_suffix("/eviction").unwrap().to_owned();
    let uid = body["deleteOptions"]["preconditions"]["uid"].clone();
    store.writes.push(Call { verb: "EVICT".to_owned(), path: pod.clone(), body });
    let Some(object) = store.objects.get_mut(&pod) else {
        return refusal(404, "NotFound", "no such pod");
    };
    if object["metadata"]["uid"] != uid {
        return refusal(409, "Conflict", "Precondition failed: UID in precondition");
    }
    if let Some((code, reason, message)) = &store.answers_eviction {
        return refusal(*code, reason, message);
    }
    if let Some(why) = &store.refuses_eviction {
        return HttpResponse::TooManyRequests().json(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 429,
            "reason": "TooManyRequests",
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": { "causes": [{ "reason": "DisruptionBudget", "message": why }] },
        }));
    }
    object["metadata"]["deletionTimestamp"] = json!("2027-01-01T00:00:00Z");
    HttpResponse::Created().json(json!({ "kind": "Status", "status": "Success", "code": 201 }))
}
