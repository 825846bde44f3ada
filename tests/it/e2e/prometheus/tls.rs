//! TLS with a CA of the site's own and a client certificate, as a real server checks them.

use std::path::Path;
use std::process::Command;

use cluster_agent::prometheus::{Client, Endpoint, MaterialPaths, QueryError, Value};

use super::{MetricsPage, RULES, Server};

const WEB: &str = "\
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
";

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl runs");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {why}");
}

/// Makes a CA `<name>.crt`.
fn make_ca(dir: &Path, name: &str) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(dir, &format!("req -x509 {key} -subj /CN={name} -keyout {name}.key -out {name}.crt"));
}

/// Makes a certificate `<name>.crt` for 127.0.0.1 that `ca` signs.
fn certify(dir: &Path, ca: &str, name: &str) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(dir, &format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
    std::fs::write(dir.join("names"), "subjectAltName = IP:127.0.0.1\n").unwrap();
    let by = format!("-CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 2 -extfile names");
    openssl(dir, &format!("x509 -req -in {name}.csr {by} -out {name}.crt"));
}

#[test]
#[ignore = "needs Prometheus"]
fn a_server_is_believed_by_the_ca_it_is_configured_with_and_asks_for_our_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("prometheus");
    std::fs::create_dir_all(&dir).unwrap();
    for ca in ["ca", "stranger"] {
        make_ca(&dir, ca);
    }
    certify(&dir, "ca", "server");
    certify(&dir, "ca", "client");
    std::fs::write(dir.join("web.yml"), WEB).unwrap();
    let page = MetricsPage::serve("slow_disks 0\n");
    let server = Server::start(&dir, &page, RULES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let path = |name: &str| Some(dir.join(name));
    let client = |material: MaterialPaths| {
        Client::new(Endpoint {
            url: format!("https://{}", server.address).parse().unwrap(),
            material,
            timeout_ms: 5_000,
            body_max_bytes: 64 * 1024,
        })
    };
    let ask = |client: &Client| runtime.block_on(client.query("vector(1)"));
    let known = MaterialPaths {
        ca: path("ca.crt"),
        cert: path("client.crt"),
        key: path("client.key"),
        token: None,
    };

    let good = client(known.clone());
    let answer = ask(&good).unwrap();
    assert!(matches!(answer.value, Value::Vector(samples) if samples.len() == 1));

    for material in [
        MaterialPaths { ca: path("stranger.crt"), ..known.clone() },
        MaterialPaths { ca: None, ..known.clone() },
        MaterialPaths { cert: None, key: None, ..known },
    ] {
        let error = ask(&client(material)).unwrap_err();
        assert!(matches!(error, QueryError::Transport { .. }), "{error}");
    }

    // A CA that is replaced under a running agent is taken without a restart, and so is the next.
    std::fs::copy(dir.join("ca.crt"), dir.join("kept.crt")).unwrap();
    std::fs::copy(dir.join("stranger.crt"), dir.join("ca.crt")).unwrap();
    let error = ask(&good).unwrap_err();
    assert!(matches!(error, QueryError::Transport { .. }), "{error}");
    std::fs::copy(dir.join("kept.crt"), dir.join("ca.crt")).unwrap();
    ask(&good).unwrap();
}
