//! What runs in the cluster before an agent is there, as a person would apply it.

use std::path::Path;

use crate::e2e::process::binary;
use crate::e2e::world::KAFKA;

/// Version of the Deployment before and after.
pub(super) const SHOP: [&str; 2] = ["1.0.0", "2.0.0"];

/// Port of the controllers' metrics, at addresses of their own.
pub(super) const METRICS_PORT: u16 = 9404;

/// A quorum of three simulated controllers, each a process at its pod's address. The pods share the
/// folder `dir`; each runs what its pod's annotation says.
pub(super) fn quorum(dir: &Path) -> String {
    format!(
        r#"apiVersion: v1
kind: Namespace
metadata: {{ name: kafka }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{ name: quorum, namespace: kafka }}
spec:
  maxUnavailable: 1
  selector: {{ matchLabels: {{ app: quorum }} }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: quorum, namespace: kafka }}
spec:
  replicas: 3
  serviceName: quorum
  podManagementPolicy: Parallel
  updateStrategy: {{ type: OnDelete }}
  selector: {{ matchLabels: {{ app: quorum }} }}
  template:
    metadata:
      labels: {{ app: quorum }}
      annotations: {{ fairway.test/run: "true", fairway.dev/version: "{version}" }}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector: {{ matchLabels: {{ app: quorum }} }}
      containers:
        - name: kafka
          image: registry.example/acme/kafka:{version}
          command: [sh, -c]
          args:
            - >-
              printf %s "$VERSION" >"$DIR/$UNIT.version";
              exec "$BINARY" agent member run --dir "$DIR" --unit "$UNIT" --id $((INDEX + 1))
              --voters 3 --listen "$ADDRESS:{METRICS_PORT}"
          env:
            - {{ name: BINARY, value: "{binary}" }}
            - {{ name: DIR, value: "{dir}" }}
            - {{ name: UNIT, valueFrom: {{ fieldRef: {{ fieldPath: metadata.name }} }} }}
            - {{ name: ADDRESS, valueFrom: {{ fieldRef: {{ fieldPath: status.podIP }} }} }}
            - name: INDEX
              valueFrom: {{ fieldRef: {{ fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" }} }}
            - name: VERSION
              valueFrom: {{ fieldRef: {{ fieldPath: "metadata.annotations['fairway.dev/version']" }} }}
          readinessProbe:
            httpGet: {{ path: /metrics, port: {METRICS_PORT} }}
            periodSeconds: 1
          volumeMounts:
            - {{ name: members, mountPath: "{dir}" }}
            - {{ name: binary, mountPath: "{binary}" }}
      volumes:
        - {{ name: members, hostPath: {{ path: "{dir}", type: Directory }} }}
        - {{ name: binary, hostPath: {{ path: "{binary}", type: File }} }}
"#,
        version = KAFKA[0],
        binary = binary().display(),
        dir = dir.display(),
    )
}

/// A Deployment of `replicas` pods on as many nodes, of which `needed` must always be healthy.
pub(super) fn shop(replicas: usize, needed: usize) -> String {
    format!(
        r#"apiVersion: v1
kind: Namespace
metadata: {{ name: shop }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{ name: web, namespace: shop }}
spec:
  minAvailable: {needed}
  selector: {{ matchLabels: {{ app: web }} }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, namespace: shop }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: web }} }}
  strategy: {{ rollingUpdate: {{ maxSurge: 0, maxUnavailable: 1 }} }}
  template:
    metadata:
      labels: {{ app: web, app.kubernetes.io/version: "{version}" }}
    spec:
      terminationGracePeriodSeconds: 1
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector: {{ matchLabels: {{ app: web }} }}
      containers:
        - {{ name: web, image: "registry.example/acme/shop:{version}" }}
"#,
        version = SHOP[0],
    )
}

/// The order of a person: this product is to run this release.
pub(super) fn update(product: &str, desired: &str) -> String {
    format!(
        "apiVersion: fairway.dev/v1\nkind: ClusterUpdate\nmetadata: {{ name: acme.{product} }}\n\
         spec: {{ product: acme/{product}, channel: stable, policy: manual, desired: {desired} }}\n"
    )
}

/// What changes a node: a privileged pod, which a hollow node takes for an upgrade. It is started
/// again where the reboot ended it; another pod would come after ten seconds.
pub(super) const NODE_JOB: &str = r#"apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      restartPolicy: OnFailure
      containers:
        - name: upgrade
          image: registry.example/tools:1
          env: [{ name: VERSION, value: "v{component_version}" }]
          securityContext: { privileged: true }
"#;
