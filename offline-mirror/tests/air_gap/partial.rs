//! A directory that lost a file, half of one, or got another in its place: refused by name, file by
//! file, before anything reaches the site.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use offline_mirror::{Error, Feed, ImportRequest, import};
use signing::Attack;

use crate::scene::{Scene, at, registry};
use crate::view::Viewed;

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Whether an error names what is wrong: an attack, or which file is missing or unreadable.
fn is_named(error: &Error) -> bool {
    // What a client says of a file that it was promised.
    let is_told = |source: &signing::Error| {
        matches!(source, signing::Error::Missing { .. } | signing::Error::Malformed { .. })
    };
    error.attack().is_some()
        || matches!(error, Error::Missing { .. } | Error::NotAnExport { .. })
        || matches!(error, Error::Trust { source, .. } if is_told(source))
}

/// Breaks one file after the other in every way, and imports each time.
async fn break_every_file(scene: &Scene, request: &ImportRequest) {
    // Made once: every HTTP client reads the system's certificates.
    let feed = Feed::new(&format!("http://{}", scene.site.host), "secret".to_owned()).unwrap();
    let to = registry(&scene.site.host);
    let files = files_below(&scene.dir());
    let whole: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let (mut tried, mut attacks) = (0, BTreeSet::new());
    for (index, (path, bytes)) in files.iter().zip(&whole).enumerate() {
        let other = &whole[(index + 1) % whole.len()];
        let longer = [bytes.as_slice(), b"\n"].concat();
        let broken: [(&str, Option<&[u8]>); 5] = [
            ("dropped", None),
            ("empty", Some(&[])),
            ("truncated", Some(&bytes[..bytes.len() / 2])),
            ("swapped", Some(other)),
            ("longer", Some(&longer)),
        ];
        for (how, broken) in broken {
            let name = path.strip_prefix(scene.dir()).unwrap().display();
            // A newline after a JSON document changes nothing of an unsigned record.
            if name.to_string() == "export.json" && how == "longer" {
                continue;
            }
            match broken {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
            let answer = import(request, Some(&to), Some(&feed), at(2)).await;
            let Err(error) = answer else { panic!("{name} {how} was imported") };
            assert!(is_named(&error), "{name} {how}: {error:?}");
            assert!(error.is_refusal(), "{name} {how}: {error:?}");
            assert_eq!(scene.site.asked(), Vec::<String>::new(), "{name} {how}: {error}");
            attacks.extend(error.attack().map(|attack| attack.to_string()));
            tried += 1;
        }
        std::fs::write(path, bytes).unwrap();
    }
    assert!(tried > 80, "{tried} breaks of {} files", files.len());
    for attack in [Attack::ArbitrarySoftware, Attack::MixAndMatch] {
        assert!(attacks.contains(&attack.to_string()), "{attacks:?}");
    }
    import(request, Some(&to), Some(&feed), at(2)).await.unwrap();
}

#[actix_web::test]
async fn every_file_of_an_export_is_needed_as_it_was() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    break_every_file(&scene, &scene.import_request()).await;
}

#[actix_web::test]
async fn every_file_of_a_view_is_needed_as_it_was() {
    let viewed = Viewed::accepted().await;
    viewed.export(at(1)).await.unwrap();
    break_every_file(&viewed.scene, &viewed.import_request()).await;
}

#[actix_web::test]
async fn a_record_of_an_exporter_that_listed_no_files_is_still_read() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    let path = scene.dir().join("export.json");
    let mut record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for member in ["files", "good_until", "is_view"] {
        record.as_object_mut().unwrap().remove(member).unwrap();
    }
    std::fs::write(&path, record.to_string()).unwrap();
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_record_that_lists_files_outside_is_refused() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    let path = scene.dir().join("export.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"oci-layout\"", "\"../../etc/passwd\"")).unwrap();
    let error = scene.refused().await;
    assert!(matches!(error, Error::NotAnExport { ref why, .. } if why.contains("passwd")));
}
