//! Plans as people and programs read them. `FAIRWAY_BLESS=1` writes them anew.

use std::path::Path;

use crate::scene::Scene;

fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/create/golden").join(name);
    if std::env::var_os("FAIRWAY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "{}", path.display());
}

#[actix_web::test]
async fn a_plan_is_told_the_same_way_every_time() {
    let scene = Scene::new().await;
    let signature = scene.server.referrer_by_tag(&scene.images[1], b"signature");
    assert_eq!(signature.repository, "acme/app");
    let mut request = scene.request();
    request.images = vec![format!("{}/tools/gone:1", scene.server.host).parse().unwrap()];
    request.keep_going = true;
    let report = scene.plan(&request).await.unwrap();
    // The registry's port is another one in every run, as long as any other of its length.
    let port = scene.server.host.rsplit(':').next().unwrap();
    let told = |text: String| text.replace(port, "PORT");
    check("plan.txt", &told(format!("{report}\n")));
    check("plan.json", &told(format!("{}\n", serde_json::to_string_pretty(&report).unwrap())));
}
